// SPDX-License-Identifier: Apache-2.0
#include <detente/core/workers.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace detente {

std::size_t worker_count(int wanted, std::size_t count) {
  const std::size_t workers =
      wanted > 0 ? static_cast<std::size_t>(wanted) : std::thread::hardware_concurrency();
  return std::clamp<std::size_t>(workers, 1, std::max<std::size_t>(count, 1));
}

void share_work(std::size_t count,
                std::size_t workers,
                const std::function<void(std::size_t, std::size_t)>& body) {
  std::atomic<std::size_t> next = 0;
  std::mutex mutex;
  std::size_t failed = count;
  std::exception_ptr error;
  const auto work = [&](std::size_t worker) {
    for (std::size_t i = next++; i < count; i = next++) {
      try {
        body(worker, i);
      } catch (...) {
        const std::lock_guard lock(mutex);
        next = count;
        if (i < failed) {
          failed = i;
          error = std::current_exception();
        }
      }
    }
  };
  std::vector<std::thread> others;
  try {
    while (others.size() + 1 < workers) others.emplace_back(work, others.size() + 1);
  } catch (const std::system_error&) {
    // Fewer threads, then; this one is there in any case.
  }
  work(0);
  for (std::thread& thread : others) thread.join();
  if (error) std::rethrow_exception(error);
}

}  // namespace detente

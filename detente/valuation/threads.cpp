// SPDX-License-Identifier: Apache-2.0
#include <detente/valuation/internal/threads.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace detente::valuation::internal {

std::size_t thread_count(int wanted, std::size_t count) {
  const std::size_t threads =
      wanted > 0 ? static_cast<std::size_t>(wanted) : std::thread::hardware_concurrency();
  return std::clamp<std::size_t>(threads, 1, std::max<std::size_t>(count, 1));
}

void for_each(std::size_t count,
              std::size_t threads,
              const std::function<void(std::size_t, std::size_t)>& body) {
  std::atomic<std::size_t> next = 0;
  std::mutex mutex;
  std::exception_ptr error;
  const auto work = [&](std::size_t worker) {
    for (std::size_t i = next++; i < count; i = next++) {
      try {
        body(worker, i);
      } catch (...) {
        const std::lock_guard lock(mutex);
        next = count;
        if (!error) error = std::current_exception();
      }
    }
  };
  std::vector<std::thread> others;
  try {
    while (others.size() + 1 < threads) others.emplace_back(work, others.size() + 1);
  } catch (const std::system_error&) {
    // Fewer threads, then; this one is there in any case.
  }
  work(0);
  for (std::thread& thread : others) thread.join();
  if (error) std::rethrow_exception(error);
}

}  // namespace detente::valuation::internal

// SPDX-License-Identifier: Apache-2.0
#include <detente/data/parallel_rows.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace detente::data {

void for_each_row(std::size_t count, int threads, const std::function<void(std::size_t)>& body) {
  const auto cores = std::max(1U, std::thread::hardware_concurrency());
  const auto wanted = threads > 0 ? static_cast<unsigned>(threads) : cores;
  const std::size_t workers = std::min<std::size_t>(std::min(wanted, cores), count);
  std::atomic<std::size_t> next = 0;
  std::mutex mutex;
  std::size_t failed = count;
  std::exception_ptr error;
  const auto work = [&] {
    for (std::size_t i = next++; i < count; i = next++) {
      try {
        body(i);
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
    while (others.size() + 1 < workers) others.emplace_back(work);
  } catch (const std::system_error&) {
    // Fewer threads, then; this one is there in any case.
  }
  work();
  for (std::thread& thread : others) thread.join();
  if (error) std::rethrow_exception(error);
}

}  // namespace detente::data

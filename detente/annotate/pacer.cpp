// SPDX-License-Identifier: Apache-2.0
#include <detente/annotate/pacer.h>

#include <algorithm>
#include <thread>

namespace detente::annotate {

bool Pacer::wait(const std::function<bool()>& stop) {
  Clock::time_point turn;
  {
    const std::lock_guard lock(mutex_);
    turn = std::max(next_, Clock::now());
    if (per_minute_ > 0) {
      next_ = turn + std::chrono::duration_cast<Clock::duration>(
                         std::chrono::duration<double>(60 / per_minute_));
    }
  }
  for (;;) {
    {
      const std::lock_guard lock(mutex_);
      turn = std::max(turn, held_until_);
    }
    const double left = std::chrono::duration<double>(turn - Clock::now()).count();
    if (left <= 0) return !(stop && stop());
    if (!sleep_unless(std::min(left, 0.05), stop)) return false;
  }
}

void Pacer::hold(double seconds) {
  const std::lock_guard lock(mutex_);
  held_until_ = std::max(held_until_,
                         Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                            std::chrono::duration<double>(seconds)));
}

bool sleep_unless(double seconds, const std::function<bool()>& stop) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  for (;;) {
    if (stop && stop()) return false;
    const double left =
        std::chrono::duration<double>(until - std::chrono::steady_clock::now()).count();
    if (left <= 0) return true;
    std::this_thread::sleep_for(std::chrono::duration<double>(std::min(left, 0.05)));
  }
}

}  // namespace detente::annotate

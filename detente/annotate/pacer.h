// SPDX-License-Identifier: Apache-2.0
// When the next call may begin, for all threads together.
#pragma once

#include <chrono>
#include <functional>
#include <mutex>

namespace detente::annotate {

class Pacer {
 public:
  // Calls begin at least 60 / `per_minute` seconds apart; 0: at once.
  explicit Pacer(double per_minute) : per_minute_(per_minute) {}

  // Returns when this caller's turn has come; false when `stop` said so before.
  bool wait(const std::function<bool()>& stop);
  // Nobody begins for so many seconds: the server asked for it.
  void hold(double seconds);

 private:
  using Clock = std::chrono::steady_clock;

  const double per_minute_;
  std::mutex mutex_;
  Clock::time_point next_ = Clock::now();
  Clock::time_point held_until_ = Clock::now();
};

// Sleeps, asking `stop` several times a second; false when it said so.
bool sleep_unless(double seconds, const std::function<bool()>& stop);

}  // namespace detente::annotate

// SPDX-License-Identifier: Apache-2.0
// Time since an object was made, by a clock that is never set.
#pragma once

#include <chrono>

namespace detente {

class Stopwatch {
 public:
  double milliseconds() const { return 1e3 * seconds(); }
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace detente

// SPDX-License-Identifier: Apache-2.0
// What all measurements of this folder share.
#pragma once

#include <cstdint>
#include <vector>

namespace detente::measure {

double now_ms();
// NaN when there is none.
double median(std::vector<double> values);

// LibTorch's number of threads for as long as this lives.
class Threads {
 public:
  explicit Threads(std::int64_t count);
  ~Threads();
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

 private:
  int before_;
};

}  // namespace detente::measure

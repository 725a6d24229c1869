// SPDX-License-Identifier: Apache-2.0
#include <ATen/Parallel.h>
#include <detente/measure/timing.h>
#include <detente/tensor/device.h>

#include <algorithm>
#include <chrono>
#include <limits>

namespace detente::measure {

double now_ms() {
  return std::chrono::duration<double, std::milli>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

double median(std::vector<double> values) {
  if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
  std::sort(values.begin(), values.end());
  const std::size_t n = values.size();
  return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

Threads::Threads(std::int64_t count) : before_(at::get_num_threads()) {
  tensor::set_threads(static_cast<int>(count));
}

Threads::~Threads() { at::set_num_threads(before_); }

}  // namespace detente::measure

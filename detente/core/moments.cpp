// SPDX-License-Identifier: Apache-2.0
#include <detente/core/moments.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace detente {

Moments finite_moments(std::span<const double> values) {
  Moments moments;
  double largest = 0;
  double sum = 0;
  double low = std::numeric_limits<double>::infinity();
  double high = -low;
  for (const double value : values) {
    if (!std::isfinite(value)) continue;
    ++moments.count;
    sum += value;
    largest = std::max(largest, std::fabs(value));
    low = std::min(low, value);
    high = std::max(high, value);
  }
  const auto count = static_cast<double>(moments.count);
  moments.mean = sum / count;
  if (moments.count == 0) {
    moments.mean = std::numeric_limits<double>::quiet_NaN();
    return moments;
  }
  if (low == high) {
    moments.mean = low;  // exactly, which the sum's rounding would miss
    return moments;
  }
  // In units of the largest magnitude, where nothing overflows.
  double scaled_mean = moments.mean / largest;
  if (!std::isfinite(sum)) {
    scaled_mean = 0;
    for (const double value : values) {
      if (std::isfinite(value)) scaled_mean += value / largest / count;
    }
    moments.mean = largest * scaled_mean;
  }
  // The spread in units of the widest distance from the mean, whose square does not vanish.
  const auto distance = [&](double value) { return std::fabs(value / largest - scaled_mean); };
  const double widest = std::max(distance(low), distance(high));
  double squares = 0;
  for (const double value : values) {
    if (!std::isfinite(value)) continue;
    const double share = widest > 0 ? distance(value) / widest : 0.0;
    squares += share * share;
  }
  moments.deviation = largest * (widest * std::sqrt(squares / count));
  return moments;
}

}  // namespace detente

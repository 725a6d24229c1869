// SPDX-License-Identifier: Apache-2.0
// Mean and spread of numbers of any size, missing ones left out.
#pragma once

#include <cstddef>
#include <span>

namespace detente {

struct Moments {
  std::size_t count = 0;  // finite values
  double mean = 0;        // NaN without any
  double deviation = 0;   // of the population (divided by count); 0 when all are equal
};

// Values that are not finite do not count. Neither sums nor squares overflow or vanish where the
// result is an ordinary number.
Moments finite_moments(std::span<const double> values);

}  // namespace detente

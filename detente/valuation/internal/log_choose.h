// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <math.h>

namespace detente::valuation::internal {

// std::lgamma writes the sign to a global, which threads would share.
inline double log_gamma(double x) {
  int sign = 0;
  return lgamma_r(x, &sign);
}

// The logarithm of C(n, k).
inline double log_choose(double n, double k) {
  return log_gamma(n + 1) - log_gamma(k + 1) - log_gamma(n - k + 1);
}

}  // namespace detente::valuation::internal

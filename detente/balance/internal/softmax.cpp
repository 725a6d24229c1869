// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/softmax.h>

#include <algorithm>
#include <cmath>

namespace detente::balance::internal {

void softmax(std::vector<double>& values) {
  const double largest = *std::max_element(values.begin(), values.end());
  double sum = 0;
  for (double& x : values) {
    x = std::exp(x - largest);
    sum += x;
  }
  for (double& x : values) x /= sum;
}

void draw_softmax(Rng& rng, std::vector<double>& values) {
  for (double& x : values) x = rng.normal();
  softmax(values);
}

}  // namespace detente::balance::internal

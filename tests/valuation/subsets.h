// SPDX-License-Identifier: Apache-2.0
// Values of small games straight from the definition, over all subsets.
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <functional>
#include <vector>

namespace detente::test {

// Σ_S weight(|S|) (v(S ∪ {i}) − v(S)) over the subsets of the others; players are bits.
inline std::vector<double> values_by_subsets(std::size_t n,
                                             const std::function<double(unsigned)>& v,
                                             const std::function<double(std::size_t)>& weight) {
  std::vector<double> result(n, 0.0);
  for (unsigned set = 0; set < 1U << n; ++set) {
    for (std::size_t i = 0; i < n; ++i) {
      if ((set >> i & 1U) != 0) continue;
      const auto size = static_cast<std::size_t>(std::popcount(set));
      result[i] += weight(size) * (v(set | 1U << i) - v(set));
    }
  }
  return result;
}

// |S|! (n − |S| − 1)! / n!
inline double shapley_weight(std::size_t n, std::size_t size) {
  double weight = 1.0 / static_cast<double>(n);
  for (std::size_t j = 1; j <= size; ++j) {
    weight *= static_cast<double>(j) / static_cast<double>(n - j);
  }
  return weight;
}

inline std::vector<double> shapley_by_subsets(std::size_t n,
                                              const std::function<double(unsigned)>& v) {
  return values_by_subsets(n, v, [n](std::size_t size) { return shapley_weight(n, size); });
}

}  // namespace detente::test

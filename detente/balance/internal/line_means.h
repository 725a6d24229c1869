// SPDX-License-Identifier: Apache-2.0
// k-means of numbers on a line, exactly: the best groups are runs of the sorted numbers, so dynamic
// programming finds them (Wang and Song, The R Journal 3(2), 2011).
#pragma once

#include <cstddef>
#include <vector>

namespace detente::balance::internal {

class LineMeans {
 public:
  // Splits `values` into min(groups, n) groups with the least sum of squared distances to the
  // group's mean, and replaces each value by that mean. O(groups n²).
  void replace(std::vector<double>& values, std::size_t groups);

 private:
  double cost(std::size_t first, std::size_t last) const { return cost_[first * n_ + last]; }

  std::size_t n_ = 0;
  std::vector<std::size_t> order_;  // of the values, ascending
  std::vector<double> cost_;        // of the run first..last, n×n
  std::vector<double> mean_;        // of the same
  std::vector<double> best_;        // of the first j values in g groups, groups×(n + 1)
  std::vector<std::size_t> from_;   // where the last of these groups begins
};

}  // namespace detente::balance::internal

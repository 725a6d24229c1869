// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/line_means.h>

#include <algorithm>
#include <limits>
#include <numeric>

namespace detente::balance::internal {

void LineMeans::replace(std::vector<double>& values, std::size_t groups) {
  n_ = values.size();
  groups = std::min(groups, n_);
  order_.resize(n_);
  std::iota(order_.begin(), order_.end(), std::size_t{0});
  std::sort(order_.begin(), order_.end(), [&](std::size_t a, std::size_t b) {
    return values[a] < values[b] || (values[a] == values[b] && a < b);
  });
  cost_.resize(n_ * n_);
  mean_.resize(n_ * n_);
  for (std::size_t first = 0; first < n_; ++first) {
    double mean = 0;
    double squares = 0;  // Welford: no difference of large sums
    for (std::size_t last = first; last < n_; ++last) {
      const double off = values[order_[last]] - mean;
      mean += off / static_cast<double>(last - first + 1);
      squares += off * (values[order_[last]] - mean);
      cost_[first * n_ + last] = squares;
      mean_[first * n_ + last] = mean;
    }
  }
  best_.assign((groups + 1) * (n_ + 1), std::numeric_limits<double>::infinity());
  from_.assign((groups + 1) * (n_ + 1), 0);
  best_[0] = 0;
  for (std::size_t g = 1; g <= groups; ++g) {
    for (std::size_t j = g; j <= n_; ++j) {
      for (std::size_t first = g - 1; first < j; ++first) {
        const double candidate = best_[(g - 1) * (n_ + 1) + first] + cost(first, j - 1);
        if (candidate < best_[g * (n_ + 1) + j]) {
          best_[g * (n_ + 1) + j] = candidate;
          from_[g * (n_ + 1) + j] = first;
        }
      }
    }
  }
  for (std::size_t g = groups, j = n_; g >= 1; --g) {
    const std::size_t first = from_[g * (n_ + 1) + j];
    for (std::size_t a = first; a < j; ++a) values[order_[a]] = mean_[first * n_ + j - 1];
    j = first;
  }
}

}  // namespace detente::balance::internal

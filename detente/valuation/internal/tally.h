// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <detente/valuation/estimate.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace detente::valuation::internal {

// Mean and spread of numbers that come one by one (Welford).
struct Tally {
  std::int64_t count = 0;
  double mean = 0;
  double squares = 0;  // Σ (x − mean)²

  void add(double x) {
    ++count;
    const double off = x - mean;
    mean += off / static_cast<double>(count);
    squares += off * (x - mean);
  }
  double value() const { return count > 0 ? mean : std::numeric_limits<double>::quiet_NaN(); }
  // Of the mean, squared; NaN for fewer than two numbers.
  double squared_error() const {
    const auto n = static_cast<double>(count);
    return count > 1 ? squares / (n - 1) / n : std::numeric_limits<double>::quiet_NaN();
  }
};

// What players tallied, of all outputs: [players, outputs].
class Tallies {
 public:
  Tallies(std::size_t players, std::size_t outputs)
      : outputs_(outputs), tallies_(players * outputs) {}

  Tally& at(std::size_t player, std::size_t output) { return tallies_[player * outputs_ + output]; }
  const Tally& at(std::size_t player, std::size_t output) const {
    return tallies_[player * outputs_ + output];
  }
  std::size_t players() const { return outputs_ == 0 ? 0 : tallies_.size() / outputs_; }

  std::vector<Estimate> estimates() const {
    std::vector<Estimate> result(outputs_);
    for (std::size_t i = 0; i < tallies_.size(); ++i) {
      Estimate& to = result[i % outputs_];
      to.values.push_back(tallies_[i].value());
      to.standard_errors.push_back(std::sqrt(tallies_[i].squared_error()));
      to.counts.push_back(tallies_[i].count);
    }
    return result;
  }

 private:
  std::size_t outputs_;
  std::vector<Tally> tallies_;
};

}  // namespace detente::valuation::internal

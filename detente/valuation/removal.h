// SPDX-License-Identifier: Apache-2.0
// What becomes of a score as examples are removed: those of the lowest values first, those of the highest,
// and as many at random. Values that mean something have the first line above the third and the second
// below it.
#pragma once

#include <detente/valuation/estimate.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace detente::valuation {

// What a score becomes as examples are removed in one order.
struct RemovalLine {
  std::string name;            // "lowest values first", "at random"
  std::vector<double> shares;  // removed, from 0 to 1
  std::vector<double> scores;
  std::vector<double> low{};  // a band, such as over seeds; as many as scores, or none
  std::vector<double> high{};
  std::vector<std::size_t> removed{};  // examples; as many as scores, or none
};
struct RemovalCurve {
  std::string task;    // "all": of all
  std::string metric;  // what a score is
  std::vector<RemovalLine> lines;
};

struct RemovalOptions {
  // Of the examples with a value; ascending, each above 0 and below 1.
  std::vector<double> shares;
  std::size_t seeds = 5;  // random orders, >= 1
  std::uint64_t seed = 0;
  Progress progress = {};  // in models
};

// Throws kInvalidArgument unless there are shares and they are as above: before anything costly is begun.
void check_shares(std::span<const double> shares);

// The score of a model that is trained on these examples, ascending numbers into the values; larger is
// better. What it throws goes through.
using KeptScore = std::function<double(std::span<const std::size_t> kept)>;

// Three lines: "lowest values first", "highest values first" and "at random", the mean over the random
// orders with a band from their lowest to their highest score. Each begins with nothing removed. An order
// removes its first examples, so what is gone stays gone; equal values go in a random order. Examples whose
// value is not finite are never removed, and one with a value always stays. 1 + shares · (2 + seeds) scores;
// ended early, the lines are shorter, and empty before the first score. Throws kInvalidArgument for options
// out of range and fewer than two values that are finite.
RemovalCurve removal_curve(std::span<const double> values,
                           const KeptScore& score,
                           const RemovalOptions& options);

// Columns task, metric, order, share, removed, score, low, high, as RFC 4180 has them; low and high are
// empty without a band.
std::string removal_csv(std::span<const RemovalCurve> curves);

}  // namespace detente::valuation

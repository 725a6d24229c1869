// SPDX-License-Identifier: Apache-2.0
// Data-OOB (Kwon and Zou, ICML 2023): many models, each fitted on n examples drawn with replacement
// from the n there are. An example is worth the mean score that models which did not draw it have
// on it: low for those whose label the others contradict.
#pragma once

#include <detente/valuation/estimate.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace detente::valuation {

// Fits a model on `drawn` (n rows in increasing order, with repeats) and scores it on `others`, the
// rows that were not drawn: [others, outputs], larger for better, NaN where an example has no label
// for an output.
using FitAndScore = std::function<std::vector<double>(std::span<const std::size_t> drawn,
                                                      std::span<const std::size_t> others)>;

struct OobOptions {
  std::size_t models = 100;
  std::uint64_t seed = 0;
  Progress progress = {};  // in models
};

// The values of n examples for each output. Counts are the models that scored an example; where
// none did (a model draws an example with probability 0.632, all of B models with 0.632^B) the
// value is NaN. Standard errors are those of the mean over models: they tell the luck of the draws,
// not that of having these n examples. Model b draws the same rows whatever the number of models.
// Throws kInvalidArgument without examples, outputs or models, kShape for another number of scores,
// kNumeric naming the row for an infinite one.
std::vector<Estimate> data_oob(std::size_t n,
                               std::size_t outputs,
                               const FitAndScore& fit_and_score,
                               const OobOptions& options = {});

}  // namespace detente::valuation

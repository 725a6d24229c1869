// SPDX-License-Identifier: Apache-2.0
// Which metrics on the validation rows choose the epoch whose model is kept.
#pragma once

#include <detente/train/evaluate.h>

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace detente::train {

struct SelectedMetric {
  std::size_t task = 0;  // index into the recipe's tasks
  std::string metric;
  bool higher_is_better = true;
};

// Of `train.select`: "" (the first metric of the first task), "task.metric", several of these with
// commas between them, or "mean" (of every task the first of its metrics of which more is better).
// Several are shares and correlations, which are 1 at best and can be averaged: one of which less
// is better (an error in its target's unit) is refused. Without tasks: none. Throws kInvalidArgument.
std::vector<SelectedMetric> parse_selection(std::string_view select,
                                            std::span<const TaskRecipe> tasks);

// More is better. One metric: its value, negated where less is better, NaN where undefined. Several:
// their mean, with 0, what a head that knows nothing has, for undefined ones; NaN where all are.
// `undefined` is told each undefined metric.
double selected_value(
    std::span<const SelectedMetric> selection,
    std::span<const std::vector<MetricValue>> metrics,
    const std::function<void(const SelectedMetric&, const std::string& reason)>& undefined);

}  // namespace detente::train

// SPDX-License-Identifier: Apache-2.0
// One number for how far a multi-task model is from single-task ones, in percent. Papers print two
// under one name, which differ in sign and in what they average over:
//
//   delta_m_metric  -(100/n) Σ over all metrics of s (M - B) / B: below 0 is better. Printed by CAGrad,
//                   Nash-MTL and FAMO; a task with more metrics weighs more.
//   delta_m_task    the same, but the mean over tasks of the mean over a task's metrics. LibMTL and
//                   DB-MTL print its negative, where above 0 is better.
//
// s is +1 where more is better, -1 where less is.
#pragma once

#include <span>
#include <vector>

namespace detente::metrics {

struct ComparedMetric {
  double value = 0;     // of the multi-task model
  double baseline = 0;  // of the single-task one
  bool higher_is_better = true;
};

// Both are NaN where a value is NaN or a baseline is 0 or NaN, and of nothing.
double delta_m_metric(std::span<const std::vector<ComparedMetric>> tasks);
double delta_m_task(std::span<const std::vector<ComparedMetric>> tasks);

}  // namespace detente::metrics

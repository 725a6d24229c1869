// SPDX-License-Identifier: Apache-2.0
// Charts of a run. Each function gives a chart without series when the run holds nothing for it.
#pragma once

#include <detente/report/chart.h>
#include <detente/report/run_data.h>

#include <string>
#include <vector>

namespace detente::report {

// With more than eight tasks (or pairs) only these many lines are coloured, the rest is grey.
inline constexpr std::size_t kHighlighted = 6;

// Indices of the tasks to colour: all of up to eight, else those whose gradients oppose the others
// most (the first ones when no cosines were recorded).
std::vector<std::size_t> highlighted_tasks(const RunData& run);
// Of the task pairs: all of up to four, else the most opposed ones.
std::vector<std::size_t> highlighted_pairs(const RunData& run);

// "score · same" for "score|same".
std::string pair_text(const std::string& name);

Chart loss_chart(const RunData& run);
Chart cosine_chart(const RunData& run);
Chart conflict_chart(const RunData& run);
Chart weight_chart(const RunData& run);
Chart norm_chart(const RunData& run);
Chart time_chart(const RunData& run);
Chart learning_rate_chart(const RunData& run);
// Dev metrics over epochs: one chart per task, errors (mae, ...) in one of their own; with many
// tasks one chart per metric.
std::vector<Chart> dev_charts(const RunData& run);

// The values at steps where there is one, as a line; `smoothed` takes a moving mean over some
// percent of the run.
Series step_series(const RunData& run,
                   const std::vector<double>& values,
                   const std::string& name,
                   Color color,
                   bool smoothed);
// Moving share of steps in conflict.
Series conflict_series(const RunData& run, const std::string& name, Color color);
// One dev metric of one task over epochs.
Series dev_series(const RunData& run,
                  const std::string& task,
                  const std::string& metric,
                  const std::string& name,
                  Color color);

}  // namespace detente::report

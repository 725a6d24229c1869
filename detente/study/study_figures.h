// SPDX-License-Identifier: Apache-2.0
// The pictures of a study's page.
#pragma once

#include <detente/report/html_page.h>
#include <detente/report/run_data.h>
#include <detente/study/results.h>

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace detente::study {

// A picture and what can be read in it.
struct Figure {
  report::Canvas canvas;
  std::vector<report::HtmlPage::Mark> marks;
  std::vector<std::string> unnamed;  // marks whose names found no room in the picture
};

// Colour of a method: its place among the study's methods counts; baselines are grey.
report::Color method_color(const Analysis& analysis, const std::string& method);

// The methods' means with their intervals as bars above one axis, single runs as small dots, the
// reference's mean as a line through all of them.
Figure interval_figure(const Analysis& analysis, const StudyTask& task);

// Two tasks' first metrics against each other, each method a point with its intervals. Methods that
// another one beats in one task and equals or beats in the other, by their means, are pale. No name covers
// another or a point: where points lie close, names stand further off with a line to their points.
Figure trade_off_figure(const Analysis& analysis, const StudyTask& x, const StudyTask& y);

// The methods that no other one dominates so, among those with a mean in both tasks.
std::vector<std::string> undominated(const Analysis& analysis,
                                     const StudyTask& x,
                                     const StudyTask& y);

// The pairs of tasks worth a trade-off figure, at most `most`: all of few, else those in which most
// methods are undominated.
std::vector<std::pair<std::size_t, std::size_t>> trade_offs(const Analysis& analysis,
                                                            std::span<const StudyTask> tasks,
                                                            std::size_t most);

// Whether a single-task baseline has a result.
bool has_baselines(const Analysis& analysis);

// The change of each task's first metric against its single-task baseline (where there are none,
// against the reference method) in percent, better above zero: methods by tasks. Cells are coloured by what
// of the change lies beyond its interval over the seeds that both have (without one, by the change), on a
// scale that reaches one percent at least. Nothing for one task or without a number.
std::optional<report::HeatMap> change_map(const Analysis& analysis,
                                          std::span<const StudyTask> tasks);

// A bar per method, from zero; NaN is no bar. `unit` stands behind the numbers.
struct Cost {
  std::string method;
  double value = 0;
};
Figure cost_figure(const Analysis& analysis, std::span<const Cost> costs, const std::string& unit);

// Of one method: the mean over its runs of a task's metric at each epoch, with the range over the
// runs. Without points where no run has one.
report::Series learning_series(std::span<const report::RunData> runs,
                               const std::string& task,
                               const std::string& metric,
                               const std::string& name,
                               report::Color color);

}  // namespace detente::study

// SPDX-License-Identifier: Apache-2.0
// What the losses of a run say of themselves (StepRecord::monitor) and what its network has learned
// to see (looks.h), as a part of the run's page.
#pragma once

#include <detente/report/chart.h>
#include <detente/report/html_page.h>
#include <detente/report/looks.h>
#include <detente/report/run_data.h>

#include <string>
#include <utility>
#include <vector>

namespace detente::report {

// Beyond these the entropies of a teacher's answers, as shares of the highest, mean that it has
// collapsed (distill/collapse.h).
inline constexpr double kUniformAbove = 0.99;      // the mean entropy
inline constexpr double kOnePrototypeBelow = 0.1;  // the entropy of the mean

// Charts over steps with a caption each; numbers of one kind share a chart, those that are of no
// known kind share one where they are of one size. Numbers that are nowhere finite are left out,
// and so are the charts of none.
std::vector<std::pair<Chart, std::string>> monitor_charts(const RunData& run);

// What the last entropies mean, in a sentence; "" without any.
std::string monitor_words(const RunData& run);

// The section; nothing of a run without such numbers and pictures.
void add_monitor(HtmlPage& page, const RunData& run);

}  // namespace detente::report

// SPDX-License-Identifier: Apache-2.0
// Figures of the page of values (value_page.h). Values of any size are drawn, in units of a power
// of ten that the axis names: those of one step of a training are 1e-7 as often as 1.
#pragma once

#include <detente/report/canvas.h>
#include <detente/report/heatmap.h>
#include <detente/report/html_page.h>
#include <detente/valuation/value_table.h>

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace detente::valuation {

// Three digits; "–" for what is not finite.
std::string short_value(double value);

// How many values lie in each of some forty ranges of equal width, one of which begins at 0: below
// it orange, above blue. The outermost half percent on either side is counted in the outermost
// ranges; how many values those are is added to `outside`.
report::Canvas histogram(std::span<const double> values,
                         std::vector<report::HtmlPage::Mark>& marks,
                         std::size_t& outside);

// A row of values that belong together, such as those of a class.
struct ValueGroup {
  std::string name;
  std::vector<double> values;
};
// Groups by names: those with the lowest medians first, at most `most` of them, and `left_out`
// others. An empty name belongs to no group. `names` as many as values, or kShape.
std::vector<ValueGroup> grouped(std::span<const double> values,
                                std::span<const std::string> names,
                                std::size_t most,
                                std::size_t& left_out);
// Of each group the range that 90 % lie in, the half in the middle, and the median.
report::Canvas spreads(std::span<const ValueGroup> groups,
                       std::vector<report::HtmlPage::Mark>& marks);

// A bar from 0 for each name.
struct ValueBar {
  std::string name;
  double value = 0;  // not finite: no bar
  std::string words;
};
report::Canvas bars(std::span<const ValueBar> bars, std::vector<report::HtmlPage::Mark>& marks);

// Rows: the task that was trained; columns: the one that is judged. Mean values, and shares of
// harmful examples (ValueSummary::harmful_share). Empty where the table does not tell both apart.
report::HeatMap mean_map(const ValueTable& table);
report::HeatMap harm_map(const ValueTable& table);

}  // namespace detente::valuation

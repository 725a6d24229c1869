// SPDX-License-Identifier: Apache-2.0
// value.html: the page of a table of values. It holds everything it shows and can be mailed, as a
// run's page does (report/html_page.h). What it shows of examples and of the run it is given: this
// folder knows no data.
#pragma once

#include <detente/valuation/removal.h>
#include <detente/valuation/suspects.h>
#include <detente/valuation/value_table.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace detente::valuation {

// Of methods that share a known total among the examples: whether nothing was lost. NaN: unknown.
struct ValueAudit {
  double max_relative_error = std::numeric_limits<double>::quiet_NaN();  // over all steps
  double values = std::numeric_limits<double>::quiet_NaN();              // their sum
  double remainder = std::numeric_limits<double>::quiet_NaN();  // what belongs to no example
  double total = std::numeric_limits<double>::quiet_NaN();      // what is shared
  std::int64_t steps = 0;                                       // audited; 0: not said
};

// An example as a person would look at it. All may be empty.
struct ShownExample {
  std::string file;
  std::optional<std::int64_t> row;                         // of the file, from 0
  std::optional<std::int64_t> line;                        // of the file, from 1
  std::vector<std::pair<std::string, std::string>> cells;  // name and text
  std::string png;                                         // a file in base64 (report/pixels.h)
  std::string wav;                                         // the same
};

struct ValuePageInput {
  std::string run;                   // the headline; empty: the method
  std::vector<std::string> notes{};  // sentences of the method about this run
  std::optional<ValueAudit> audit{};
  // How an example looks; called for those that are shown alone, never twice for one.
  std::function<ShownExample(std::int64_t id)> show{};
  std::vector<TaskLabels> labels{};    // per judged task, for the distribution by class
  std::vector<std::string> sources{};  // where each example is from ("": unknown), or none
  std::size_t most_shown = 8;          // examples of each kind and task
  std::vector<Suspect> suspects{};
  std::vector<RemovalCurve> removal{};
};

// What the verdicts mean, for pages and terminals.
std::string verdict_words();

// Any table is shown: empty ones, one example, values that are all alike or unknown, of any size.
// Text from data is escaped, whatever it holds. Throws kShape as check_table does, and for labels,
// sources or curves of other sizes than they should have.
std::string value_page(const ValueTable& table, const ValuePageInput& input);

}  // namespace detente::valuation

// SPDX-License-Identifier: Apache-2.0
// What `detente annotate` writes and says: the data with its new columns, and counts.
#pragma once

#include <detente/annotate/annotator.h>
#include <detente/core/json.h>
#include <detente/data/table.h>

#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

namespace detente::cli {

// By the ending, as format_by_ending has it. kInvalidArgument for another.
data::TableFormat labelled_format(const std::string& out);

// The lines of `file`'s content, as its table counts them, where both it and `out` are JSON lines; else none.
std::vector<std::string> kept_lines(std::string_view content,
                                    const std::string& file,
                                    const std::string& out);

// All columns of the table, then NAME and NAME_confidence of each task; both are empty (null in JSON lines) where there is no
// label. In JSON lines each of the kept lines, where there are some, stays what it is but for its new keys.
std::string labelled_table(const data::Table& table,
                           const std::vector<std::string>& kept,
                           const std::vector<annotate::Task>& tasks,
                           const annotate::Annotations& annotations,
                           data::TableFormat format);

struct TaskCounts {
  std::vector<std::size_t> labels;  // rows with each
  std::size_t no_label = 0;
  std::size_t not_in_sources = 0;
  std::size_t failed = 0;
  std::size_t not_reached = 0;
  double mean_share = 0;  // of rows with a label
  std::size_t labelled() const;
};
std::vector<TaskCounts> count_results(const std::vector<annotate::Task>& tasks,
                                      const annotate::Annotations& annotations);

void print_counts(const std::vector<annotate::Task>& tasks,
                  const std::vector<TaskCounts>& counts,
                  const annotate::Annotations& annotations,
                  std::ostream& out);
Json counts_json(const std::vector<annotate::Task>& tasks, const std::vector<TaskCounts>& counts);

}  // namespace detente::cli

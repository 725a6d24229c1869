// SPDX-License-Identifier: Apache-2.0
// What `detente annotate` writes and says: the data with its new columns, and counts.
#pragma once

#include <detente/annotate/annotator.h>
#include <detente/core/json.h>
#include <detente/data/table.h>

#include <iosfwd>
#include <string>
#include <vector>

namespace detente::cli {

enum class LabelledFormat { kTsv, kCsv, kJsonLines };

// By the ending: .tsv, .tab, .txt, .csv or .jsonl. kInvalidArgument for another.
LabelledFormat labelled_format(const std::string& out);

// All columns of the table, then NAME and NAME_confidence of each task; both are empty (null in JSON lines) where there is no
// label. From JSON lines to JSON lines each line stays what it is but for its new keys.
std::string labelled_table(const data::Table& table,
                           const std::string& file,
                           const std::vector<annotate::Task>& tasks,
                           const annotate::Annotations& annotations,
                           LabelledFormat format);

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

// SPDX-License-Identifier: Apache-2.0
// A recipe for a table nobody has described yet: which columns to predict, of what kind they are,
// which columns must not be inputs, and why. A proposal to start from, each choice with its reason;
// `detente new` writes it down.
#pragma once

#include <detente/core/task_kind.h>
#include <detente/data/survey.h>
#include <detente/data/table.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace detente::data {

struct ProposedTask {
  std::string name;  // usable as a task's name: no blanks, dots, slashes or bars
  std::string column;
  TaskKind kind = TaskKind::kRegression;
  std::optional<double> threshold;       // binary, where the cells are not 0 and 1
  std::vector<std::string> class_names;  // classes of words, ordinal: in their order; labels
  char separator = '\0';                 // labels: between the words of a cell
  std::int64_t classes = 0;              // classes of ids 0, 1, ...
  std::optional<std::pair<double, double>> range;  // regression on a scale of few whole numbers
  std::string why;                                 // the kind, and the column where it was guessed
};

// A column with the reason for what is done to it.
struct ProposedColumn {
  std::string name;
  std::string why;
};

struct RecipeProposal {
  std::size_t rows = 0;
  std::string why_targets;  // how the targets were found
  std::vector<ProposedTask> tasks;
  std::vector<ProposedColumn> ignored;  // columns that are to be no inputs
  std::vector<std::string> categories;  // names, though cells look like numbers
  std::vector<ProposedColumn> remarks;  // what to look at
  std::size_t inputs = 0;

  double dev = 0, test = 0;  // shares
  std::int64_t split_seed = 0;
  std::string group;  // split by this column, or ""
  std::string time;   // what a split by time would go by, or ""

  std::vector<std::int64_t> widths;
  double dropout = 0;
  double lr = 0.001;
  std::int64_t epochs = 1;
  std::int64_t batch_size = 32;
};

// Without `targets`: the columns whose names begin with target, label, class, outcome or y as a
// word ("target:casual", "y2", "Class"), else the last column that can be one. Throws kData: fewer
// than 2 rows, a named column that is missing or cannot be a target (with the reason), no target, no
// input left, too few rows for a part of each task.
RecipeProposal propose_recipe(const Table& table, const std::vector<std::string>& targets);

// A task's name from a column's: without a leading "target:", forbidden characters as '_'.
std::string task_name_of(const std::string& column);

}  // namespace detente::data

// SPDX-License-Identifier: Apache-2.0
// The targets of tasks, read from columns of a table.
#pragma once

#include <detente/core/task_kind.h>
#include <detente/data/table.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace detente::data {

// Where a task's targets come from: one column, or several (regression, labels), or one whose cells hold
// any number of words (labels).
struct TargetColumn {
  std::string task;                  // names the task in messages
  std::string source;                // of a joined table: the rows that have it; empty: all
  std::string column;                // empty where there are several
  std::vector<std::string> columns;  // a number per row each; 0 or 1 for labels, which they name
  char separator = '\0';             // kLabels, one column: between the words of a cell
  TaskKind kind = TaskKind::kRegression;
  std::optional<double> threshold;       // kBinary: the target is 1 when the cell is >= threshold
  std::int64_t classes = 0;              // kClasses, kOrdinal: ids lie below this; 0 = any id >= 0
  std::vector<std::string> class_names;  // the same: cells hold these names; id = position. kLabels
                                         // with a separator: the words
  // kRegression: the ends of the scale the network was given; targets beyond are a warning.
  std::optional<std::pair<double, double>> range;
  double largest = std::numeric_limits<double>::max();  // what the network's numbers hold
  // Rows that are measured alone: no target at all is a warning, where training has nothing to go by.
  bool may_lack = false;

  // Those of the file.
  std::vector<std::string> file_columns() const;
};

// Of a target with something for each pixel, over all examples. Only pixels with a target count.
struct MapSummary {
  std::size_t channels = 1;  // normals: 3
  std::size_t height = 0;
  std::size_t width = 0;
  std::size_t pixels = 0;      // with a target
  std::vector<double> counts;  // segmentation: pixels of each class
  std::vector<double> means;   // depth, normals: per channel
};

struct Target {
  std::string task;
  TaskKind kind = TaskKind::kRegression;
  // Row by row; NaN = missing, masked in the loss. Of maps (is_map) one per example, how many pixels have
  // a target; the maps themselves are in Source::target_batch alone.
  std::vector<double> values;
  std::size_t missing = 0;             // rows without any target
  std::size_t columns = 1;             // numbers per row
  std::optional<MapSummary> map = {};  // exactly for maps

  std::size_t rows() const { return values.size() / columns; }
};

// The first `rows` cells of the task's column. Throws kData: missing column, no target at all
// (naming the task; a warning where it may lack), a binary target that is not 0 or 1, a class id that is not a whole number in
// range or not a known name, words for a task of numbers, a number too large (with file and line).
// A class may be named like a missing cell (NA) and then is none. A constant target is a warning,
// and so are targets beyond the scale. Of several columns each is read as a task's one column is.
// With a separator a cell holds words of class_names, blanks around them and repetitions do not
// count, and an unknown word is kData; a cell of separators alone is a row without labels, while an
// empty one is missing, as everywhere. In a joined table (Table::joined) the rows of other sources than the
// task's have none; where that source has no rows at all, none is no error.
Target read_target(const Table& table,
                   const TargetColumn& column,
                   std::size_t rows,
                   std::vector<std::string>& warnings);

// For a target that has no value in `rows` (a description: "all 12 rows") of `source`: kData ending with
// what was expected, or a warning where it may lack.
void tell_lacking(const TargetColumn& column,
                  const std::string& source,
                  const std::string& rows,
                  const std::string& expected,
                  std::vector<std::string>& warnings);

// Makes the targets of these rows missing.
void make_missing(Target& target, const std::function<bool(std::size_t row)>& which);

// Targets with several numbers per row as that many with one, named "task.label" or "task.column": what
// looks at one number at a time. The others stay as they are.
std::vector<TargetColumn> single_columns(std::span<const TargetColumn> columns);
std::vector<Target> single_targets(std::span<const Target> targets,
                                   std::span<const TargetColumn> columns);

// Throws kInvalidArgument with the names of all when there is none of this task.
const Target& find_target(std::span<const Target> targets, std::string_view task);

}  // namespace detente::data

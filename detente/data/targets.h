// SPDX-License-Identifier: Apache-2.0
// The targets of tasks, read from columns of a table.
#pragma once

#include <detente/core/task_kind.h>
#include <detente/data/table.h>

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace detente::data {

// Where a task's targets come from.
struct TargetColumn {
  std::string task;  // names the task in messages
  std::string column;
  TaskKind kind = TaskKind::kRegression;
  std::optional<double> threshold;       // kBinary: the target is 1 when the cell is >= threshold
  std::int64_t classes = 0;              // kClasses: ids lie below this; 0 = any id >= 0
  std::vector<std::string> class_names;  // kClasses: cells hold these names; id = position
  // kRegression: the ends of the scale the network was given; targets beyond are a warning.
  std::optional<std::pair<double, double>> range;
  double largest = std::numeric_limits<double>::max();  // what the network's numbers hold
};

struct Target {
  std::string task;
  TaskKind kind = TaskKind::kRegression;
  std::vector<double> values;  // NaN = missing, masked in the loss
  std::size_t missing = 0;
};

// The first `rows` cells of the task's column. Throws kData: missing column, no target at all
// (naming the task), a binary target that is not 0 or 1, a class id that is not a whole number in
// range or not a known name, words for a task of numbers, a number too large (with file and line).
// A class may be named like a missing cell (NA) and then is none. A constant target is a warning,
// and so are targets beyond the scale.
Target read_target(const Table& table,
                   const TargetColumn& column,
                   std::size_t rows,
                   std::vector<std::string>& warnings);

// Throws kInvalidArgument with the names of all when there is none of this task.
const Target& find_target(std::span<const Target> targets, std::string_view task);

}  // namespace detente::data

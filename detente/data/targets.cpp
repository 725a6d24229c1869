// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/fields.h>
#include <detente/core/suggest.h>
#include <detente/data/targets.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace detente::data {
namespace {

std::vector<double> class_ids(const Table& table, const TargetColumn& target) {
  if (target.class_names.empty()) return table.numeric_column(target.column);
  const auto& names = target.class_names;
  const auto cells = table.text_column(target.column);
  std::vector<double> ids(cells.size(), std::numeric_limits<double>::quiet_NaN());
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (cells[i].empty()) continue;
    const auto found = std::find(names.begin(), names.end(), cells[i]);
    DETENTE_CHECK(
        found != names.end(),
        ErrorCode::kData,
        "[data::read_target] line {} of '{}', column '{}': '{}' is no class of task '{}'; "
        "expected one of: {}.{}",
        table.line(i),
        table.source(),
        target.column,
        cells[i],
        target.task,
        join_names(names),
        did_you_mean(cells[i], names));
    ids[i] = static_cast<double>(found - names.begin());
  }
  return ids;
}

void check_value(double value, const TargetColumn& target, const Table& table, std::size_t row) {
  if (target.kind == TaskKind::kRegression || std::isnan(value)) return;
  const auto refuse = [&](const std::string& expected) {
    fail(ErrorCode::kData,
         "[data::read_target] line {} of '{}', column '{}': {} cannot be a target of the {} task "
         "'{}'; expected {}.",
         table.line(row),
         table.source(),
         target.column,
         number_text(value),
         name_of(target.kind),
         target.task,
         expected);
  };
  if (target.kind == TaskKind::kBinary) {
    if (value != 0.0 && value != 1.0) refuse("0 or 1 (or a threshold that makes it so)");
    return;
  }
  const bool whole = value >= 0.0 && value == std::floor(value);
  if (!whole) refuse("a whole number >= 0");
  if (target.classes > 0 && value >= static_cast<double>(target.classes)) {
    refuse(fmt::format("a class id below {}", target.classes));
  }
}

}  // namespace

Target read_target(const Table& table,
                   const TargetColumn& column,
                   std::size_t rows,
                   std::vector<std::string>& warnings) {
  DETENTE_CHECK(!column.threshold || column.kind == TaskKind::kBinary,
                ErrorCode::kInvalidArgument,
                "[data::read_target] task '{}' is a {} task with a threshold; expected a threshold "
                "only for binary tasks.",
                column.task,
                name_of(column.kind));
  Target target{column.task, column.kind, {}, 0};
  target.values = column.kind == TaskKind::kClasses ? class_ids(table, column)
                                                    : table.numeric_column(column.column);
  target.values.resize(rows);
  double first = std::numeric_limits<double>::quiet_NaN();
  bool constant = true;
  for (std::size_t i = 0; i < rows; ++i) {
    double& value = target.values[i];
    if (std::isnan(value)) {
      ++target.missing;
      continue;
    }
    if (column.threshold) value = value >= *column.threshold ? 1.0 : 0.0;
    check_value(value, column, table, i);
    if (std::isnan(first)) first = value;
    constant = constant && value == first;
  }
  DETENTE_CHECK(
      target.missing < rows,
      ErrorCode::kData,
      "[data::read_target] task '{}' has no target: column '{}' of '{}' is missing in all "
      "{} rows; expected at least one number.",
      column.task,
      column.column,
      table.source(),
      rows);
  if (constant) {
    warnings.push_back(
        fmt::format("Task '{}': every target in column '{}' of '{}' is {}; there is "
                    "nothing to learn and correlations are undefined.",
                    column.task,
                    column.column,
                    table.source(),
                    number_text(first)));
  }
  return target;
}

const Target& find_target(std::span<const Target> targets, std::string_view task) {
  std::vector<std::string> names;
  for (const auto& entry : targets) {
    if (entry.task == task) return entry;
    names.push_back(entry.task);
  }
  fail(ErrorCode::kInvalidArgument,
       "[data::find_target] there is no task '{}'; {}",
       task,
       expected_one_of(task, names));
}

}  // namespace detente::data

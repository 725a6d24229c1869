// SPDX-License-Identifier: Apache-2.0
#include <detente/core/ascii.h>
#include <detente/core/error.h>
#include <detente/core/fields.h>
#include <detente/core/suggest.h>
#include <detente/data/source_files.h>
#include <detente/data/targets.h>
#include <detente/data/wide_targets.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

namespace detente::data {
namespace {

// Words where numbers are expected: which ones, and that classes are what they are.
void refuse_words(const Table& table, const TargetColumn& target) {
  constexpr std::size_t kNamed = 10;
  std::vector<std::string> words;
  std::size_t first = 0;
  const auto cells = table.text_column(target.column);
  for (std::size_t i = 0; i < cells.size() && words.size() <= kNamed; ++i) {
    const std::string_view cell = trim(cells[i]);
    if (is_missing(cell) || parse_cell(cell)) continue;
    if (words.empty()) first = i;
    if (std::find(words.begin(), words.end(), cell) == words.end()) words.emplace_back(cell);
  }
  if (words.empty()) return;
  const std::string found = words.front();
  std::string advice = "take another column, or correct the cell";
  if (words.size() > 1 && words.size() <= kNamed) {
    std::sort(words.begin(), words.end());
    advice =
        fmt::format("words are classes: head: classes and class_names: [{}]", join_names(words));
  }
  fail(
      ErrorCode::kData,
      "[data::read_target] line {} of '{}', column '{}': '{}' is no number, which the {} task '{}' "
      "needs; expected {}, or nothing, ?, NA, NaN or null for a missing one. To mend it, {}.",
      table.line(first),
      table.source(),
      target.column,
      found,
      name_of(target.kind),
      target.task,
      target.kind == TaskKind::kBinary && !target.threshold ? "0 or 1" : "a number",
      advice);
}

std::vector<double> number_targets(const Table& table, const TargetColumn& target) {
  refuse_words(table, target);
  return table.numeric_column(target.column);
}

std::vector<double> class_ids(const Table& table, const TargetColumn& target) {
  if (target.class_names.empty()) return number_targets(table, target);
  const auto& names = target.class_names;
  std::unordered_map<std::string_view, double> ids_of;
  for (const std::string& name : names) ids_of.emplace(name, static_cast<double>(ids_of.size()));
  const auto cells = table.text_column(target.column);
  std::vector<double> ids(cells.size(), std::numeric_limits<double>::quiet_NaN());
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const auto found = ids_of.find(cells[i]);
    if (found == ids_of.end() && is_missing(cells[i])) continue;
    DETENTE_CHECK(
        found != ids_of.end(),
        ErrorCode::kData,
        "[data::read_target] line {} of '{}', column '{}': '{}' is no class of task '{}'; "
        "{}",
        table.line(i),
        table.source(),
        target.column,
        cells[i],
        target.task,
        expected_one_of(cells[i], names));
    ids[i] = found->second;
  }
  return ids;
}

void check_value(double value, const TargetColumn& target, const Table& table, std::size_t row) {
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
  if (target.kind == TaskKind::kRegression) {
    if (std::abs(value) > target.largest) {
      refuse(
          fmt::format("at most {} in size, the largest number of the network's precision (float64 "
                      "holds more)",
                      number_text(target.largest)));
    }
    return;
  }
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

// The source's own rows are read as a table by themselves, so that messages name its file.
Target read_of_source(const Table& table,
                      const TargetColumn& column,
                      std::vector<std::string>& warnings) {
  const auto& names = table.origins();
  const auto found = std::find(names.begin(), names.end(), column.source);
  const auto origin = static_cast<std::size_t>(found - names.begin());
  TargetColumn own = column;
  own.source.clear();
  Target target{column.task, column.kind, {}, 0};
  if (found == names.end()) {
    const bool words = column.kind == TaskKind::kLabels && column.columns.empty();
    target.columns = words                    ? column.class_names.size()
                     : column.columns.empty() ? 1
                                              : column.columns.size();
  } else {
    const Table part = table.of_origin(origin);
    target =
        of_source(column.source, [&] { return read_target(part, own, part.rows(), warnings); });
  }
  const std::vector<double> values = std::move(target.values);
  target.values.assign(table.rows() * target.columns, std::numeric_limits<double>::quiet_NaN());
  target.missing += table.rows() - values.size() / target.columns;
  auto next = values.begin();
  for (std::size_t row = 0; row < table.rows(); ++row) {
    if (table.origin(row) != origin) continue;
    const auto end = next + static_cast<std::ptrdiff_t>(target.columns);
    std::copy(next, end, target.values.begin() + static_cast<std::ptrdiff_t>(row * target.columns));
    next = end;
  }
  return target;
}

}  // namespace

Target read_target(const Table& table,
                   const TargetColumn& column,
                   std::size_t rows,
                   std::vector<std::string>& warnings) {
  if (!column.source.empty() && !table.origins().empty()) {
    DETENTE_DCHECK(rows == table.rows());
    return read_of_source(table, column, warnings);
  }
  if (!column.columns.empty()) return internal::read_columns(table, column, rows, warnings);
  if (column.kind == TaskKind::kLabels) {
    return internal::read_words(table, column, rows, warnings);
  }
  DETENTE_CHECK(!column.threshold || column.kind == TaskKind::kBinary,
                ErrorCode::kInvalidArgument,
                "[data::read_target] task '{}' is a {} task with a threshold; expected a threshold "
                "only for binary tasks.",
                column.task,
                name_of(column.kind));
  Target target{column.task, column.kind, {}, 0};
  target.values =
      has_classes(column.kind) ? class_ids(table, column) : number_targets(table, column);
  target.values.resize(rows);
  double first = std::numeric_limits<double>::quiet_NaN();
  bool constant = true;
  std::size_t beyond = 0;
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
    if (column.range && (value < column.range->first || value > column.range->second)) ++beyond;
  }
  if (target.missing == rows) {
    tell_lacking(
        column, table.source(), fmt::format("all {} rows", rows), "at least one number", warnings);
    return target;
  }
  if (beyond > 0) {
    warnings.push_back(
        fmt::format("Task '{}': {} of {} targets in column '{}' of '{}' lie outside low..high "
                    "({}..{}), the scale "
                    "of its head.",
                    column.task,
                    beyond,
                    rows - target.missing,
                    column.column,
                    table.source(),
                    number_text(column.range->first),
                    number_text(column.range->second)));
  }
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

void tell_lacking(const TargetColumn& column,
                  const std::string& source,
                  const std::string& rows,
                  const std::string& expected,
                  std::vector<std::string>& warnings) {
  DETENTE_CHECK(
      column.may_lack,
      ErrorCode::kData,
      "[data::read_target] task '{}' has no target: column '{}' of '{}' is missing in {}; "
      "expected {}.",
      column.task,
      column.column,
      source,
      rows,
      expected);
  warnings.push_back(
      fmt::format("Task '{}' has no target here: column '{}' of '{}' is missing in {}; its metrics "
                  "are undefined.",
                  column.task,
                  column.column,
                  source,
                  rows));
}

void make_missing(Target& target, const std::function<bool(std::size_t row)>& which) {
  target.missing = 0;
  for (std::size_t row = 0; row < target.rows(); ++row) {
    const auto begin = target.values.begin() + static_cast<std::ptrdiff_t>(row * target.columns);
    const auto end = begin + static_cast<std::ptrdiff_t>(target.columns);
    if (which(row)) std::fill(begin, end, std::numeric_limits<double>::quiet_NaN());
    if (std::all_of(begin, end, [](double value) { return std::isnan(value); })) ++target.missing;
  }
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

// SPDX-License-Identifier: Apache-2.0
#include <detente/core/ascii.h>
#include <detente/core/error.h>
#include <detente/core/fields.h>
#include <detente/core/suggest.h>
#include <detente/data/wide_targets.h>

#include <cmath>
#include <limits>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace detente::data {
namespace {

// Of a column that is one of several, or of a label: it alone, as a task.
TargetColumn one_column(const TargetColumn& column, const std::string& name) {
  TargetColumn one = column;
  one.task = column.task + "." + name;
  one.column = column.columns.empty() ? column.column : name;
  one.columns.clear();
  one.class_names.clear();
  one.separator = '\0';
  if (one.kind == TaskKind::kLabels) one.kind = TaskKind::kBinary;
  return one;
}

bool is_wide(const TargetColumn& column) {
  return !column.columns.empty() || column.kind == TaskKind::kLabels;
}

const std::vector<std::string>& names_of(const TargetColumn& column) {
  return column.columns.empty() ? column.class_names : column.columns;
}

std::size_t count_missing_rows(const std::vector<double>& values, std::size_t columns) {
  std::size_t missing = 0;
  for (std::size_t i = 0; i < values.size(); i += columns) {
    bool known = false;
    for (std::size_t c = 0; c < columns; ++c) known = known || !std::isnan(values[i + c]);
    missing += known ? 0 : 1;
  }
  return missing;
}

void warn_of_constant_labels(const Target& target,
                             const TargetColumn& column,
                             const std::string& source,
                             std::vector<std::string>& warnings) {
  std::vector<std::string> never;
  std::vector<std::string> always;
  for (std::size_t c = 0; c < target.columns; ++c) {
    std::size_t ones = 0;
    for (std::size_t i = c; i < target.values.size(); i += target.columns) {
      ones += target.values[i] == 1.0 ? 1 : 0;
    }
    if (ones == 0) never.push_back(column.class_names[c]);
    if (ones == target.rows() - target.missing) always.push_back(column.class_names[c]);
  }
  const auto warn = [&](const char* rows, const std::vector<std::string>& labels) {
    if (labels.empty()) return;
    warnings.push_back(
        fmt::format("Task '{}': {} row of '{}' has the label{} {} in column '{}'; there is nothing "
                    "to learn about {}.",
                    column.task,
                    rows,
                    source,
                    labels.size() == 1 ? "" : "s",
                    join_names(labels),
                    column.column,
                    labels.size() == 1 ? "it" : "them"));
  };
  warn("no", never);
  warn("every", always);
}

}  // namespace

std::vector<std::string> TargetColumn::file_columns() const {
  return columns.empty() ? std::vector<std::string>{column} : columns;
}

std::vector<TargetColumn> single_columns(std::span<const TargetColumn> columns) {
  std::vector<TargetColumn> single;
  for (const TargetColumn& column : columns) {
    if (!is_wide(column)) {
      single.push_back(column);
      continue;
    }
    for (const std::string& name : names_of(column)) single.push_back(one_column(column, name));
  }
  return single;
}

std::vector<Target> single_targets(std::span<const Target> targets,
                                   std::span<const TargetColumn> columns) {
  std::vector<Target> single;
  for (std::size_t k = 0; k < targets.size(); ++k) {
    const Target& wide = targets[k];
    if (!is_wide(columns[k])) {
      single.push_back(wide);
      continue;
    }
    const auto& names = names_of(columns[k]);
    for (std::size_t c = 0; c < wide.columns; ++c) {
      const TargetColumn one = one_column(columns[k], names[c]);
      Target target{one.task, one.kind, {}, 0};
      for (std::size_t i = c; i < wide.values.size(); i += wide.columns) {
        target.values.push_back(wide.values[i]);
      }
      target.missing = count_missing_rows(target.values, 1);
      single.push_back(std::move(target));
    }
  }
  return single;
}

namespace internal {

Target read_columns(const Table& table,
                    const TargetColumn& column,
                    std::size_t rows,
                    std::vector<std::string>& warnings) {
  Target target{column.task, column.kind, {}, 0, column.columns.size()};
  target.values.resize(rows * target.columns);
  for (std::size_t c = 0; c < target.columns; ++c) {
    TargetColumn single = one_column(column, column.columns[c]);
    single.task = column.task;  // messages name the column anyway
    const Target one = read_target(table, single, rows, warnings);
    for (std::size_t i = 0; i < rows; ++i) target.values[i * target.columns + c] = one.values[i];
  }
  target.missing = count_missing_rows(target.values, target.columns);
  return target;
}

Target read_words(const Table& table,
                  const TargetColumn& column,
                  std::size_t rows,
                  std::vector<std::string>& warnings) {
  const auto& names = column.class_names;
  DETENTE_CHECK(column.separator != '\0' && !names.empty(),
                ErrorCode::kInvalidArgument,
                "[data::read_target] the labels task '{}' has neither columns of 0 and 1 nor a "
                "separator and the words that it separates; expected one of them.",
                column.task);
  std::unordered_map<std::string_view, std::size_t> ids;
  for (const std::string& name : names) ids.emplace(name, ids.size());
  Target target{column.task, column.kind, {}, 0, names.size()};
  target.values.assign(rows * target.columns, std::numeric_limits<double>::quiet_NaN());
  const auto cells = table.text_column(column.column);
  for (std::size_t i = 0; i < rows; ++i) {
    std::string_view rest = cells[i];
    const bool has_words = rest.find(column.separator) != std::string_view::npos;
    if (!has_words && !ids.contains(trim(rest)) && is_missing(rest)) continue;
    double* labels = target.values.data() + i * target.columns;
    std::fill_n(labels, target.columns, 0.0);
    while (true) {
      const std::size_t end = rest.find(column.separator);
      const std::string_view word = trim(rest.substr(0, end));
      const auto found = ids.find(word);
      if (found != ids.end()) labels[found->second] = 1.0;
      DETENTE_CHECK(found != ids.end() || word.empty(),
                    ErrorCode::kData,
                    "[data::read_target] line {} of '{}', column '{}': '{}' is no label of task "
                    "'{}', whose labels '{}' separates; {}",
                    table.line(i),
                    table.source(),
                    column.column,
                    word,
                    column.task,
                    column.separator,
                    expected_one_of(std::string(word), names));
      if (end == std::string_view::npos) break;
      rest.remove_prefix(end + 1);
    }
  }
  target.missing = count_missing_rows(target.values, target.columns);
  if (target.missing == rows) {
    tell_lacking(column,
                 table.source(),
                 fmt::format("all {} rows", rows),
                 fmt::format("words, or '{}' alone for a row without labels", column.separator),
                 warnings);
    return target;
  }
  warn_of_constant_labels(target, column, table.source(), warnings);
  return target;
}

}  // namespace internal
}  // namespace detente::data

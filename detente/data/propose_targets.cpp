// SPDX-License-Identifier: Apache-2.0
#include <detente/core/ascii.h>
#include <detente/core/error.h>
#include <detente/core/fields.h>
#include <detente/data/propose_steps.h>
#include <detente/text/printable.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

namespace detente::data {
namespace internal {
namespace {

constexpr std::size_t kMostWords = 100;  // different words of a target
constexpr std::size_t kMostIds = 50;     // different ids of a target that is called a class
constexpr std::size_t kScale = 11;       // steps of a scale, e.g. 0 to 10

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || static_cast<unsigned char>(c) >= 0x80; }

// Whether the name begins with one of the words, and the word ends there.
template <std::size_t N>
bool begins_with_word(const std::string& name, const std::array<const char*, N>& words) {
  const std::string lower = lower_ascii(name);
  return std::any_of(words.begin(), words.end(), [&](std::string_view word) {
    return lower.starts_with(word) &&
           (lower.size() == word.size() || !is_letter(lower[word.size()]));
  });
}

bool is_called_class(const std::string& name) {
  const std::string lower = lower_ascii(name);
  constexpr std::array<const char*, 6> kWords = {
      "class", "label", "categor", "type", "kind", "species"};
  return std::any_of(kWords.begin(), kWords.end(), [&](const char* word) {
    return lower.find(word) != std::string::npos;
  });
}

void describe_numbers(const ColumnSurvey& column, ProposedTask& task) {
  const auto size = static_cast<std::int64_t>(column.distinct);
  const bool ids = column.whole && column.low == 0 && column.high == static_cast<double>(size - 1);
  if (column.distinct == 2) {
    task.kind = TaskKind::kBinary;
    const std::size_t positive = column.counts.at(number_text(column.high));
    task.why =
        fmt::format("two different numbers, {} in {:.1f} % of the rows that have one",
                    number_text(column.high),
                    100.0 * static_cast<double>(positive) / static_cast<double>(column.filled()));
    if (!ids) task.threshold = column.high;
    return;
  }
  if (ids && column.distinct <= kMostIds && is_called_class(column.name)) {
    task.kind = TaskKind::kClasses;
    task.classes = size;
    task.why = fmt::format("every id from 0 to {}, and the column's name says so", size - 1);
    return;
  }
  task.why =
      fmt::format("numbers from {} to {}", number_text(column.low), number_text(column.high));
  if (column.whole && column.distinct <= kScale && column.high - column.low < 2 * kScale) {
    task.range = {column.low, column.high};
    task.why = fmt::format(
        "a scale of whole numbers; if they are names, not an order, use head: "
        "classes");
  }
}

// Steps of a scale in an order, by the column's name and cells that are spelled as numbers are.
bool is_called_scale(const std::string& name) {
  const std::string lower = lower_ascii(name);
  constexpr std::array<const char*, 7> kWords = {
      "rating", "stars", "grade", "level", "stage", "severity", "quality"};
  return std::any_of(kWords.begin(), kWords.end(), [&](const char* word) {
    return lower.find(word) != std::string::npos;
  });
}

bool spelled_as_numbers(const Table& table, const ColumnSurvey& column) {
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const std::string_view cell = table.cell(row, column.index);
    if (!is_missing(cell) && !column.counts.contains(std::string(cell))) return false;
  }
  return true;
}

// The steps of a scale as ordered classes, where that can be said of a column of numbers.
bool describe_steps(const Table& table, const ColumnSurvey& column, ProposedTask& task) {
  if (!column.whole || column.distinct < 3 || column.distinct > kScale ||
      !is_called_scale(column.name) || !spelled_as_numbers(table, column)) {
    return false;
  }
  std::map<double, std::string> steps;
  for (const auto& [word, count] : column.counts) steps.emplace(std::stod(word), word);
  task.kind = TaskKind::kOrdinal;
  for (const auto& [value, word] : steps) task.class_names.push_back(word);
  task.why =
      "whole numbers that the column's name calls steps of a scale; head: regression takes "
      "their distances for equal";
  return true;
}

void make_names_unique(std::vector<ProposedTask>& tasks) {
  std::set<std::string> taken;
  for (ProposedTask& task : tasks) {
    const std::string name = task.name;
    for (int n = 2; taken.contains(task.name) || taken.contains(task.name + "_probability"); ++n) {
      task.name = fmt::format("{}_{}", name, n);
    }
    taken.insert({task.name, task.name + "_probability"});
  }
}

}  // namespace

std::string why_no_target(const ColumnSurvey& column) {
  using Kind = ColumnSurvey::Kind;
  if (column.name.empty()) return "it has no name";
  if (column.kind == Kind::kEmpty) return "every cell is missing";
  if (column.distinct == 1) return "every row holds the same";
  if (column.kind == Kind::kDate) return "it holds dates; days or hours as numbers could be one";
  if (column.kind == Kind::kNumber) return "";
  if (column.numbers > 0 && 10 * column.numbers >= 9 * column.filled()) {
    return "it holds numbers and a few words; leave such cells empty";
  }
  if (column.distinct > kMostWords) {
    return fmt::format(
        "it holds {} different words, more than {} classes", column.distinct, kMostWords);
  }
  if (2 * column.distinct > column.filled()) {
    return fmt::format("{} of its {} words differ", column.distinct, column.filled());
  }
  return "";
}

bool looks_like_target(const std::string& name) {
  constexpr std::array<const char*, 6> kWords = {
      "target", "label", "labels", "class", "outcome", "y"};
  return begins_with_word(name, kWords);
}

ProposedTask propose_task(const Table& table, const ColumnSurvey& column) {
  ProposedTask task;
  task.name = task_name_of(column.name);
  task.column = column.name;
  if (column.kind == ColumnSurvey::Kind::kNumber) {
    if (!describe_steps(table, column, task)) describe_numbers(column, task);
    return task;
  }
  if (auto labels = labels_in_cells(table, column)) {
    task.kind = TaskKind::kLabels;
    task.separator = labels->separator;
    task.class_names = std::move(labels->words);
    task.why = fmt::format(
        "cells of any of {} words with '{}' between them", task.class_names.size(), task.separator);
    return task;
  }
  if (auto steps = words_in_order(column); !steps.empty()) {
    task.kind = TaskKind::kOrdinal;
    task.class_names = std::move(steps);
    task.why = "words that are steps of a scale, lowest first; look at their order";
    return task;
  }
  task.kind = TaskKind::kClasses;
  for (const auto& [word, count] : column.counts) task.class_names.push_back(word);
  task.why = fmt::format("{} different words", column.distinct);
  return task;
}

std::string why_no_task(const Table& table, const ColumnSurvey& column) {
  std::string reason = why_no_target(column);
  return !reason.empty() && labels_in_cells(table, column) ? "" : reason;
}

std::vector<ProposedTask> propose_targets(const Table& table,
                                          std::span<const ColumnSurvey> columns,
                                          const std::vector<std::string>& wanted,
                                          std::string& why) {
  std::vector<ProposedTask> tasks;
  std::set<std::string> named;
  for (const std::string& name : wanted) {
    const ColumnSurvey& column = columns[table.column_index(name)];
    DETENTE_CHECK(named.insert(name).second,
                  ErrorCode::kInvalidArgument,
                  "[data::propose_recipe] the target '{}' is named twice.",
                  name);
    const std::string reason = why_no_task(table, column);
    DETENTE_CHECK(reason.empty(),
                  ErrorCode::kData,
                  "[data::propose_recipe] column '{}' of '{}' can be no target: {}.",
                  name,
                  table.source(),
                  reason);
    tasks.push_back(propose_task(table, column));
  }
  why = "as asked";
  if (tasks.empty()) {
    why = "the columns whose names begin with target, label, class, outcome or y";
    for (const ColumnSurvey& column : columns) {
      if (looks_like_target(column.name) && why_no_task(table, column).empty()) {
        tasks.push_back(propose_task(table, column));
      }
    }
  }
  if (tasks.empty()) {
    const auto last = std::find_if(columns.rbegin(), columns.rend(), [&](const auto& column) {
      return why_no_task(table, column).empty();
    });
    DETENTE_CHECK(
        last != columns.rend(),
        ErrorCode::kData,
        "[data::propose_recipe] no column of '{}' can be a target: of the last one, '{}', {}. "
        "Expected numbers, or words that occur several times.",
        table.source(),
        columns.back().name,
        why_no_task(table, columns.back()));
    why = "the last column that can be one, for no name says which; name them with --targets";
    tasks.push_back(propose_task(table, *last));
  }
  make_names_unique(tasks);
  return tasks;
}

}  // namespace internal

std::string task_name_of(const std::string& column) {
  std::string name = column;
  for (const std::string_view prefix : {"target:", "target_", "target "}) {
    if (name.size() > prefix.size() && lower_ascii(name).starts_with(prefix)) {
      name = name.substr(prefix.size());
      break;
    }
  }
  // printable() spells out with backslashes what no terminal should get.
  name = text::printable(name);
  for (char& c : name) {
    if (std::string_view(".|/ ").find(c) != std::string_view::npos) c = '_';
  }
  return name.empty() ? "task" : name;
}

}  // namespace detente::data

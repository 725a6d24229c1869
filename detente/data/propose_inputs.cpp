// SPDX-License-Identifier: Apache-2.0
#include <detente/core/ascii.h>
#include <detente/core/fields.h>
#include <detente/data/inspect_steps.h>
#include <detente/data/propose_steps.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

namespace detente::data::internal {
namespace {

using Kind = ColumnSurvey::Kind;

constexpr std::size_t kFewestRows = 20;      // below, nothing tells a counter from a number
constexpr std::size_t kFewestGroups = 5;     // to hold some of them out
constexpr std::size_t kMostCategories = 32;  // whole numbers that are taken for names
constexpr std::size_t kRowsEach = 30;        // of them, on average

bool is_called_id(const std::string& name) {
  const std::string lower = lower_ascii(name);
  if (lower == "id" || lower == "index" || lower == "#" || lower == "uuid" || lower == "guid")
    return true;
  constexpr std::array<const char*, 5> kEnds = {"_id", " id", "-id", ".id", "#"};
  return std::any_of(
      kEnds.begin(), kEnds.end(), [&](const char* end) { return lower.ends_with(end); });
}

// "" for a column that may be an input.
std::string why_no_input(const ColumnSurvey& column) {
  if (column.kind == Kind::kEmpty) return "every cell is missing";
  if (column.distinct == 1 && column.missing == 0) return "every row holds the same";
  if (column.infinite > 0 && column.infinite + column.numbers == column.filled()) {
    return "it holds infinite numbers";
  }
  if (column.rows < kFewestRows) return "";
  if (const std::string name = why_name_of_rows(column); !name.empty()) return name;
  if (column.kind == Kind::kWords && 2 * column.distinct > column.filled()) {
    return fmt::format(
        "{} of its {} words differ: it names rows, or is text (two columns of sentences are "
        "data.kind: pairs)",
        column.distinct,
        column.filled());
  }
  return "";
}

bool may_be_group(const ColumnSurvey& column) {
  const bool names = column.kind == Kind::kWords || (column.kind == Kind::kNumber && column.whole);
  return names && column.missing == 0 && is_called_group(column.name) &&
         column.distinct >= kFewestGroups && 2 * column.distinct <= column.rows;
}

bool may_be_category(const ColumnSurvey& column) {
  // The training rows alone might hold nothing but numbers, or dates.
  if (column.kind == Kind::kWords) return column.numbers + column.infinite + column.dates > 0;
  return column.kind == Kind::kNumber && column.whole && column.distinct >= 3 &&
         column.distinct <= kMostCategories && column.filled() >= kRowsEach * column.distinct &&
         column.high - column.low < 2.0 * static_cast<double>(column.distinct);
}

void add_remarks(const Table& table, const ColumnSurvey& column, RecipeProposal& proposal) {
  if (column.kind == Kind::kWords && 10 * column.numbers >= 9 * column.filled()) {
    proposal.remarks.push_back(
        {column.name,
         fmt::format(
             "numbers but for some cells, e.g. '{}' in line {}: read as words. If that is a "
             "missing cell, leave it empty",
             table.cell(column.first_word, column.index),
             table.line(column.first_word))});
  }
  if (2 * column.missing > column.rows) {
    proposal.remarks.push_back(
        {column.name, fmt::format("{} of {} cells are missing", column.missing, column.rows)});
  }
}

TargetColumn target_column(const ProposedTask& task) {
  TargetColumn target;
  target.task = task.name;
  target.column = task.column;
  target.kind = task.kind;
  target.threshold = task.threshold;
  target.classes = task.classes;
  target.class_names = task.class_names;
  target.separator = task.separator;
  return target;
}

// The inputs that tell a target by themselves, with what they tell.
std::map<std::string, std::string> find_leaks(const Table& table,
                                              const std::vector<InputColumn>& inputs,
                                              const RecipeProposal& proposal) {
  InspectedPart part{Part::kTrain, table, {}};
  std::vector<std::string> warnings;
  for (const ProposedTask& task : proposal.tasks) {
    part.targets.push_back(read_target(table, target_column(task), table.rows(), warnings));
  }
  DataFindings findings;
  inspect_leaks(std::span<const InspectedPart>(&part, 1), inputs, findings);
  std::map<std::string, std::string> leaks;
  for (const GivenAway& leak : findings.given_away) {
    const std::string how = leak.how == "equals"       ? "equals"
                            : leak.how == "correlates" ? "equals, up to scale,"
                                                       : "determines";
    leaks.emplace(leak.input, fmt::format("it {} the target {}", how, leak.task));
  }
  return leaks;
}

}  // namespace

bool is_called_group(const std::string& name) {
  const std::string lower = lower_ascii(name);
  constexpr std::array<const char*, 10> kBegins = {"subject",
                                                   "patient",
                                                   "user",
                                                   "customer",
                                                   "participant",
                                                   "person",
                                                   "speaker",
                                                   "group",
                                                   "session",
                                                   "family"};
  return is_called_id(name) || std::any_of(kBegins.begin(), kBegins.end(), [&](const char* begin) {
           return lower.starts_with(begin);
         });
}

std::string why_name_of_rows(const ColumnSurvey& column) {
  if (column.rows < kFewestRows || column.distinct != column.rows) return "";
  if (column.whole && (column.increasing || column.decreasing)) return "it counts the rows";
  return is_called_id(column.name) ? "it names the rows" : "";
}

void propose_inputs(const Table& table,
                    std::span<const ColumnSurvey> columns,
                    RecipeProposal& proposal) {
  std::set<std::string> targets;
  for (const ProposedTask& task : proposal.tasks) targets.insert(task.column);
  std::vector<InputColumn> inputs;
  std::map<std::string, std::string> against;
  for (const ColumnSurvey& column : columns) {
    if (targets.contains(column.name)) continue;
    std::string why = why_no_input(column);
    if (why.empty() && proposal.group.empty() && may_be_group(column)) {
      proposal.group = column.name;
      why = "it names the groups that no part shares with another";
    }
    if (why.empty() && looks_like_target(column.name)) why = "its name says it is a target";
    if (!why.empty()) {
      against.emplace(column.name, why);
      continue;
    }
    const bool category = may_be_category(column);
    inputs.push_back({column.name,
                      column.kind == Kind::kWords || category ? "category"
                      : column.kind == Kind::kDate            ? "date"
                                                              : "number"});
    if (proposal.time.empty() && column.kind == Kind::kDate && column.missing == 0 &&
        column.distinct >= kFewestGroups) {
      proposal.time = column.name;
    }
  }
  against.merge(find_leaks(table, inputs, proposal));
  for (const ColumnSurvey& column : columns) {
    if (targets.contains(column.name)) continue;
    if (const auto found = against.find(column.name); found != against.end()) {
      proposal.ignored.push_back({column.name, found->second});
      continue;
    }
    ++proposal.inputs;
    if (may_be_category(column)) proposal.categories.push_back(column.name);
    add_remarks(table, column, proposal);
  }
}

}  // namespace detente::data::internal

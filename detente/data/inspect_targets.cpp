// SPDX-License-Identifier: Apache-2.0
#include <detente/core/fields.h>
#include <detente/core/suggest.h>
#include <detente/data/inspect_steps.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace detente::data::internal {
namespace {

constexpr double kRareShare = 0.01;
constexpr std::size_t kFewRows = 10;

// As many as the task says, or as the targets show.
std::size_t class_count(Parts parts, std::size_t task, const TargetColumn& column) {
  if (column.kind == TaskKind::kBinary) return 2;
  if (!column.class_names.empty()) return column.class_names.size();
  auto count = static_cast<std::size_t>(column.classes);
  for (const InspectedPart& part : parts) {
    for (const double value : part.targets[task].values) {
      if (!std::isnan(value)) count = std::max(count, static_cast<std::size_t>(value) + 1);
    }
  }
  return count;
}

LabelFindings look_at_labels(const Target& target, std::size_t classes) {
  LabelFindings labels;
  labels.labelled = target.values.size() - target.missing;
  if (target.kind == TaskKind::kRegression) {
    labels.numbers = summarise(target.values);
    return labels;
  }
  labels.counts.assign(classes, 0);
  for (const double value : target.values) {
    if (!std::isnan(value)) ++labels.counts[static_cast<std::size_t>(value)];
  }
  return labels;
}

void warn_of_classes(const TaskFindings& task, DataFindings& findings) {
  const LabelFindings& train = task.parts.front();
  std::vector<std::string> absent;
  std::vector<std::string> rare;
  for (std::size_t id = 0; id < train.counts.size(); ++id) {
    const std::size_t rows = train.counts[id];
    const auto share = static_cast<double>(rows) / static_cast<double>(train.labelled);
    if (rows == 0) {
      absent.push_back(task.class_names[id]);
    } else if (share < kRareShare || rows < kFewRows) {
      rare.push_back(fmt::format("{} ({})", task.class_names[id], rows));
    }
  }
  const auto warn = [&](const std::string& text) {
    findings.warnings.push_back({"balance", fmt::format("Task '{}': {}", task.name, text)});
  };
  if (!absent.empty()) {
    warn(fmt::format("no training row is of class {}, which will never be predicted.",
                     join_names(absent)));
  }
  if (!rare.empty()) {
    warn(fmt::format(
        "few of the {} training rows are of class {}: accuracy says little about it, F1 does.",
        train.labelled,
        join_names(rare)));
  }
}

void warn_of_labels(const TaskFindings& task, Parts parts, DataFindings& findings) {
  if (task.kind != TaskKind::kRegression) {
    warn_of_classes(task, findings);
    return;
  }
  const InspectedPart& train = parts.front();
  const NumberSummary& numbers = task.parts.front().numbers;
  if (numbers.outliers == 0) return;
  const std::size_t row = numbers.outlier_row;
  findings.warnings.push_back(
      {"outliers",
       fmt::format(
           "Task '{}': {} lie more than 10 robust deviations from the median, the farthest in "
           "{} ({}). A squared loss follows them; correct them, or choose a loss such as "
           "huber.",
           task.name,
           count_text(numbers.outliers, numbers.count, "targets"),
           line_text(train.table, row),
           train.table.cell(row, train.table.column_index(task.column)))});
}

}  // namespace

void inspect_targets(Parts parts, std::span<const TargetColumn> targets, DataFindings& findings) {
  for (std::size_t k = 0; k < targets.size(); ++k) {
    TaskFindings task{
        targets[k].task, targets[k].source, targets[k].column, targets[k].kind, {}, {}};
    const bool numbers = targets[k].kind == TaskKind::kRegression;
    const std::size_t classes = numbers ? 0 : class_count(parts, k, targets[k]);
    task.class_names = targets[k].class_names;
    for (std::size_t id = task.class_names.size(); id < classes; ++id) {
      task.class_names.push_back(std::to_string(id));
    }
    for (const InspectedPart& part : parts) {
      task.parts.push_back(look_at_labels(part.targets[k], classes));
    }
    warn_of_labels(task, parts, findings);
    findings.tasks.push_back(std::move(task));
  }
  const std::vector<Target>& train = parts.front().targets;
  std::vector<std::string> apart;
  for (std::size_t i = 0; i < train.size(); ++i) {
    for (std::size_t j = i + 1; j < train.size(); ++j) {
      if (targets[i].source != targets[j].source) continue;
      TaskPair pair{
          train[i].task, train[j].task, 0, findings.parts.front().rows_of(targets[i].source)};
      for (std::size_t row = 0; row < train[i].values.size(); ++row) {
        if (!std::isnan(train[i].values[row]) && !std::isnan(train[j].values[row])) ++pair.rows;
      }
      if (pair.rows == 0) apart.push_back(pair.first + " and " + pair.second);
      findings.pairs.push_back(std::move(pair));
    }
  }
  std::stable_sort(findings.pairs.begin(), findings.pairs.end(), [](const auto& a, const auto& b) {
    return a.rows < b.rows;
  });
  if (!apart.empty()) {
    findings.warnings.push_back(
        {"labels",
         fmt::format(
             "No training row has a target of both {}{}: what one task learns reaches the "
             "other through shared layers alone.",
             apart.front(),
             apart.size() == 1 ? "" : fmt::format(", nor of {} more pairs", apart.size() - 1))});
  }
}

}  // namespace detente::data::internal

// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/suggest.h>
#include <detente/metrics/registry.h>

#include <array>

namespace detente::metrics {
namespace {

Score accuracy_at_half(Values predictions, Values targets) {
  return binary_accuracy(predictions, targets);
}

Score f1_at_half(Values predictions, Values targets) { return f1(predictions, targets); }

const auto& table() {
  static const std::array metrics = {
      MetricInfo{"pearson", TaskKind::kRegression, true, "Pearson's correlation.", &pearson},
      MetricInfo{"spearman",
                 TaskKind::kRegression,
                 true,
                 "Spearman's rank correlation, average ranks for ties.",
                 &spearman},
      MetricInfo{"mae", TaskKind::kRegression, false, "Mean absolute error.", &mae},
      MetricInfo{"mse", TaskKind::kRegression, false, "Mean squared error.", &mse},
      MetricInfo{"r2", TaskKind::kRegression, true, "Share of the variance explained.", &r2},
      MetricInfo{"f1",
                 TaskKind::kBinary,
                 true,
                 "F1 of the positive class, predicted when its probability is >= 0.5.",
                 &f1_at_half},
      MetricInfo{"accuracy",
                 TaskKind::kBinary,
                 true,
                 "Share of right answers, positive when the probability is >= 0.5.",
                 &accuracy_at_half},
      MetricInfo{"accuracy", TaskKind::kClasses, true, "Share of right classes.", &class_accuracy},
      MetricInfo{
          "macro_f1", TaskKind::kClasses, true, "Mean F1 over the classes that occur.", &macro_f1},
  };
  return metrics;
}

}  // namespace

std::span<const MetricInfo> registry() { return table(); }

std::vector<std::string> metric_names(TaskKind kind) {
  std::vector<std::string> names;
  for (const auto& info : table()) {
    if (info.kind == kind) names.push_back(info.name);
  }
  return names;
}

std::vector<std::string> default_metrics(TaskKind kind) {
  switch (kind) {
    case TaskKind::kRegression:
      return {"pearson", "spearman", "mae"};
    case TaskKind::kBinary:
      return {"f1", "accuracy"};
    case TaskKind::kClasses:
      return {"accuracy", "macro_f1"};
  }
  return {};
}

const MetricInfo* find_metric(std::string_view name, TaskKind kind) {
  for (const auto& info : table()) {
    if (info.name == name && info.kind == kind) return &info;
  }
  return nullptr;
}

const MetricInfo& get_metric(std::string_view name, TaskKind kind) {
  if (const MetricInfo* info = find_metric(name, kind)) return *info;
  const auto names = metric_names(kind);
  fail(ErrorCode::kInvalidArgument,
       "[metrics::get_metric] '{}' is not a metric of {} tasks; {}",
       name,
       name_of(kind),
       expected_one_of(name, names));
}

}  // namespace detente::metrics

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
      MetricInfo{"miou",
                 TaskKind::kSegmentation,
                 true,
                 "Intersection over union of a class's pixels, mean of the classes that occur."},
      MetricInfo{
          "pixel_accuracy", TaskKind::kSegmentation, true, "Share of pixels that are right."},
      MetricInfo{"abs_error", TaskKind::kDepth, false, "Mean of |prediction - depth| over pixels."},
      MetricInfo{"rel_error",
                 TaskKind::kDepth,
                 false,
                 "Mean of |prediction - depth| / depth over pixels."},
      MetricInfo{"abs_error_batch",
                 TaskKind::kDepth,
                 false,
                 "abs_error of each batch, then their mean, as published code reports."},
      MetricInfo{"rel_error_batch", TaskKind::kDepth, false, "The same of rel_error."},
      MetricInfo{"mean_angle", TaskKind::kNormals, false, "Mean angle in degrees over pixels."},
      MetricInfo{"median_angle", TaskKind::kNormals, false, "Median angle in degrees over pixels."},
      MetricInfo{
          "within_11", TaskKind::kNormals, true, "Share of pixels with less than 11.25 degrees."},
      MetricInfo{
          "within_22", TaskKind::kNormals, true, "Share of pixels with less than 22.5 degrees."},
      MetricInfo{
          "within_30", TaskKind::kNormals, true, "Share of pixels with less than 30 degrees."},
      MetricInfo{"median_angle_batch",
                 TaskKind::kNormals,
                 false,
                 "median_angle of each batch, then their mean, as published code reports."},
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
    case TaskKind::kSegmentation:
      return {"miou", "pixel_accuracy"};
    case TaskKind::kDepth:
      return {"abs_error", "rel_error"};
    case TaskKind::kNormals:
      return {"mean_angle", "median_angle", "within_11", "within_22", "within_30"};
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

// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/suggest.h>
#include <detente/metrics/agreement.h>
#include <detente/metrics/calibration.h>
#include <detente/metrics/columns.h>
#include <detente/metrics/ranking.h>
#include <detente/metrics/registry.h>

#include <array>
#include <cmath>

namespace detente::metrics {
namespace {

using enum TaskKind;

template <Metric metric>
Score of_outputs(const Answers& a) {
  return mean_over_columns(metric, a.predictions, a.targets, a.columns);
}

template <Metric metric>
Score of_one(const Answers& a) {
  return metric(a.predictions, a.targets);
}

template <Metric metric>
Score of_classes(const Answers& a) {
  return one_vs_rest(metric, a.probabilities, a.targets, a.classes);
}

template <Metric metric>
Score of_labels(const Answers& a) {
  return mean_over_defined(metric, a.predictions, a.targets, a.columns);
}

Score accuracy_at_half(const Answers& a) { return binary_accuracy(a.predictions, a.targets); }

Score f1_at_half(const Answers& a) { return f1(a.predictions, a.targets); }

Score calibration(const Answers& a) { return expected_calibration_error(a.predictions, a.targets); }

Score calibration_of_choice(const Answers& a) {
  std::vector<double> right(a.targets.begin(), a.targets.end());
  for (std::size_t i = 0; i < right.size(); ++i) {
    if (!std::isnan(right[i])) right[i] = right[i] == a.predictions[i] ? 1.0 : 0.0;
  }
  return expected_calibration_error(a.confidence, right);
}

constexpr const char* kCalibrationOfChoice =
    "Expected calibration error of the predicted class's probability, 15 bins of equal width.";
constexpr const char* kKappa = "Cohen's kappa with squared distances of ids as weights.";

const auto& table() {
  static const std::array metrics = {
      MetricInfo{"pearson", kRegression, true, "Pearson's correlation.", &of_outputs<pearson>},
      MetricInfo{"spearman",
                 kRegression,
                 true,
                 "Spearman's rank correlation, average ranks for ties.",
                 &of_outputs<spearman>},
      MetricInfo{"mae", kRegression, false, "Mean absolute error.", &of_outputs<mae>},
      MetricInfo{"mse", kRegression, false, "Mean squared error.", &of_outputs<mse>},
      MetricInfo{"r2", kRegression, true, "Share of the variance explained.", &of_outputs<r2>},
      MetricInfo{"f1",
                 kBinary,
                 true,
                 "F1 of the positive class, predicted when its probability is >= 0.5.",
                 &f1_at_half},
      MetricInfo{"accuracy",
                 kBinary,
                 true,
                 "Share of right answers, positive when the probability is >= 0.5.",
                 &accuracy_at_half},
      MetricInfo{"auroc", kBinary, true, "Area under the ROC curve.", &of_one<auroc>},
      MetricInfo{"average_precision",
                 kBinary,
                 true,
                 "Area under the precision-recall curve, without interpolation.",
                 &of_one<average_precision>},
      MetricInfo{"ece",
                 kBinary,
                 false,
                 "Expected calibration error, 15 bins of equal width.",
                 &calibration},
      MetricInfo{"accuracy", kClasses, true, "Share of right classes.", &of_one<class_accuracy>},
      MetricInfo{
          "macro_f1", kClasses, true, "Mean F1 over the classes that occur.", &of_one<macro_f1>},
      MetricInfo{"auroc",
                 kClasses,
                 true,
                 "Mean over the classes of the area under the ROC curve against all others.",
                 &of_classes<auroc>,
                 true},
      MetricInfo{"average_precision",
                 kClasses,
                 true,
                 "Mean over the classes of the average precision against all others.",
                 &of_classes<average_precision>,
                 true},
      MetricInfo{"quadratic_kappa", kClasses, true, kKappa, &of_one<quadratic_kappa>},
      MetricInfo{"ece", kClasses, false, kCalibrationOfChoice, &calibration_of_choice},
      MetricInfo{"quadratic_kappa", kOrdinal, true, kKappa, &of_one<quadratic_kappa>},
      MetricInfo{"accuracy", kOrdinal, true, "Share of right classes.", &of_one<class_accuracy>},
      MetricInfo{"mae", kOrdinal, false, "Mean distance of ids.", &of_one<mae>},
      MetricInfo{
          "macro_f1", kOrdinal, true, "Mean F1 over the classes that occur.", &of_one<macro_f1>},
      MetricInfo{"spearman",
                 kOrdinal,
                 true,
                 "Spearman's rank correlation of ids, average ranks for ties.",
                 &of_one<spearman>},
      MetricInfo{"ece", kOrdinal, false, kCalibrationOfChoice, &calibration_of_choice},
      MetricInfo{
          "macro_f1",
          kLabels,
          true,
          "Mean F1 over the labels that occur, predicted when the probability is >= 0.5.",
          [](const Answers& a) { return macro_f1_of_labels(a.predictions, a.targets, a.columns); }},
      MetricInfo{"micro_f1",
                 kLabels,
                 true,
                 "F1 over all labels of all rows together.",
                 [](const Answers& a) { return micro_f1(a.predictions, a.targets); }},
      MetricInfo{"auroc",
                 kLabels,
                 true,
                 "Mean area under the ROC curve over the labels that some rows have and some not.",
                 &of_labels<auroc>},
      MetricInfo{"average_precision",
                 kLabels,
                 true,
                 "Mean average precision over the labels that some rows have.",
                 &of_labels<average_precision>},
      MetricInfo{"accuracy", kLabels, true, "Share of right labels.", &accuracy_at_half},
      MetricInfo{"exact_match",
                 kLabels,
                 true,
                 "Share of rows all of whose labels are right.",
                 [](const Answers& a) { return exact_match(a.predictions, a.targets, a.columns); }},
      MetricInfo{"ece",
                 kLabels,
                 false,
                 "Expected calibration error over all labels of all rows, 15 bins of equal width.",
                 &calibration},
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
      MetricInfo{"mean_angle_batch",
                 TaskKind::kNormals,
                 false,
                 "mean_angle of each batch, then their mean, as published code reports."},
      MetricInfo{"median_angle_batch", TaskKind::kNormals, false, "The same of median_angle."},
      MetricInfo{"within_11_batch", TaskKind::kNormals, true, "The same of within_11."},
      MetricInfo{"within_22_batch", TaskKind::kNormals, true, "The same of within_22."},
      MetricInfo{"within_30_batch", TaskKind::kNormals, true, "The same of within_30."},
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
    case TaskKind::kOrdinal:
      return {"quadratic_kappa", "accuracy", "mae"};
    case TaskKind::kLabels:
      return {"macro_f1", "micro_f1", "auroc"};
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

// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/moments.h>
#include <detente/core/spread_rows.h>
#include <detente/data/picked_rows.h>
#include <detente/metrics/registry.h>
#include <detente/train/evaluate.h>
#include <detente/train/importance.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

namespace detente::train {
namespace {

// How far predictions moved (TaskImportance).
double change(TaskKind kind, const std::vector<double>& before, const std::vector<double>& after) {
  double sum = 0;
  for (std::size_t i = 0; i < before.size(); ++i) {
    sum += has_classes(kind) ? static_cast<double>(before[i] != after[i])
                             : (after[i] - before[i]) * (after[i] - before[i]);
  }
  const double mean = sum / static_cast<double>(before.size());
  if (has_classes(kind)) return mean;
  const double deviation = finite_moments(before).deviation;
  return deviation > 0 ? std::sqrt(mean) / deviation : 0.0;
}

class Measure {
 public:
  Measure(const Recipe& recipe, const nn::Model& model, const data::PickedRows& rows)
      : recipe_(recipe), model_(model), has_targets_(!rows.targets().empty()) {
    before_ = predict(rows);
    if (has_targets_) metrics_ = evaluate(recipe_, before_, rows);
  }

  std::string metric(std::size_t task) const {
    return has_targets_ ? metrics_[task].front().name : "change";
  }
  double value(std::size_t task) const { return has_targets_ ? metrics_[task].front().value : 0.0; }

  // Per task, what is lost on rows with an input exchanged.
  std::vector<double> losses(const data::PickedRows& exchanged) const {
    const auto after = predict(exchanged);
    std::vector<double> losses;
    if (!has_targets_) {
      for (std::size_t k = 0; k < after.size(); ++k) {
        losses.push_back(change(recipe_.tasks[k].head.kind, before_[k].values, after[k].values));
      }
      return losses;
    }
    const auto metrics = evaluate(recipe_, after, exchanged);
    for (std::size_t k = 0; k < metrics.size(); ++k) {
      const bool higher =
          metrics::get_metric(metric(k), recipe_.tasks[k].head.kind).higher_is_better;
      const double gained = metrics[k].front().value - value(k);
      losses.push_back(higher ? -gained : gained);
    }
    return losses;
  }

 private:
  std::vector<TaskPredictions> predict(const data::Source& rows) const {
    auto predictions =
        predict_rows(model_, rows, prediction_batch(recipe_), wanted_probabilities(recipe_));
    check_finite(recipe_, predictions);
    return predictions;
  }

  const Recipe& recipe_;
  const nn::Model& model_;
  bool has_targets_;
  std::vector<TaskPredictions> before_;
  std::vector<std::vector<MetricValue>> metrics_;
};

}  // namespace

Importance permutation_importance(const Recipe& recipe,
                                  const nn::Model& model,
                                  const data::Source& source,
                                  const ImportanceOptions& options) {
  const std::vector<std::string> inputs = source.exchangeable();
  DETENTE_CHECK(!inputs.empty(),
                ErrorCode::kInvalidArgument,
                "[train::permutation_importance] examples of data.kind {} have no columns whose "
                "values could be exchanged; expected a table.",
                source.kind());
  const std::vector<std::size_t> rows =
      spread_rows(source.size(), options.most_rows == 0 ? source.size() : options.most_rows);
  DETENTE_CHECK(rows.size() >= 2 && options.repeats >= 1,
                ErrorCode::kInvalidArgument,
                "[train::permutation_importance] {} rows and {} repeats; expected at least two "
                "rows, between which values are exchanged, and one repeat.",
                rows.size(),
                options.repeats);
  const data::PickedRows as_they_are(source, rows);
  const Measure measure(recipe, model, as_they_are);
  Importance importance{rows.size(), {}};
  for (std::size_t k = 0; k < recipe.tasks.size(); ++k) {
    importance.tasks.push_back({recipe.tasks[k].name, measure.metric(k), measure.value(k), {}});
  }
  // The same exchanges for every input: they differ by the input alone.
  std::vector<std::vector<std::size_t>> orders;
  Rng rng(options.seed);
  for (std::size_t r = 0; r < options.repeats; ++r) {
    orders.push_back(rows);
    rng.shuffle(orders.back());
  }
  for (std::size_t input = 0; input < inputs.size(); ++input) {
    std::vector<std::vector<double>> lost(recipe.tasks.size());
    for (const auto& order : orders) {
      data::PickedRows exchanged(source, rows);
      exchanged.exchange(input, order);
      const auto losses = measure.losses(exchanged);
      for (std::size_t k = 0; k < losses.size(); ++k) lost[k].push_back(losses[k]);
    }
    for (std::size_t k = 0; k < lost.size(); ++k) {
      const double n = static_cast<double>(lost[k].size());
      const double mean = std::accumulate(lost[k].begin(), lost[k].end(), 0.0) / n;
      double squares = 0;
      for (const double value : lost[k]) squares += (value - mean) * (value - mean);
      importance.tasks[k].inputs.push_back(
          {inputs[input],
           mean,
           n > 1 ? std::sqrt(squares / (n - 1)) : std::numeric_limits<double>::quiet_NaN()});
    }
  }
  for (TaskImportance& task : importance.tasks) {
    std::stable_sort(task.inputs.begin(), task.inputs.end(), [](const auto& a, const auto& b) {
      return !std::isnan(a.mean) && (std::isnan(b.mean) || a.mean > b.mean);
    });
  }
  return importance;
}

}  // namespace detente::train

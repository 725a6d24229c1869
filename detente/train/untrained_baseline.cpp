// SPDX-License-Identifier: Apache-2.0
#include <detente/core/moments.h>
#include <detente/data/batches.h>
#include <detente/metrics/metrics.h>
#include <detente/metrics/registry.h>
#include <detente/train/corpus.h>
#include <detente/train/evaluate.h>
#include <detente/train/untrained_baseline.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <utility>
#include <variant>

namespace detente::train {
namespace {

// Targets 1 where at least `threshold`; missing stays missing.
std::vector<double> at_least(std::vector<double> values, double threshold) {
  for (double& value : values) {
    if (!std::isnan(value)) value = value >= threshold ? 1.0 : 0.0;
  }
  return values;
}

// One pass over the rows from the largest score down: F1 = 2 TP / (predicted + positives).
double best_f1_threshold(const std::vector<double>& scores, const std::vector<double>& targets) {
  std::vector<std::pair<double, double>> rows;
  double positives = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (std::isnan(targets[i])) continue;
    rows.emplace_back(scores[i], targets[i]);
    positives += targets[i];
  }
  std::sort(rows.begin(), rows.end(), std::greater<>());
  double best = 0;
  double threshold = 0;
  double hits = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    hits += rows[i].second;
    const bool last_of_value = i + 1 == rows.size() || rows[i + 1].first != rows[i].first;
    const double f1 = 2 * hits / (static_cast<double>(i + 1) + positives);
    if (last_of_value && f1 > best) {
      best = f1;
      threshold = rows[i].first;
    }
  }
  return threshold;
}

Json score_baseline(const Recipe& recipe,
                    const data::Source& train,
                    const std::vector<double>& train_scores,
                    const data::Source& dev,
                    const std::vector<double>& dev_scores) {
  Json tasks = Json::object();
  for (const TaskRecipe& task : recipe.tasks) {
    const bool number = task.head.kind == TaskKind::kRegression && task.columns.empty();
    if (!number && task.head.kind != TaskKind::kBinary) continue;
    const std::vector<double>& train_targets = train.target(task.name).values;
    const std::vector<double>& dev_targets = dev.target(task.name).values;
    Json values = Json::object();
    const auto add_binary = [&](const std::vector<double>& train_ones,
                                const std::vector<double>& dev_ones,
                                bool accuracy) {
      const double threshold = best_f1_threshold(train_scores, train_ones);
      if (accuracy) {
        values["accuracy"] =
            json_number(metrics::binary_accuracy(dev_scores, dev_ones, threshold).value);
      }
      values["f1"] = json_number(metrics::f1(dev_scores, dev_ones, threshold).value);
    };
    if (task.head.kind == TaskKind::kRegression) {
      values["pearson"] = json_number(metrics::pearson(dev_scores, dev_targets).value);
      values["spearman"] = json_number(metrics::spearman(dev_scores, dev_targets).value);
      if (const auto threshold = task.positive_threshold()) {
        add_binary(at_least(train_targets, *threshold), at_least(dev_targets, *threshold), false);
      }
    } else {
      add_binary(train_targets, dev_targets, true);
    }
    tasks[task.name] = std::move(values);
  }
  return tasks;
}

// What a model that knows nothing of a row answers: means, shares of ones, and of classes their shares
// with the most frequent as the answer.
TaskPredictions constant_answer(const TaskRecipe& task,
                                const data::Target& known,
                                std::size_t rows) {
  TaskPredictions answer;
  if (has_classes(task.head.kind)) {
    std::vector<double> shares(static_cast<std::size_t>(task.head.classes), 0.0);
    const double weight = 1.0 / static_cast<double>(known.rows() - known.missing);
    for (const double id : known.values) {
      if (!std::isnan(id)) shares.at(static_cast<std::size_t>(id)) += weight;
    }
    const auto most = std::max_element(shares.begin(), shares.end());
    answer.values.assign(rows, static_cast<double>(most - shares.begin()));
    answer.confidence.assign(rows, std::min(*most, 1.0));
    for (std::size_t i = 0; i < rows; ++i) {
      answer.probabilities.insert(answer.probabilities.end(), shares.begin(), shares.end());
    }
    return answer;
  }
  std::vector<double> means;
  for (std::size_t c = 0; c < known.columns; ++c) {
    std::vector<double> column;
    for (std::size_t i = c; i < known.values.size(); i += known.columns) {
      column.push_back(known.values[i]);
    }
    means.push_back(finite_moments(column).mean);
  }
  for (std::size_t i = 0; i < rows; ++i) {
    answer.values.insert(answer.values.end(), means.begin(), means.end());
  }
  return answer;
}

// The training pixels' most frequent class, or their mean, everywhere.
TaskPredictions constant_maps(const data::Target& train,
                              const data::Source& dev,
                              std::size_t task,
                              std::int64_t batch_size) {
  const data::MapSummary& map = *train.map;
  std::vector<double> answer = map.means;
  if (train.kind == TaskKind::kSegmentation) {
    const auto most = std::max_element(map.counts.begin(), map.counts.end());
    answer = {static_cast<double>(most - map.counts.begin())};
  }
  const std::shared_ptr<metrics::MapTally> tally =
      metrics::make_map_tally(train.kind, map.counts.size());
  const std::size_t pixels = map.height * map.width;
  for (const auto& rows : data::evaluation_batches(dev.costs(), batch_size)) {
    const data::Batch targets = dev.target_batch(rows);
    std::vector<double> predictions;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      for (const double value : answer) predictions.insert(predictions.end(), pixels, value);
    }
    tally->add({predictions, std::get<std::vector<float>>(targets[task].values), pixels});
  }
  return {std::vector<double>(dev.size(), answer.front()), {}, {}, tally};
}

Json constant_baseline(const Recipe& recipe, const data::Source& train, const data::Source& dev) {
  std::vector<TaskPredictions> predictions;
  for (const TaskRecipe& task : recipe.tasks) {
    const data::Target& known = train.target(task.name);
    predictions.push_back(
        is_map(task.head.kind)
            ? constant_maps(known, dev, predictions.size(), prediction_batch(recipe))
            : constant_answer(task, known, dev.size()));
  }
  return report::to_json(metrics_by_task(recipe, evaluate(recipe, predictions, dev)));
}

}  // namespace

std::vector<report::Baseline> untrained_baselines(const LoadedRun& run) {
  const Recipe& recipe = run.recipe;
  const auto rows_of = [&](data::Part part) {
    return load_rows(recipe, recipe.data.files, part, *run.source, true);
  };
  const auto train = rows_of(data::Part::kTrain);
  const auto dev = rows_of(data::Part::kDev);
  const auto train_scores = train->untrained_scores();
  const auto dev_scores = dev->untrained_scores();
  std::vector<report::Baseline> baselines;
  for (std::size_t i = 0; i < train_scores.size(); ++i) {
    baselines.push_back(
        {train_scores[i].name,
         score_baseline(recipe, *train, train_scores[i].values, *dev, dev_scores[i].values)});
  }
  if (baselines.empty()) {
    baselines.push_back({"constant", constant_baseline(recipe, *train, *dev)});
  }
  return baselines;
}

}  // namespace detente::train

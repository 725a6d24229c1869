// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/data/batches.h>
#include <detente/metrics/registry.h>
#include <detente/train/evaluate.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <variant>

namespace detente::train {
namespace {

// The predictions of a batch [rows, numbers], and what they are worth where there are targets.
void take_maps(const Matrix& output,
               std::span<const std::size_t> rows,
               const data::Array* target,
               metrics::MapTally* tally,
               std::vector<double>& means) {
  const std::span<const double> all(output.data(), output.rows() * output.cols());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto map = all.subspan(i * output.cols(), output.cols());
    means[rows[i]] = std::accumulate(map.begin(), map.end(), 0.0) / static_cast<double>(map.size());
  }
  if (target == nullptr) return;
  const std::size_t sides = target->shape.size();
  tally->add({all,
              std::get<std::vector<float>>(target->values),
              target->shape[sides - 2] * target->shape[sides - 1]});
}

}  // namespace

namespace {

// The most probable class; of ordered ones the median, the first that at least half of the probability
// lies at or below: what is least off on average.
std::size_t chosen_class(const Matrix& output, std::size_t row, TaskKind kind) {
  if (kind == TaskKind::kOrdinal) {
    double sum = 0.0;
    for (std::size_t c = 0; c + 1 < output.cols(); ++c) {
      sum += output(row, c);
      if (sum >= 0.5) return c;
    }
    return output.cols() - 1;
  }
  std::size_t best = 0;
  for (std::size_t c = 1; c < output.cols(); ++c) {
    if (output(row, c) > output(row, best)) best = c;
  }
  return best;
}

}  // namespace

std::vector<TaskPredictions> predict_rows(const nn::Model& model,
                                          const data::Source& source,
                                          std::int64_t batch_size,
                                          const std::vector<bool>& probabilities,
                                          const MapSink& sink) {
  const auto& heads = model.heads().tasks();
  std::vector<TaskPredictions> predictions(heads.size());
  std::vector<std::shared_ptr<metrics::MapTally>> tallies(heads.size());
  bool maps = false;
  for (std::size_t k = 0; k < heads.size(); ++k) {
    if (!is_map(heads[k].options.kind)) continue;
    predictions[k].values.resize(source.size());
    if (source.targets().empty()) continue;
    predictions[k].tally = tallies[k] = metrics::make_map_tally(
        heads[k].options.kind, static_cast<std::size_t>(heads[k].options.classes));
    maps = true;
  }
  const auto batches = data::evaluation_batches(source.costs(), batch_size);
  for (std::size_t b = 0; b < batches.size(); ++b) {
    const data::RowList& rows = batches[b];
    source.expect(rows);
    if (b + 1 < batches.size()) source.expect(batches[b + 1]);
    const std::vector<Matrix> outputs = model.predict(source.batch(rows, nullptr));
    const data::Batch targets = maps ? source.target_batch(rows) : data::Batch{};
    for (std::size_t k = 0; k < heads.size(); ++k) {
      const Matrix& output = outputs[k];
      if (is_map(heads[k].options.kind)) {
        if (sink) sink(k, rows, output);
        take_maps(output,
                  rows,
                  tallies[k] ? &targets[k] : nullptr,
                  tallies[k].get(),
                  predictions[k].values);
        continue;
      }
      const TaskKind kind = heads[k].options.kind;
      TaskPredictions& own = predictions[k];
      const bool all = k < probabilities.size() && probabilities[k];
      const auto put = [&](std::vector<double>& to, std::size_t i) {
        to.resize(source.size() * output.cols());
        for (std::size_t c = 0; c < output.cols(); ++c) {
          to[rows[i] * output.cols() + c] = output(i, c);
        }
      };
      for (std::size_t i = 0; i < rows.size(); ++i) {
        if (!has_classes(kind)) {
          put(own.values, i);
          continue;
        }
        if (all) put(own.probabilities, i);
        const std::size_t chosen = chosen_class(output, i, kind);
        own.values.resize(source.size());
        own.confidence.resize(source.size());
        own.values[rows[i]] = static_cast<double>(chosen);
        own.confidence[rows[i]] = output(i, chosen);
      }
    }
  }
  return predictions;
}

std::int64_t prediction_batch(const Recipe& recipe) {
  const bool maps = std::any_of(recipe.tasks.begin(),
                                recipe.tasks.end(),
                                [](const TaskRecipe& task) { return is_map(task.head.kind); });
  return (maps ? 1 : 4) * recipe.loop.batches.batch_size;
}

std::vector<bool> wanted_probabilities(const Recipe& recipe) {
  std::vector<bool> wanted;
  for (const TaskRecipe& task : recipe.tasks) {
    wanted.push_back(std::any_of(task.metrics.begin(), task.metrics.end(), [&](const auto& name) {
      return metrics::get_metric(name, task.head.kind).wants_probabilities;
    }));
  }
  return wanted;
}

void check_finite(const Recipe& recipe,
                  const std::vector<TaskPredictions>& predictions,
                  std::size_t before) {
  for (std::size_t k = 0; k < predictions.size(); ++k) {
    for (const auto* values : {&predictions[k].values, &predictions[k].confidence}) {
      const auto bad = std::find_if(
          values->begin(), values->end(), [](double value) { return !std::isfinite(value); });
      DETENTE_CHECK(
          bad == values->end(),
          ErrorCode::kNumeric,
          "[train::check_finite] the model predicts NaN or infinity for task '{}' in row "
          "{}; expected a finite number. Look for huge numbers in that row's inputs.",
          recipe.tasks[k].name,
          before +
              static_cast<std::size_t>((bad - values->begin()) / recipe.tasks[k].head.outputs) + 1);
    }
  }
}

metrics::Answers answers_of(const TaskRecipe& task,
                            const TaskPredictions& predictions,
                            const data::Target& target) {
  metrics::Answers answers;
  answers.predictions = predictions.values;
  answers.targets = target.values;
  answers.columns = target.columns;
  answers.confidence = predictions.confidence;
  answers.probabilities = predictions.probabilities;
  answers.classes = static_cast<std::size_t>(task.head.classes);
  return answers;
}

std::vector<std::vector<MetricValue>> evaluate(const Recipe& recipe,
                                               const std::vector<TaskPredictions>& predictions,
                                               const data::Source& source) {
  std::vector<std::vector<MetricValue>> results(recipe.tasks.size());
  for (std::size_t k = 0; k < recipe.tasks.size(); ++k) {
    const TaskRecipe& task = recipe.tasks[k];
    const auto& targets = source.target(task.name).values;
    const metrics::Answers answers = answers_of(task, predictions[k], source.target(task.name));
    for (const auto& name : task.metrics) {
      const auto& metric = metrics::get_metric(name, task.head.kind);
      const metrics::Score score =
          is_map(task.head.kind) ? predictions[k].tally->score(name) : metric.compute(answers);
      results[k].push_back({name, score.value, score.reason, score.note});
    }
    if (const auto threshold = task.positive_threshold()) {
      std::vector<double> positive(targets);
      for (double& target : positive) {
        if (target == target) target = target >= *threshold ? 1.0 : 0.0;
      }
      const metrics::Score score = metrics::f1(predictions[k].values, positive, *threshold);
      results[k].push_back({"f1", score.value, score.reason});
    }
  }
  return results;
}

report::NamedTables metrics_by_task(const Recipe& recipe,
                                    const std::vector<std::vector<MetricValue>>& metrics) {
  report::NamedTables tables;
  for (std::size_t k = 0; k < recipe.tasks.size(); ++k) {
    report::NamedNumbers& task =
        tables.emplace_back(recipe.tasks[k].name, report::NamedNumbers{}).second;
    for (const auto& metric : metrics[k]) task.emplace_back(metric.name, metric.value);
  }
  return tables;
}

}  // namespace detente::train

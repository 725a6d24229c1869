// SPDX-License-Identifier: Apache-2.0
// A model's predictions on a data set, and the metrics of every task.
#pragma once

#include <detente/data/source.h>
#include <detente/metrics/map_tally.h>
#include <detente/metrics/registry.h>
#include <detente/nn/model.h>
#include <detente/report/run_record.h>
#include <detente/train/recipe.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace detente::train {

struct TaskPredictions {
  // Regression: the values, row by row. Binary: the probability of 1. Classes and ordinal: the id.
  // Labels: the probability of each, row by row. Maps: the mean of what is predicted for an example's
  // pixels.
  std::vector<double> values;
  // Classes and ordinal: the probability of `values`; empty otherwise.
  std::vector<double> confidence;
  // Classes and ordinal: of all classes, row by row, where they were asked for.
  std::vector<double> probabilities;
  // Maps of a source with targets: what their metrics are made of; the maps themselves are not kept.
  std::shared_ptr<const metrics::MapTally> tally = nullptr;
};

// Gets the predictions of a task with maps [rows, numbers], as nn::Model::predict gives them.
using MapSink =
    std::function<void(std::size_t task, std::span<const std::size_t> rows, const Matrix& maps)>;

// Rows of a batch to predict: more than in training, for no gradient is kept, but as many where tasks have
// maps, so that the metrics that are means over batches are those of published code.
std::int64_t prediction_batch(const Recipe& recipe);

// In the order of the rows, one entry per head. `probabilities`: of which heads all classes'
// probabilities are kept; none: of no head. A batch here is a batch of the metrics that are means over
// batches (metrics/map_tally.h).
std::vector<TaskPredictions> predict_rows(const nn::Model& model,
                                          const data::Source& source,
                                          std::int64_t batch_size,
                                          const std::vector<bool>& probabilities = {},
                                          const MapSink& sink = {});
// Of which tasks a metric wants them.
std::vector<bool> wanted_probabilities(const Recipe& recipe);

// Throws kNumeric, naming task and row, where a prediction is NaN or infinite: finite parameters and
// inputs may still overflow on their way. `before`: how many rows came before these.
void check_finite(const Recipe& recipe,
                  const std::vector<TaskPredictions>& predictions,
                  std::size_t before = 0);

// A task's predictions beside its targets as metrics take them; views of both. Not of maps.
metrics::Answers answers_of(const TaskRecipe& task,
                            const TaskPredictions& predictions,
                            const data::Target& target);

struct MetricValue {
  std::string name;
  double value;           // NaN when undefined
  std::string reason;     // why
  std::string note = {};  // metrics::Score::note
};

// Per task, in the order of the recipe; regression tasks with positive_from also have "f1".
std::vector<std::vector<MetricValue>> evaluate(const Recipe& recipe,
                                               const std::vector<TaskPredictions>& predictions,
                                               const data::Source& source);

// Task → metric → value, as epochs are recorded.
report::NamedTables metrics_by_task(const Recipe& recipe,
                                    const std::vector<std::vector<MetricValue>>& metrics);

}  // namespace detente::train

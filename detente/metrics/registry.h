// SPDX-License-Identifier: Apache-2.0
// The metrics by name, as recipes, evaluation and reports use them.
#pragma once

#include <detente/core/task_kind.h>
#include <detente/metrics/metrics.h>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace detente::metrics {

// What a task's head answered on some rows, and what was right. Tables are row-major.
struct Answers {
  // Regression and labels: rows × columns (values, probabilities). Binary: the probability of 1. Classes
  // and ordinal: the id.
  Values predictions;
  // As the predictions, NaN where missing.
  Values targets;
  std::size_t columns = 1;  // numbers per row
  // Classes and ordinal: the probability of the id predicted; and those of all classes, rows × classes,
  // for metrics that want them.
  Values confidence;
  Values probabilities;
  std::size_t classes = 0;
};

struct MetricInfo {
  std::string name;  // "pearson"
  TaskKind kind;     // the head it applies to; a name may serve several kinds
  bool higher_is_better = true;
  std::string summary;
  // Null for maps, whose metrics are counted batch by batch (map_tally.h).
  Score (*compute)(const Answers& answers) = nullptr;
  bool wants_probabilities = false;  // Answers::probabilities
};

std::span<const MetricInfo> registry();

// Names for one kind of head, in the order of the registry.
std::vector<std::string> metric_names(TaskKind kind);
// The metrics reported when a recipe names none; the first decides which epoch is best.
std::vector<std::string> default_metrics(TaskKind kind);

// Null when there is none of that name for that kind.
const MetricInfo* find_metric(std::string_view name, TaskKind kind);
// Throws kInvalidArgument with the nearest name and the list.
const MetricInfo& get_metric(std::string_view name, TaskKind kind);

}  // namespace detente::metrics

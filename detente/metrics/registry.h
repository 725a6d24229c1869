// SPDX-License-Identifier: Apache-2.0
// The metrics by name, as recipes, evaluation and reports use them.
#pragma once

#include <detente/core/task_kind.h>
#include <detente/metrics/metrics.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace detente::metrics {

struct MetricInfo {
  std::string name;  // "pearson"
  TaskKind kind;     // the head it applies to; a name may serve several kinds
  bool higher_is_better = true;
  std::string summary;
  // Null for maps, whose metrics are counted batch by batch (map_tally.h).
  Score (*compute)(Values predictions, Values targets) = nullptr;
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

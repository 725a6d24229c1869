// SPDX-License-Identifier: Apache-2.0
// Heat maps of a run: which tasks' gradients opposed each other, when, and in which layers. Each
// function gives nothing when the run holds nothing for it.
#pragma once

#include <detente/report/heatmap.h>
#include <detente/report/run_data.h>

#include <cstddef>
#include <optional>

namespace detente::report {

inline constexpr std::size_t kMostSpans = 40;     // of training, as columns
inline constexpr std::size_t kMostPairRows = 16;  // the most opposed ones
inline constexpr std::size_t kMostLayerRows = 40;
inline constexpr std::size_t kMostMatrixTasks = 100;

// Mean cosine of every pair over the whole run, task by task; for three tasks to kMostMatrixTasks.
std::optional<HeatMap> cosine_matrix(const RunData& run);

// Mean cosine of each pair, the most opposed first, in spans of equally many steps. There are at
// most as many spans as measured steps; one in which nothing was measured has no value.
std::optional<HeatMap> conflict_over_time(const RunData& run);

// The same of the groups of shared parameters, mean over pairs; in the network's order, and of very
// many the most opposed ones.
std::optional<HeatMap> layers_over_time(const RunData& run);

// Mean cosine of each pair in each group over the whole run; for two pairs or more.
std::optional<HeatMap> layers_by_pair(const RunData& run);

}  // namespace detente::report

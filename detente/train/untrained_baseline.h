// SPDX-License-Identifier: Apache-2.0
// What no training at all reaches.
//
//   scores of the source (data::Source::untrained_scores): regression tasks by correlation, which is
//       blind to scale, and with positive_from by F1; binary tasks by F1 and accuracy, with the
//       threshold on the score that has the best F1 on the training rows
//   constant, where the source has none: the training rows' (of maps: pixels') mean or most frequent class
#pragma once

#include <detente/report/html_comparison.h>
#include <detente/train/loaded_run.h>

#include <vector>

namespace detente::train {

// On the validation rows of the run's recipe; metrics that make no sense for a baseline are left
// out. Throws as the data readers do.
std::vector<report::Baseline> untrained_baselines(const LoadedRun& run);

}  // namespace detente::train

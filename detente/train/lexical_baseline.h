// SPDX-License-Identifier: Apache-2.0
// What no training at all reaches: the overlap of character pairs as the prediction.
#pragma once

#include <detente/core/json.h>
#include <detente/train/recipe.h>

namespace detente::train {

// {TASK: {METRIC: value}} on the recipe's validation file. Regression tasks: Pearson and Spearman
// (blind to scale) and, with positive_from, F1; binary tasks: F1 and accuracy. The threshold on the
// overlap is the one with the best F1 on the training file. Other metrics and class tasks are left
// out. Throws as the data readers do; null for single sentences.
Json lexical_baseline(const Recipe& recipe);

}  // namespace detente::train

// SPDX-License-Identifier: Apache-2.0
// Which of a recipe's wishes for a training step cannot be met together.
#pragma once

#include <detente/train/recipe.h>

#include <string>

namespace detente::train {

// Whether the method may see an estimate of the Gram matrix: of fewer rows, or in a smaller type
// than the step's own.
bool estimates_gram(const Recipe& recipe);

// What is wrong and what to do about it, for a recipe whose keys are right one by one; empty when
// nothing is.
std::string step_conflict(const Recipe& recipe);

}  // namespace detente::train

// SPDX-License-Identifier: Apache-2.0
// Which tasks a recipe may have, one by one and together.
#pragma once

#include <detente/config/tree.h>
#include <detente/train/recipe.h>

#include <string>

namespace detente::train {

// In the recipe's text, where what was written can be told from a default: throws kInvalidArgument,
// with file and line, for a task whose `classes` and `class_names` differ in number.
void check_class_counts(const config::Node& root);

// Fills in what a task leaves open (its column, metrics, number of classes), leaves out the tasks
// that train.tasks does not name, and throws kInvalidArgument, its message opened by `where`, for
// what cannot be: no task, names that are used twice (in prediction files, too) or are no names,
// losses, metrics, thresholds and names of classes that do not fit their heads.
void settle_tasks(Recipe& recipe, const std::string& where);

}  // namespace detente::train

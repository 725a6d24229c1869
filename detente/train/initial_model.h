// SPDX-License-Identifier: Apache-2.0
// The model of a recipe before its first step.
#pragma once

#include <detente/data/source.h>
#include <detente/nn/model.h>
#include <detente/train/recipe.h>

#include <memory>

namespace detente::train {

// With the parameters that the recipe's seed draws, on the CPU, in float32. `fitted`: a source that
// has read the training rows or loaded what they taught.
std::unique_ptr<nn::Model> make_model(const Recipe& recipe, const data::Source& fitted);

// What the training rows say before any training (Model::start_from, train.head_start).
void start_from_data(const Recipe& recipe, const data::Source& training, nn::Model& model);

}  // namespace detente::train

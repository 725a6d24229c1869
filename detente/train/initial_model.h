// SPDX-License-Identifier: Apache-2.0
// The model of a recipe before its first step.
#pragma once

#include <detente/data/source.h>
#include <detente/nn/model.h>
#include <detente/train/recipe.h>

#include <filesystem>
#include <memory>

namespace detente::train {

// With the parameters that the recipe's seed draws, on the CPU, in float32. `fitted`: a source that
// has read the training rows or loaded what they taught.
std::unique_ptr<nn::Model> make_model(const Recipe& recipe, const data::Source& fitted);

// What the training rows say before any training (Model::start_from, train.head_start).
void start_from_data(const Recipe& recipe, const data::Source& training, nn::Model& model);

// Gives the trunk the parameters of another run's, or of a safetensors file of the same names ("module."
// and "backbone." before them are left out, other tensors are not looked at). Throws kIo; kData for a
// name that is missing or another shape.
void start_from_run(const std::filesystem::path& path, nn::Model& model);

}  // namespace detente::train

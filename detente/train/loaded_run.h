// SPDX-License-Identifier: Apache-2.0
// The model of a finished or interrupted run, with what is needed to use it.
#pragma once

#include <detente/data/source.h>
#include <detente/nn/model.h>
#include <detente/train/recipe.h>
#include <detente/train/run_directory.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace detente::train {

struct LoadedRun {
  RunDirectory run;
  Recipe recipe;  // class_names also where the training data alone said them (folders of classes)
  std::unique_ptr<data::Source> source;  // fitted, without rows
  std::unique_ptr<nn::Model> model;
};

// The best model on validation, on the recipe's device; `overrides` as in load_recipe. Throws kIo
// where there is no such run, kData for damaged files and, unless `accept_changed`, for files that
// are not what the run wrote.
LoadedRun load_run(const std::filesystem::path& root,
                   const std::vector<std::string>& overrides,
                   bool accept_changed = false);

}  // namespace detente::train

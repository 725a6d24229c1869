// SPDX-License-Identifier: Apache-2.0
#include <ATen/core/Tensor.h>
#include <detente/core/error.h>
#include <detente/tensor/compat.h>
#include <detente/tensor/safetensors.h>
#include <detente/train/initial_model.h>
#include <detente/train/loaded_run.h>

namespace detente::train {
namespace {

// One such number makes every prediction one.
void check_parameters_finite(const NamedTensors& tensors, const std::filesystem::path& file) {
  for (const auto& [name, tensor] : tensors) {
    DETENTE_CHECK(!tensor.is_floating_point() || tensor.isfinite().all().item<bool>(),
                  ErrorCode::kNumeric,
                  "[train::load_run] '{}' in '{}' holds NaN or infinity; expected finite numbers. "
                  "The file is damaged or of a run that diverged: train it again.",
                  name,
                  file.string());
  }
}

// Predictions are names then, and not ids.
void take_own_class_names(Recipe& recipe, const data::Source& source) {
  for (TaskRecipe& task : recipe.tasks) {
    if (task.head.kind != TaskKind::kClasses || !task.class_names.empty()) continue;
    task.class_names = source.class_names(task.column);
    if (task.class_names.empty()) continue;
    // Classes that the head has and the data do not.
    for (auto id = static_cast<std::int64_t>(task.class_names.size()); id < task.head.classes;
         ++id) {
      task.class_names.push_back(std::to_string(id));
    }
  }
}

}  // namespace

LoadedRun load_run(const std::filesystem::path& root,
                   const std::vector<std::string>& overrides,
                   bool accept_changed) {
  LoadedRun loaded;
  loaded.run = existing_run(root);
  // First, because it can say where in the file the damage is.
  loaded.recipe = load_kept_recipe(loaded.run.recipe());
  if (!accept_changed) check_run_manifest(loaded.run);
  if (!overrides.empty()) loaded.recipe = load_recipe(loaded.run.recipe(), overrides);
  loaded.source = loaded.recipe.data.source->fresh();
  loaded.source->load(loaded.run.root);
  take_own_class_names(loaded.recipe, *loaded.source);
  tensor::translate_errors("[train::load_run]", [&] {
    tensor::set_threads(static_cast<int>(loaded.recipe.threads));
    loaded.model = make_model(loaded.recipe, *loaded.source);
    tensor::Metadata metadata;
    const NamedTensors tensors =
        tensor::read_safetensors(loaded.run.model(), &metadata, !accept_changed);
    DETENTE_CHECK(metadata["format"] == kModelFormat,
                  ErrorCode::kData,
                  "[train::load_run] '{}' is a safetensors file but no model of this version.",
                  loaded.run.model().string());
    check_parameters_finite(tensors, loaded.run.model());
    loaded.model->load_state(tensors);
    loaded.model->to(tensor::parse_device(loaded.recipe.device),
                     tensor::parse_dtype(loaded.recipe.precision));
  });
  return loaded;
}

}  // namespace detente::train

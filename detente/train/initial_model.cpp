// SPDX-License-Identifier: Apache-2.0
#include <detente/nn/linear_probe.h>
#include <detente/train/initial_model.h>
#include <detente/train/step_draws.h>

namespace detente::train {

std::unique_ptr<nn::Model> make_model(const Recipe& recipe, const data::Source& fitted) {
  std::vector<nn::TaskHead> heads;
  for (const TaskRecipe& task : recipe.tasks) heads.push_back({task.name, task.head});
  return std::make_unique<nn::Model>(recipe.model.trunk->clone(),
                                     std::move(heads),
                                     fitted,
                                     static_cast<std::uint64_t>(recipe.seed));
}

void start_from_data(const Recipe& recipe, const data::Source& training, nn::Model& model) {
  Rng rng = step_rng(recipe.seed, kEmbeddingStream, 0);
  model.start_from(training, rng);
  if (recipe.loop.head_start == HeadStart::kProbe) {
    nn::probe_heads(model, training, static_cast<std::size_t>(recipe.loop.batches.batch_size));
  }
}

}  // namespace detente::train

// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/nn/linear_probe.h>
#include <detente/tensor/safetensors.h>
#include <detente/train/initial_model.h>
#include <detente/train/run_directory.h>
#include <detente/train/step_draws.h>
#include <fmt/ranges.h>
#include <torch/types.h>

#include <algorithm>
#include <string>

namespace detente::train {

std::unique_ptr<nn::Model> make_model(const Recipe& recipe, const data::Source& fitted) {
  std::vector<nn::TaskHead> heads;
  for (const TaskRecipe& task : recipe.tasks) heads.push_back({task.name, task.head});
  return std::make_unique<nn::Model>(
      recipe.model.trunk->clone(),
      std::move(heads),
      fitted,
      static_cast<std::uint64_t>(recipe.seed),
      recipe.model.sharing ? recipe.model.sharing->clone() : nullptr);
}

void start_from_data(const Recipe& recipe, const data::Source& training, nn::Model& model) {
  Rng rng = step_rng(recipe.seed, kEmbeddingStream, 0);
  model.start_from(training, rng);
  if (recipe.loop.head_start == HeadStart::kProbe) {
    nn::probe_heads(model, training, static_cast<std::size_t>(recipe.loop.batches.batch_size));
  }
}

namespace {

// As published checkpoints and wrappers of others write the names of one trunk.
std::string trunk_name(std::string name) {
  for (const std::string prefix : {"module.", "backbone."}) {
    if (name.starts_with(prefix)) name.erase(0, prefix.size());
  }
  return name;
}

}  // namespace

void start_from_run(const std::filesystem::path& path, nn::Model& model) {
  const std::filesystem::path file =
      std::filesystem::is_directory(path) ? existing_run(path).model() : path;
  DETENTE_CHECK(std::filesystem::is_regular_file(file),
                ErrorCode::kIo,
                "[train::start_from] there is no file '{}'; train.start_from takes the folder of a "
                "run, or a safetensors file.",
                file.string());
  NamedTensors given;
  for (auto& [name, tensor] : tensor::read_safetensors(file, nullptr, true)) {
    given.emplace_back(trunk_name(name), tensor);
  }
  NamedTensors wanted = model.trunk().parameters().trained();
  const NamedTensors fixed = model.trunk().parameters().fixed();
  wanted.insert(wanted.end(), fixed.begin(), fixed.end());
  const torch::NoGradGuard no_grad;
  for (const auto& [name, tensor] : wanted) {
    const auto found = std::find_if(
        given.begin(), given.end(), [&](const auto& named) { return named.first == name; });
    DETENTE_CHECK(found != given.end(),
                  ErrorCode::kData,
                  "[train::start_from] '{}' has no tensor '{}' for model.kind {}; expected a run, "
                  "or a safetensors file, of the same kind of network.",
                  file.string(),
                  name,
                  model.trunk().kind());
    DETENTE_CHECK(found->second.sizes() == tensor.sizes(),
                  ErrorCode::kData,
                  "[train::start_from] '{}' in '{}' has the shape [{}], the model's [{}]; expected "
                  "the same options of 'model' (and data.size).",
                  name,
                  file.string(),
                  fmt::join(found->second.sizes(), ", "),
                  fmt::join(tensor.sizes(), ", "));
    at::Tensor(tensor).copy_(found->second);
  }
}

}  // namespace detente::train

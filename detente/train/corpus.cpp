// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/data/image_source.h>
#include <detente/nn/trunk.h>
#include <detente/train/corpus.h>
#include <torch/types.h>

#include <cmath>
#include <limits>
#include <utility>

namespace detente::train {

std::vector<data::TargetColumn> target_columns(const Recipe& recipe) {
  std::vector<data::TargetColumn> columns;
  const auto add = [&](const TaskRecipe& task) {
    columns.push_back(task.target());
    // The standard output shifts and scales a target before it becomes a float.
    const bool as_it_is = task.head.output != nn::HeadOptions::Output::kStandard;
    if (as_it_is && recipe.precision == "float32") {
      columns.back().largest = std::numeric_limits<float>::max();
    }
  };
  for (const TaskRecipe& task : recipe.tasks) add(task);
  for (const TaskRecipe& probe : recipe.probes) add(probe);
  return columns;
}

Corpus load_corpus(const Recipe& recipe, const std::filesystem::path& cache) {
  data::SourceInput input{recipe.data.files, data::Part::kTrain, target_columns(recipe), cache};
  input.threads = static_cast<int>(recipe.threads);
  Corpus corpus{recipe.data.source->fresh(), recipe.data.source->fresh()};
  corpus.train->read(input, nullptr);
  input.part = data::Part::kDev;
  corpus.dev->read(input, corpus.train.get());
  return corpus;
}

data::EpochPlan epoch_plan(const Recipe& recipe, const data::Source& train) {
  const auto seed = static_cast<std::uint64_t>(recipe.seed);
  const auto* images = dynamic_cast<const data::ImageSource*>(&train);
  if (images != nullptr && images->labelled().batch > 0) {
    std::vector<std::uint32_t> unlabelled(train.size(), 1);
    for (const data::Target& target : train.targets()) {
      for (std::size_t i = 0; i < target.values.size(); ++i) {
        if (!std::isnan(target.values[i])) unlabelled[i / target.columns] = 0;
      }
    }
    return {train.costs(),
            unlabelled,
            recipe.loop.batches,
            recipe.data.sampler,
            {images->labelled().batch, 0},
            seed};
  }
  std::vector<std::int64_t> own_batches;
  for (const auto& source : recipe.data.files.sources) own_batches.push_back(source.batch);
  return {train, recipe.loop.batches, recipe.data.sampler, std::move(own_batches), seed};
}

void check_fitted(const data::Source& train, const std::filesystem::path& run) {
  namespace fs = std::filesystem;
  const TemporaryFolder folder(run);
  const fs::path& now = folder.path();
  train.save(now);
  std::string changed;
  for (const auto& entry : fs::recursive_directory_iterator(now)) {
    if (!entry.is_regular_file()) continue;
    const fs::path name = fs::relative(entry.path(), now);
    if (!fs::exists(run / name) || read_file(entry.path()) != read_file(run / name)) {
      changed = name.string();
      break;
    }
  }
  DETENTE_CHECK(
      changed.empty(),
      ErrorCode::kData,
      "[train::check_fitted] the training data are not those that '{}' began with: '{}' "
      "would change, and the trained model with it. Bring the data of then back, or begin "
      "a new run with another --out.",
      run.string(),
      changed);
}

std::unique_ptr<data::Source> load_rows(const Recipe& recipe,
                                        const data::SourceFiles& files,
                                        data::Part part,
                                        const data::Source& fitted,
                                        bool targets) {
  data::SourceInput input{files, part, {}, {}};
  input.threads = static_cast<int>(recipe.threads);
  if (targets) input.targets = target_columns(recipe);
  for (data::TargetColumn& column : input.targets) column.may_lack = true;
  auto source = recipe.data.source->fresh();
  source->read(input, &fitted);
  return source;
}

TensorList make_targets(const data::Source& source,
                        std::span<const std::size_t> rows,
                        const Rng* augment) {
  TensorList targets;
  for (const data::Array& array : source.target_batch(rows, augment)) {
    targets.push_back(nn::tensor_of(array));
  }
  return targets;
}

}  // namespace detente::train

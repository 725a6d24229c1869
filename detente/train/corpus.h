// SPDX-License-Identifier: Apache-2.0
// A recipe's data, read and encoded.
#pragma once

#include <detente/data/epoch_plan.h>
#include <detente/data/source.h>
#include <detente/tensor/fwd.h>
#include <detente/train/recipe.h>

#include <filesystem>
#include <memory>
#include <span>
#include <vector>

namespace detente::train {

struct Corpus {
  std::unique_ptr<data::Source> train;
  std::unique_ptr<data::Source> dev;
};

// What the tasks ask of the files, in their order, then what the probes do.
std::vector<data::TargetColumn> target_columns(const Recipe& recipe);

// Reads the training rows, fits the encoding to them and encodes the validation rows with it.
// `cache` is the folder for encoded rows, empty for none.
Corpus load_corpus(const Recipe& recipe, const std::filesystem::path& cache);

// Which of `train` each step takes: of the recipe's sources, and of labelled rows (data/labelled_rows.h) where a
// step has a number of its own of them, as EpochPlan says of two sources. Keeps a reference to `train`.
data::EpochPlan epoch_plan(const Recipe& recipe, const data::Source& train);

// Before a run goes on: what `train` has learnt from its rows must be what `run` holds, else kData.
// Other categories or scales would give the trained numbers another meaning.
void check_fitted(const data::Source& train, const std::filesystem::path& run);

// Other rows with an encoding that is fitted, to be measured or predicted: a task without any target here is
// a warning. With `targets` false the input columns are enough
// (prediction).
std::unique_ptr<data::Source> load_rows(const Recipe& recipe,
                                        const data::SourceFiles& files,
                                        data::Part part,
                                        const data::Source& fitted,
                                        bool targets);

// One tensor per task on the host, NaN where missing: float64 [rows] or, of several numbers, [rows,
// columns]; of maps float32. `augment` as in Source::target_batch.
TensorList make_targets(const data::Source& source,
                        std::span<const std::size_t> rows,
                        const Rng* augment = nullptr);

}  // namespace detente::train

// SPDX-License-Identifier: Apache-2.0
// The training run: recipe in, run directory out.
#pragma once

#include <detente/core/json.h>
#include <detente/nn/pair_model.h>
#include <detente/text/lexical.h>
#include <detente/text/tokenizer.h>
#include <detente/train/progress.h>
#include <detente/train/recipe.h>
#include <detente/train/run_directory.h>

#include <filesystem>
#include <iosfwd>
#include <memory>
#include <string>
#include <vector>

namespace detente::train {

struct TrainOptions {
  std::filesystem::path out;  // empty: the recipe's output.dir
  ExistingRun existing = ExistingRun::kRefuse;
  Progress::Style progress = Progress::Style::kLines;
};

struct TrainOutcome {
  RunDirectory run;
  bool interrupted = false;
  Json summary;  // as in summary.json
};

// Trains until the last epoch or an interrupt (Ctrl-C, SIGTERM): then everything is saved and
// `interrupted` is set. Progress and notices go to `log`. Throws detente::Error; the run directory
// then holds the last snapshot.
TrainOutcome train(const Recipe& recipe, const TrainOptions& options, std::ostream& log);

// The model of a finished or interrupted run, with what is needed to use it.
struct LoadedRun {
  RunDirectory run;
  Recipe recipe;
  std::unique_ptr<text::Tokenizer> tokenizer;
  text::IdfTable idf;
  std::unique_ptr<nn::PairModel> model;
};
LoadedRun load_run(const std::filesystem::path& root, const std::vector<std::string>& overrides);

}  // namespace detente::train

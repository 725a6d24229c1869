// SPDX-License-Identifier: Apache-2.0
// The training run: recipe in, run directory out.
#pragma once

#include <detente/core/json.h>
#include <detente/nn/model.h>
#include <detente/train/corpus.h>
#include <detente/train/loss_context.h>
#include <detente/train/loss_source.h>
#include <detente/train/progress.h>
#include <detente/train/recipe.h>
#include <detente/train/run_directory.h>
#include <detente/train/run_observer.h>

#include <filesystem>
#include <functional>
#include <iosfwd>
#include <memory>
#include <vector>

namespace detente::tensor {
class Group;
}

namespace detente::train {

using MakeLosses = std::function<std::unique_ptr<LossSource>(const LossContext&)>;

struct TrainOptions {
  std::filesystem::path out;  // empty: the recipe's output.dir
  ExistingRun existing = ExistingRun::kRefuse;
  Progress::Style progress = Progress::Style::kLines;
  // Asked after the run's own (log, events, progress), in this order.
  std::vector<std::shared_ptr<RunObserver>> observers = {};
  // Losses beside those of the recipe's tasks: further tasks of the run, which have no metrics. A
  // run is resumed with the losses it was started with.
  std::vector<MakeLosses> losses = {};
  // The processes of the run; null: this one alone. All call train() with the same recipe and see the
  // same data; the run's folder and the observers are rank 0's alone, which is the only one that writes
  // anything. An error of one ends all.
  std::shared_ptr<tensor::Group> group = nullptr;
  // Where this process computes, as the recipe's `device`; empty: there.
  std::string device = {};
  // Resume although the rows or a file of the snapshot have changed.
  bool accept_changed = false;
};

struct TrainOutcome {
  RunDirectory run;
  bool interrupted = false;
  Json summary;  // as in summary.json; null in processes other than rank 0
};

// Trains until the last epoch, an interrupt (Ctrl-C, SIGTERM) or an observer's stop(): then
// everything is saved, and in the latter two cases `interrupted` is set. Progress and notices go to
// `log`. Throws detente::Error; the run directory then holds the last snapshot.
TrainOutcome train(const Recipe& recipe, const TrainOptions& options, std::ostream& log);

}  // namespace detente::train

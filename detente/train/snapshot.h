// SPDX-License-Identifier: Apache-2.0
// Everything a run needs to go on as if it had never stopped, in one safetensors file: the tensors
// of model, optimiser and method, and the rest as JSON in the file's metadata.
#pragma once

#include <detente/balance/method.h>
#include <detente/core/json.h>
#include <detente/nn/pair_model.h>
#include <detente/train/adamw.h>
#include <detente/train/surgery.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace detente::train {

struct RunState {
  std::int64_t step = 0;          // steps done in the whole run
  std::int64_t epoch = 0;         // the epoch under way, from 0
  std::int64_t batch = 0;         // batches done in it
  std::vector<double> loss_sums;  // of the epoch under way, per task
  std::vector<double> loss_counts;
  double seconds = 0;  // time spent training
  double epoch_seconds = 0;
  double best_value = 0;        // of the selection metric; valid when best_epoch > 0
  std::int64_t best_epoch = 0;  // from 1; 0: none yet
  Json best_metrics = nullptr;  // of the kept model
  std::int64_t diagnosed_steps = 0;
  std::int64_t conflict_steps = 0;
  double cosine_sum = 0;  // over pairs and diagnosed steps
  std::int64_t cosine_count = 0;
  std::int64_t skipped_steps = 0;    // see engine.loss_scaling
  std::int64_t optimizer_steps = 0;  // as the optimiser counts them
  Json method_state = nullptr;       // see methods_state
  Json engine_state = nullptr;
  std::vector<std::string> notices;  // of the engine, in the log already
  bool finished = false;

  Json to_json() const;
  static RunState from_json(const Json& json);
};

// Atomic: a crash while writing leaves the earlier snapshot.
void write_snapshot(const std::filesystem::path& path,
                    const RunState& state,
                    const nn::PairModel& model,
                    const AdamW& optimizer,
                    const MethodList& methods,
                    const std::string& recipe_yaml);

// The recipe text and state alone, before a model exists. Throws kIo, or kData when the file is
// foreign, damaged, cut short or of another version.
struct SnapshotHeader {
  RunState state;
  std::string recipe_yaml;
};
SnapshotHeader read_snapshot(const std::filesystem::path& path, NamedTensors* tensors);

// Puts what was read before into model, optimiser and methods; kData when it does not fit.
void restore_snapshot(const NamedTensors& tensors,
                      const RunState& state,
                      nn::PairModel& model,
                      AdamW& optimizer,
                      const MethodList& methods);

}  // namespace detente::train

// SPDX-License-Identifier: Apache-2.0
// Everything a run needs to go on as if it had never stopped, in one safetensors file: the tensors
// of model, optimiser and method, and the rest as JSON in the file's metadata.
#pragma once

#include <detente/balance/method.h>
#include <detente/nn/pair_model.h>
#include <detente/train/adamw.h>
#include <detente/train/run_state.h>
#include <detente/train/surgery.h>

#include <filesystem>
#include <string>

namespace detente::train {

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

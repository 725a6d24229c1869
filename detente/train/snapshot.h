// SPDX-License-Identifier: Apache-2.0
// Everything a run needs to go on as if it had never stopped, in one safetensors file: the tensors
// of its parts (model, optimiser, methods, losses), each below a prefix of its own, and the rest as
// JSON in the file's metadata.
#pragma once

#include <detente/tensor/fwd.h>
#include <detente/train/run_state.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace detente::train {

// One part of a run that has tensors to keep.
struct StatePart {
  std::string prefix;  // of its names in the file, with a dot at the end: "optimizer."
  std::function<NamedTensors()> save;
  // Gets back what save() gave, nothing where the file has nothing of it; kData when that does not
  // fit.
  std::function<void(const NamedTensors&)> load;
};

// Saves the parts, which may write to `state` meanwhile, then the state. Atomic: a crash while
// writing leaves the earlier snapshot.
void write_snapshot(const std::filesystem::path& path,
                    const RunState& state,
                    const std::vector<StatePart>& parts,
                    const std::string& recipe_yaml);

// The recipe text and state alone, before a model exists. Throws kIo, or kData when the file is
// foreign, damaged, cut short or of another version.
struct SnapshotHeader {
  RunState state;
  std::string recipe_yaml;
};
SnapshotHeader read_snapshot(const std::filesystem::path& path, NamedTensors* tensors);

// Hands each part what was read before; kData when it does not fit or there is a tensor that no
// part takes.
void restore_snapshot(const NamedTensors& tensors, const std::vector<StatePart>& parts);

}  // namespace detente::train

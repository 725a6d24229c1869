// SPDX-License-Identifier: Apache-2.0
// Everything a run needs to go on as if it had never stopped:
//
//   snapshots/step-730/
//     state.json             position, sums, states of methods and engine (RunState)
//     recipe.yaml            the recipe it was trained with
//     model.safetensors      one file per part that has tensors: optimizer, method, losses, ...
//     manifest.json          sizes and checksums of the others, written last
//
// The folder is made under another name and renamed when every file of it is on the disk: there is
// a whole snapshot or none. Reading checks the sums; a damaged one is named and an earlier one
// taken. Runs of Detente 0.1 have one file, snapshot.safetensors, which is read as well.
#pragma once

#include <ATen/core/Tensor.h>
#include <detente/tensor/fwd.h>
#include <detente/train/run_state.h>
#include <detente/train/state_part.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <future>
#include <optional>
#include <string>
#include <vector>

namespace detente::train {

struct Snapshot {
  std::filesystem::path path;  // the folder, or the file of Detente 0.1
  RunState state;
  std::string recipe_yaml;
  NamedTensors tensors;  // names with the prefix of their part
};

// Writes snapshots on a thread of its own. What changes in the optimiser's update alone is copied
// there too, while training computes the next gradients: it waits for what the copy still lacks when
// these are done (wait_for_copy), and for a snapshot before that is still being written.
class SnapshotWriter {
 public:
  // `keep`: so many of the newest stay; 0: all.
  SnapshotWriter(std::filesystem::path folder, std::int64_t keep);
  ~SnapshotWriter();  // waits
  SnapshotWriter(const SnapshotWriter&) = delete;
  SnapshotWriter& operator=(const SnapshotWriter&) = delete;

  // Saves the parts, which may write to `state` meanwhile, then the state. `before` is called on
  // the other thread, after the copy: what the snapshot relies on goes to the disk there. Throws what
  // the snapshot before met.
  void write(RunState& state,
             const std::vector<StatePart>& parts,
             const std::string& recipe_yaml,
             std::function<void()> before = {});
  // Until everything is copied: before every update of the parameters (StateChanges). Cheap.
  void wait_for_copy();
  // Throws what the last one met, if it has ended; cheap.
  void check();
  // Until the last one is on the disk; throws what it met.
  void wait();

 private:
  std::filesystem::path folder_;
  std::int64_t keep_;
  std::future<void> copied_;
  std::future<void> pending_;
};

// Snapshots of a run's folder, the newest first; nothing is read yet.
std::vector<std::filesystem::path> snapshot_paths(const std::filesystem::path& run);

// Throws kIo; kData when it is foreign, damaged, cut short or of another version. `check`: without
// it a changed file is read as it is (--accept-changed).
Snapshot read_snapshot(const std::filesystem::path& path, bool check = true);

// The newest snapshot that is whole; nothing where there is none at all. A damaged one is named in
// `warnings` and set aside under a name that begins with "damaged-", never removed. Throws kData
// when all are damaged: what is wrong with the newest.
std::optional<Snapshot> newest_snapshot(const std::filesystem::path& run,
                                        bool check,
                                        std::vector<std::string>& warnings);

// What the newest snapshot whose state can be read says, without its tensors and without judging
// them; nothing where there is none.
std::optional<RunState> newest_state(const std::filesystem::path& run);

// Ends what a killed process had begun: half-written snapshots go, and those beyond `keep` (0: all
// stay).
void tidy_snapshots(const std::filesystem::path& run, std::int64_t keep);

// All of a run's snapshots, and the folder if nothing else is in it. Files of other names, and what
// links lead to, stay; here and wherever snapshots are removed.
void remove_snapshots(const std::filesystem::path& run);

// Hands each part what was read before; kData when it does not fit or there is a tensor that no
// part takes.
void restore_snapshot(const NamedTensors& tensors, const std::vector<StatePart>& parts);

}  // namespace detente::train

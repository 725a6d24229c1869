// SPDX-License-Identifier: Apache-2.0
// Apart from tiny_run.h, which is included where no tensor is known.
#pragma once

#include <detente/train/snapshot.h>

#include <filesystem>

namespace detente::train {

inline Snapshot last_snapshot(const std::filesystem::path& run) {
  return read_snapshot(snapshot_paths(run).at(0));
}

}  // namespace detente::train

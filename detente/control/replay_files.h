// SPDX-License-Identifier: Apache-2.0
// Where a run keeps what its agent remembers: a file for each of its snapshots.
#pragma once

#include <detente/worlds/replay.h>

#include <cstdint>
#include <filesystem>

namespace detente::control {

// ROOT/replay/step-STEP.safetensors
std::filesystem::path replay_file(const std::filesystem::path& root, std::int64_t step);

// Throws kIo.
void save_replay(const std::filesystem::path& root,
                 const worlds::Replay& replay,
                 std::int64_t step);

// Removes those that belong to no snapshot of the run, when none is being written; files of other names, and what is no
// regular file, stay.
void tidy_replay_files(const std::filesystem::path& root);

}  // namespace detente::control

// SPDX-License-Identifier: Apache-2.0
#include <detente/control/replay_files.h>
#include <detente/core/file.h>
#include <detente/core/whole_number.h>
#include <detente/train/snapshot.h>

#include <optional>
#include <set>
#include <string>

namespace detente::control {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kBegin = "step-";
constexpr std::string_view kEnd = ".safetensors";

// Of "step-730" and "step-730.safetensors".
std::optional<std::int64_t> step_of(std::string name) {
  if (!name.starts_with(kBegin)) return std::nullopt;
  name.erase(0, kBegin.size());
  if (name.ends_with(kEnd)) name.erase(name.size() - kEnd.size());
  return whole_number<std::int64_t>(name);
}

}  // namespace

fs::path replay_file(const fs::path& root, std::int64_t step) {
  return root / "replay" / (std::string(kBegin) + std::to_string(step) + std::string(kEnd));
}

void save_replay(const fs::path& root, const worlds::Replay& replay, std::int64_t step) {
  make_directories(root / "replay");
  replay.save(replay_file(root, step));
}

void tidy_replay_files(const fs::path& root) {
  std::set<std::int64_t> kept;
  for (const fs::path& snapshot : train::snapshot_paths(root)) {
    if (const auto other = step_of(snapshot.filename().string())) kept.insert(*other);
  }
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(root / "replay", ignored)) {
    const std::string name = entry.path().filename().string();
    const auto step = name.ends_with(kEnd) ? step_of(name) : std::nullopt;
    if (!step || kept.contains(*step) || !fs::is_regular_file(fs::symlink_status(entry.path())))
      continue;
    fs::remove(entry.path(), ignored);
  }
}

}  // namespace detente::control

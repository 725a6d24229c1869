// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/core/Tensor.h>
#include <detente/core/crash_point.h>
#include <detente/core/entries.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/manifest.h>
#include <detente/core/whole_number.h>
#include <detente/nn/parameters.h>
#include <detente/tensor/safetensors.h>
#include <detente/train/run_directory.h>
#include <detente/train/snapshot.h>
#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <future>
#include <memory>
#include <string_view>
#include <system_error>
#include <utility>

namespace detente::train {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSnapshotFormat = "detente-snapshot-2";
constexpr const char* kOldSnapshotFormat = "detente-snapshot-1";
constexpr const char* kUnfinished = "unfinished-";
constexpr const char* kDamaged = "damaged-";

fs::path old_snapshot_of(const fs::path& run) { return run / "snapshot.safetensors"; }

// The step of "step-N"; nothing for other names.
std::optional<std::int64_t> step_of(const std::string& name) {
  static constexpr std::string_view kStep = "step-";
  if (!name.starts_with(kStep)) return std::nullopt;
  const auto step = whole_number<std::int64_t>(std::string_view(name).substr(kStep.size()));
  return step && *step >= 0 ? step : std::nullopt;
}

std::vector<std::pair<std::int64_t, fs::path>> steps_below(const fs::path& folder) {
  std::vector<std::pair<std::int64_t, fs::path>> found;
  for (const fs::path& path : entries_of(folder)) {
    const auto step = step_of(path.filename().string());
    if (step && is_own_folder(path)) found.emplace_back(*step, path);
  }
  std::sort(
      found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  return found;
}

// The files that snapshots are made of, and the folder if nothing else was in it.
void remove_folder(const fs::path& folder) {
  if (!is_own_folder(folder)) return;
  remove_temporary_files(folder);
  std::error_code error;
  for (const fs::path& path : entries_of(folder)) {
    const std::string name = path.filename().string();
    const bool known = name == "state.json" || name == "recipe.yaml" || name == "manifest.json" ||
                       name.ends_with(".safetensors");
    if (known && is_own_file(path)) fs::remove(path, error);
  }
  fs::remove(folder, error);
}

void remove_folders(const fs::path& folder, std::string_view begin) {
  for (const fs::path& path : entries_of(folder)) {
    if (path.filename().string().starts_with(begin)) remove_folder(path);
  }
}

// What a snapshot is made of, in memory.
struct SnapshotContent {
  struct Part {
    std::string file;  // without ending
    NamedTensors tensors;
    StateChanges changes;
  };
  std::string state;
  std::string recipe_yaml;
  std::vector<Part> parts;
};

bool changes_in_update_alone(const at::Tensor& tensor, StateChanges changes) {
  return changes == StateChanges::kInUpdate ||
         (changes == StateChanges::kParametersInUpdate && tensor.requires_grad());
}

// By one thread: the others are computing.
at::Tensor copy_on_host(const at::Tensor& tensor) {
  const at::Tensor source = tensor.detach();
  if (!source.is_cpu() || !source.is_contiguous()) return source.to(at::kCPU, false, /*copy=*/true);
  at::Tensor copy = at::empty(source.sizes(), source.options());
  if (copy.nbytes() > 0)
    std::memcpy(copy.mutable_data_ptr(), source.const_data_ptr(), copy.nbytes());
  return copy;
}

// Copies what may change at any time; the rest waits for copy_rest.
SnapshotContent content_of(RunState& state,
                           const std::vector<StatePart>& parts,
                           const std::string& recipe_yaml) {
  SnapshotContent content;
  content.recipe_yaml = recipe_yaml;
  for (const StatePart& part : parts) {
    NamedTensors tensors = part.save();
    if (tensors.empty()) continue;
    for (auto& [name, tensor] : tensors) {
      if (!changes_in_update_alone(tensor, part.changes)) tensor = copy_on_host(tensor);
    }
    content.parts.push_back(
        {part.prefix.substr(0, part.prefix.size() - 1), std::move(tensors), part.changes});
  }
  content.state = state.to_json().dump(1) + "\n";
  return content;
}

void copy_rest(SnapshotContent& content) {
  for (auto& part : content.parts) {
    for (auto& [name, tensor] : part.tensors) {
      if (changes_in_update_alone(tensor, part.changes)) tensor = copy_on_host(tensor);
    }
  }
}

void write_files(const fs::path& folder, const SnapshotContent& content) {
  Manifest manifest;
  const auto write = [&](const std::string& name, const std::string& text) {
    write_own_file(folder / name, text);
    manifest.add(name, sum_of(text));
    crash_point("snapshot.part");
  };
  for (const auto& part : content.parts) {
    write(part.file + ".safetensors",
          tensor::to_safetensors(part.tensors, {{"format", kSnapshotFormat}}));
  }
  write("recipe.yaml", content.recipe_yaml);
  write("state.json", content.state);
  manifest.write(folder / "manifest.json");
  crash_point("snapshot.manifest");
}

// A step is saved twice where an epoch ends at once after it. The later one knows more and takes
// the earlier one's place, which is left under the unfinished name: at no moment is there neither.
void put_in_place(const fs::path& unfinished, const fs::path& final_path) {
  const auto move = [&] { return ::rename(unfinished.c_str(), final_path.c_str()) == 0; };
  bool done = false;
  if (fs::exists(final_path)) {
    done = ::renameat2(
               AT_FDCWD, unfinished.c_str(), AT_FDCWD, final_path.c_str(), RENAME_EXCHANGE) == 0;
    if (!done && (errno == EINVAL || errno == ENOSYS)) {  // a file system that cannot exchange
      remove_folder(final_path);
      done = move();
    }
  } else {
    done = move();
  }
  DETENTE_CHECK(done,
                ErrorCode::kIo,
                "[train::write_snapshot] cannot rename '{}' to '{}': {}. Earlier snapshots are "
                "untouched.",
                unfinished.string(),
                final_path.string(),
                std::strerror(errno));
}

void remove_older(const fs::path& folder, std::int64_t keep) {
  if (keep == 0) return;
  const auto all = steps_below(folder);
  for (std::size_t i = static_cast<std::size_t>(keep); i < all.size(); ++i) {
    remove_folder(all[i].second);
  }
}

void write_folder(const fs::path& folder,
                  const std::string& name,
                  std::int64_t keep,
                  const SnapshotContent& content) {
  make_directories(folder);
  const fs::path unfinished = folder / (kUnfinished + name);
  const fs::path final_path = folder / name;
  std::error_code ignored;
  remove_folder(unfinished);
  try {
    make_directories(unfinished);
    crash_point("snapshot.folder");
    write_files(unfinished, content);
    put_in_place(unfinished, final_path);
    flush_folder(folder);
    crash_point("snapshot.renamed");
    remove_folder(unfinished);
  } catch (...) {
    remove_folder(unfinished);
    throw;
  }
  remove_older(folder, keep);
  fs::remove(old_snapshot_of(folder.parent_path()), ignored);  // it is behind what stands now
  crash_point("snapshot.pruned");
}

RunState state_of(const std::string& text, const fs::path& path) {
  try {
    return RunState::from_json(Json::parse(text));
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorCode::kData,
         "[train::read_snapshot] '{}': the state cannot be read ({}).",
         path.string(),
         error.what());
  }
}

Snapshot read_old_snapshot(const fs::path& path, bool check) {
  Snapshot snapshot;
  snapshot.path = path;
  tensor::Metadata metadata;
  snapshot.tensors = tensor::read_safetensors(path, &metadata, check);
  DETENTE_CHECK(metadata["format"] == kOldSnapshotFormat,
                ErrorCode::kData,
                "[train::read_snapshot] '{}' is a safetensors file but no snapshot of this version "
                "(format '{}', expected '{}').",
                path.string(),
                metadata["format"],
                kOldSnapshotFormat);
  snapshot.state = state_of(metadata["state"], path);
  snapshot.recipe_yaml = metadata["recipe"];
  return snapshot;
}

}  // namespace

SnapshotWriter::SnapshotWriter(fs::path folder, std::int64_t keep)
    : folder_(std::move(folder)), keep_(keep) {}

SnapshotWriter::~SnapshotWriter() {
  if (pending_.valid()) pending_.wait();
}

void SnapshotWriter::write(RunState& state,
                           const std::vector<StatePart>& parts,
                           const std::string& recipe_yaml,
                           std::function<void()> before) {
  wait();
  const auto content = std::make_shared<SnapshotContent>(content_of(state, parts, recipe_yaml));
  const auto copied = std::make_shared<std::promise<void>>();
  copied_ = copied->get_future();
  const auto work = [content,
                     copied,
                     folder = folder_,
                     keep = keep_,
                     name = fmt::format("step-{}", state.step),
                     before = std::move(before)] {
    try {
      copy_rest(*content);
    } catch (...) {
      copied->set_value();  // training goes on; who waits for the snapshot is told
      throw;
    }
    copied->set_value();
    if (before) before();
    write_folder(folder, name, keep, *content);
  };
  try {
    pending_ = std::async(std::launch::async, work);
  } catch (const std::system_error&) {
    work();  // the system gives no thread more
  }
}

void SnapshotWriter::wait_for_copy() {
  if (copied_.valid()) copied_.get();
}

void SnapshotWriter::check() {
  if (pending_.valid() && pending_.wait_for(std::chrono::seconds(0)) == std::future_status::ready) {
    pending_.get();
  }
}

void SnapshotWriter::wait() {
  if (pending_.valid()) pending_.get();
}

std::vector<fs::path> snapshot_paths(const fs::path& run) {
  std::vector<fs::path> paths;
  for (auto& [step, path] : steps_below(RunDirectory{run}.snapshots()))
    paths.push_back(std::move(path));
  if (fs::exists(old_snapshot_of(run))) paths.push_back(old_snapshot_of(run));
  return paths;
}

Snapshot read_snapshot(const fs::path& path, bool check) {
  if (!fs::is_directory(path)) return read_old_snapshot(path, check);
  DETENTE_CHECK(fs::exists(path / "manifest.json"),
                ErrorCode::kData,
                "[train::read_snapshot] '{}' is damaged: it has no manifest.json.",
                path.string());
  const Manifest manifest = Manifest::read(path / "manifest.json");
  if (check) {
    const auto differences = manifest.differences(path);
    DETENTE_CHECK(differences.empty(),
                  ErrorCode::kData,
                  "[train::read_snapshot] '{}' is damaged: {}",
                  path.string(),
                  differences.front());
  }
  Snapshot snapshot;
  snapshot.path = path;
  snapshot.state = state_of(read_file(path / "state.json"), path / "state.json");
  snapshot.recipe_yaml = read_file(path / "recipe.yaml");
  static constexpr std::string_view kEnding = ".safetensors";
  for (const auto& [name, sum] : manifest.files()) {
    if (!name.ends_with(kEnding)) continue;
    const std::string prefix = name.substr(0, name.size() - kEnding.size()) + ".";
    tensor::Metadata metadata;
    // Not asked for its own checksum: the manifest has just told.
    for (auto& [own, tensor] : tensor::read_safetensors(path / name, &metadata, false)) {
      snapshot.tensors.emplace_back(prefix + own, std::move(tensor));
    }
    DETENTE_CHECK(metadata["format"] == kSnapshotFormat,
                  ErrorCode::kData,
                  "[train::read_snapshot] '{}' is a safetensors file but no part of a snapshot of "
                  "this version (format '{}', expected '{}').",
                  (path / name).string(),
                  metadata["format"],
                  kSnapshotFormat);
  }
  return snapshot;
}

std::optional<Snapshot> newest_snapshot(const fs::path& run,
                                        bool check,
                                        std::vector<std::string>& warnings) {
  std::optional<Error> first;
  std::vector<fs::path> damaged;
  std::optional<Snapshot> found;
  for (const fs::path& path : snapshot_paths(run)) {
    try {
      found = read_snapshot(path, check);
      break;
    } catch (const Error& error) {
      // A file that cannot be opened is not damaged, and another code is no one's fault here.
      if (error.code() != ErrorCode::kData && error.code() != ErrorCode::kUnsupported) throw;
      if (!first) first = error;
      damaged.push_back(path);
    }
  }
  if (!found) {
    if (first) throw *first;
    return std::nullopt;
  }
  for (const fs::path& path : damaged) {
    const fs::path aside = path.parent_path() / (kDamaged + path.filename().string());
    std::error_code error;
    fs::rename(path, aside, error);
    warnings.push_back(
        fmt::format("the snapshot '{}' is damaged and set aside as '{}'; going on "
                    "from '{}'. ({})",
                    path.string(),
                    aside.filename().string(),
                    found->path.filename().string(),
                    first->what()));
  }
  return found;
}

std::optional<RunState> newest_state(const fs::path& run) {
  for (const fs::path& path : snapshot_paths(run)) {
    if (!fs::is_directory(path)) continue;  // of Detente 0.1, which remembers less
    try {
      return state_of(read_file(path / "state.json"), path / "state.json");
    } catch (const Error&) {
      // An earlier one may be whole.
    }
  }
  return std::nullopt;
}

void tidy_snapshots(const fs::path& run, std::int64_t keep) {
  const fs::path folder = RunDirectory{run}.snapshots();
  remove_folders(folder, kUnfinished);
  remove_older(folder, keep);
}

void remove_snapshots(const fs::path& run) {
  const fs::path folder = RunDirectory{run}.snapshots();
  if (!is_own_folder(folder)) return;
  for (const char* begin : {kUnfinished, kDamaged}) remove_folders(folder, begin);
  for (const auto& [step, path] : steps_below(folder)) remove_folder(path);
  std::error_code not_empty;
  fs::remove(folder, not_empty);
}

void restore_snapshot(const NamedTensors& tensors, const std::vector<StatePart>& parts) {
  for (const StatePart& part : parts) part.load(nn::without_prefix(tensors, part.prefix));
  for (const auto& [name, tensor] : tensors) {
    const bool taken = std::any_of(parts.begin(), parts.end(), [&](const StatePart& part) {
      return name.starts_with(part.prefix);
    });
    DETENTE_CHECK(taken,
                  ErrorCode::kData,
                  "[train::restore_snapshot] nothing in this run takes the snapshot's '{}'; it was "
                  "written by a run with other parts.",
                  name);
  }
}

}  // namespace detente::train

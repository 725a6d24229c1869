// SPDX-License-Identifier: Apache-2.0
#include <detente/core/entries.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/manifest.h>
#include <detente/report/tensorboard.h>
#include <detente/train/run_directory.h>
#include <detente/train/run_lock.h>
#include <detente/train/snapshot.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <vector>

namespace detente::train {
namespace {

namespace fs = std::filesystem;

// What a run writes beside its event files, in the folders it makes. docs/run_directory.md.
constexpr const char* kRunFiles[] = {"recipe.yaml",
                                     "metrics.jsonl",
                                     "summary.json",
                                     "model.safetensors",
                                     "answers.json",
                                     "looks.json",
                                     "values.csv",
                                     "columns.json",
                                     "images.json",
                                     "audio.json",
                                     "graphs.json",
                                     "dense.json",
                                     "joined.json",
                                     "manifest.json",
                                     "snapshot.safetensors",
                                     "report.html"};
constexpr const char* kTokenizerFolder = "tokenizer";
constexpr const char* kTokenizerFiles[] = {"vocab.txt", "tokenizer_config.json", "idf.json"};
constexpr const char* kCacheFolder = "cache";

bool is_there(const fs::path& path) {
  std::error_code error;
  return fs::exists(fs::symlink_status(path, error));
}

bool is_of_a_run(const fs::path& entry) {
  const std::string name = entry.filename().string();
  if (std::find(std::begin(kRunFiles), std::end(kRunFiles), name) != std::end(kRunFiles)) {
    return is_own_file(entry);
  }
  return name == kTokenizerFolder && is_own_folder(entry);
}

// Encoded sentences are made before the run is opened; they alone do not make a folder a used one.
// Neither does what a killed process left under temporary names, or of a run whose recipe it had
// not written yet: nothing is lost there.
bool run_directory_occupied(const RunDirectory& run) {
  const bool only_begun = run.is_run() && !run.has_begun();
  for (const fs::path& entry : entries_of(run.root)) {
    const std::string name = entry.filename().string();
    if (name == kCacheFolder || name == kRunMark || is_temporary_name(name)) continue;
    if (!only_begun || !is_of_a_run(entry)) return true;
  }
  return false;
}

void remove_file(const fs::path& path) {
  std::error_code error;
  if (is_own_file(path)) fs::remove(path, error);
  DETENTE_CHECK(!error,
                ErrorCode::kIo,
                "[train::open_run_directory] cannot remove '{}': {}.",
                path.string(),
                error.message());
}

// The files of a run by their names, and folders of its own that are empty then. Links, and files
// and folders of other names, stay.
void remove_run_files(const fs::path& folder) {
  for (const char* name : kRunFiles) remove_file(folder / name);
  const fs::path tokenizer = folder / kTokenizerFolder;
  if (!is_own_folder(tokenizer)) return;
  for (const char* name : kTokenizerFiles) remove_file(tokenizer / name);
  std::error_code not_empty;
  fs::remove(tokenizer, not_empty);
}

// What a killed process had not finished.
void remove_leftovers(const fs::path& root) {
  for (const fs::path& folder : {root, root / kTokenizerFolder, root / kCacheFolder}) {
    remove_temporary_files(folder);
  }
  for (const fs::path& entry : entries_of(root)) {
    if (!is_own_folder(entry) || !is_temporary_name(entry.filename().string())) continue;
    remove_run_files(entry);
    std::error_code not_empty;
    fs::remove(entry, not_empty);
  }
}

// Before anything is removed: what has a run's name but is no file of a run was put there by
// someone, and would otherwise be left to the new run as if it were its own.
void check_removable(const fs::path& root) {
  const auto demand = [](const fs::path& path, bool holds, const char* expected) {
    DETENTE_CHECK(!is_there(path) || holds,
                  ErrorCode::kInvalidArgument,
                  "[train::open_run_directory] '{}' is no {}, so no run has made it and --force "
                  "does not remove it. Move it away, or choose another folder with --out.",
                  path.string(),
                  expected);
  };
  for (const char* name : kRunFiles) demand(root / name, is_own_file(root / name), "regular file");
  const fs::path tokenizer = root / kTokenizerFolder;
  if (!is_own_folder(tokenizer)) return;
  for (const char* name : kTokenizerFiles) {
    demand(tokenizer / name, is_own_file(tokenizer / name), "regular file");
  }
}

// Whoever put a link where a run has a folder of its own would decide where the run writes.
void check_own_folders(const RunDirectory& run) {
  for (const fs::path& folder :
       {run.root / kTokenizerFolder, run.root / kCacheFolder, run.snapshots()}) {
    DETENTE_CHECK(!is_there(folder) || is_own_folder(folder),
                  ErrorCode::kInvalidArgument,
                  "[train::open_run_directory] '{}' is a link or a file; expected a folder of the "
                  "run's own, so nothing is written there. Move it away, or choose another folder "
                  "with --out.",
                  folder.string());
  }
}

void check_writable(const std::filesystem::path& root) {
  DETENTE_CHECK(::access(root.c_str(), W_OK | X_OK) == 0,
                ErrorCode::kIo,
                "[train::open_run_directory] folder '{}' cannot be written to. Choose another with "
                "--out, or change its permissions.",
                root.string());
}

}  // namespace

bool RunDirectory::is_run() const { return has_begun() || is_own_file(root / kRunMark); }

bool RunDirectory::has_begun() const {
  std::error_code error;
  return fs::exists(recipe(), error);
}

void check_run_directory(const std::filesystem::path& root, ExistingRun policy) {
  DETENTE_CHECK(!root.empty(),
                ErrorCode::kInvalidArgument,
                "[train::open_run_directory] the output folder has no name; give one with --out.");
  const RunDirectory run{root};
  check_own_folders(run);
  if (!run_directory_occupied(run)) return;
  if (policy == ExistingRun::kRefuse) {
    fail(ErrorCode::kInvalidArgument,
         "[train::open_run_directory] '{}' is not empty{}. Choose another folder with --out, go on "
         "with --resume, or replace the earlier run with --force.",
         root.string(),
         run.is_run() ? " (an earlier run)" : "");
  }
  DETENTE_CHECK(run.is_run(),
                ErrorCode::kInvalidArgument,
                "[train::open_run_directory] '{}' holds files but no run of Detente (no "
                "recipe.yaml), so nothing there is touched. Choose another folder with --out.",
                root.string());
  if (policy == ExistingRun::kForce) check_removable(root);
  if (policy == ExistingRun::kResume) demand_plain_files(root);
}

RunDirectory open_run_directory(const std::filesystem::path& root, ExistingRun policy) {
  check_run_directory(root, policy);
  make_directories(root);
  check_writable(root);
  if (policy == ExistingRun::kForce || !RunDirectory{root}.has_begun()) {
    remove_run_files(root);
    remove_snapshots(root);
    for (const fs::path& entry : entries_of(root)) {
      if (report::is_event_file_name(entry.filename().string())) remove_file(entry);
    }
  }
  remove_leftovers(root);
  return {root};
}

RunDirectory existing_run(const std::filesystem::path& root) {
  const RunDirectory run{root};
  DETENTE_CHECK(std::filesystem::is_directory(root),
                ErrorCode::kIo,
                "[train::existing_run] there is no folder '{}'; expected the --out folder of "
                "'detente train'.",
                root.string());
  DETENTE_CHECK(run.is_run(),
                ErrorCode::kIo,
                "[train::existing_run] '{}' is not a run of Detente (no recipe.yaml in it).",
                root.string());
  demand_plain_files(root);
  DETENTE_CHECK(run.has_begun(),
                ErrorCode::kIo,
                "[train::existing_run] the run in '{}' ended before its first step. Start "
                "'detente train' with this --out again.",
                root.string());
  DETENTE_CHECK(std::filesystem::exists(run.model()),
                ErrorCode::kIo,
                "[train::existing_run] '{}' has no model.safetensors yet; the run ended before its "
                "first evaluation. Go on with 'detente train {} --out {} --resume'.",
                root.string(),
                run.recipe().string(),
                root.string());
  return run;
}

void write_run_manifest(const RunDirectory& run) {
  Manifest manifest;
  for (const char* name : {"recipe.yaml",
                           "tokenizer",
                           "columns.json",
                           "images.json",
                           "audio.json",
                           "graphs.json",
                           "dense.json"}) {
    manifest.add_existing(run.root, name);
  }
  manifest.write(run.manifest());
}

void check_run_manifest(const RunDirectory& run, bool recipe) {
  if (!std::filesystem::exists(run.manifest())) return;
  const Manifest written = Manifest::read(run.manifest());
  Manifest checked;
  for (const auto& [name, sum] : written.files()) {
    if (recipe || name != run.recipe().filename()) checked.add(name, sum);
  }
  const auto differences = checked.differences(run.root);
  DETENTE_CHECK(differences.empty(),
                ErrorCode::kData,
                "[train::check_run_manifest] the run in '{}' is not as it was written: {} Bring "
                "back a whole copy; --accept-changed takes it as it is.",
                run.root.string(),
                differences.front());
}

bool is_run_file(const fs::path& path) {
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  const std::string name = path.filename().string();
  const auto among = [&name](const auto& names) {
    return std::find(std::begin(names), std::end(names), name) != std::end(names);
  };
  if (RunDirectory{folder}.is_run()) return name == kRunMark || among(kRunFiles);
  return folder.filename() == kTokenizerFolder && RunDirectory{folder.parent_path()}.is_run() &&
         among(kTokenizerFiles);
}

}  // namespace detente::train

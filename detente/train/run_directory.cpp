// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/manifest.h>
#include <detente/report/run_record.h>
#include <detente/train/run_directory.h>
#include <detente/train/run_lock.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace detente::train {
namespace {

bool run_directory_owns(const std::filesystem::path& entry) {
  const std::string name = entry.filename().string();
  static constexpr const char* kNames[] = {"recipe.yaml",
                                           "metrics.jsonl",
                                           "summary.json",
                                           "model.safetensors",
                                           "tokenizer",
                                           "columns.json",
                                           "manifest.json",
                                           "snapshots",
                                           "snapshot.safetensors",
                                           "report.html"};
  for (const char* own : kNames) {
    if (name == own) return true;
  }
  return name.starts_with("events.out.tfevents.") || name.find(".tmp") != std::string::npos;
}

// Encoded sentences are made before the run is opened; they alone do not make a folder a used one.
// Nor does what a process left that was killed before its recipe was written: nothing is lost
// there.
bool run_directory_occupied(const RunDirectory& run) {
  if (!std::filesystem::is_directory(run.root)) return false;
  const bool only_begun = run.is_run() && !run.has_begun();
  for (const auto& entry : std::filesystem::directory_iterator(run.root)) {
    const auto name = entry.path().filename();
    if (name == "cache" || name == kRunMark) continue;
    if (!only_begun || !run_directory_owns(entry.path())) return true;
  }
  return false;
}

void check_writable(const std::filesystem::path& root) {
  DETENTE_CHECK(::access(root.c_str(), W_OK | X_OK) == 0,
                ErrorCode::kIo,
                "[train::open_run_directory] folder '{}' cannot be written to. Choose another with "
                "--out, or change its permissions.",
                root.string());
}

// The lines to keep: whole ones (a crash may have cut the last), of steps up to `last_step`.
std::string lines_up_to(const std::string& content, std::int64_t last_step) {
  std::string kept;
  std::size_t begin = 0;
  for (;;) {
    const std::size_t end = content.find('\n', begin);
    if (end == std::string::npos) break;
    const std::string line = content.substr(begin, end - begin + 1);
    begin = end + 1;
    const Json json = Json::parse(line, nullptr, false);
    if (json.is_object() && report::record_step(json) <= last_step) kept += line;
  }
  return kept;
}

}  // namespace

bool RunDirectory::is_run() const {
  return has_begun() || std::filesystem::is_regular_file(root / kRunMark);
}

bool RunDirectory::has_begun() const { return std::filesystem::exists(recipe()); }

void check_run_directory(const std::filesystem::path& root, ExistingRun policy) {
  DETENTE_CHECK(!root.empty(),
                ErrorCode::kInvalidArgument,
                "[train::open_run_directory] the output folder has no name; give one with --out.");
  const RunDirectory run{root};
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
}

RunDirectory open_run_directory(const std::filesystem::path& root, ExistingRun policy) {
  check_run_directory(root, policy);
  make_directories(root);
  check_writable(root);
  const bool anew = policy == ExistingRun::kForce || !RunDirectory{root}.has_begun();
  if (anew) {
    for (const auto& entry : std::filesystem::directory_iterator(root)) {
      if (run_directory_owns(entry.path())) std::filesystem::remove_all(entry.path());
    }
  }
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
  for (const char* name : {"recipe.yaml", "tokenizer", "columns.json"}) {
    manifest.add_existing(run.root, name);
  }
  manifest.write(run.manifest());
}

void check_run_manifest(const RunDirectory& run) {
  if (!std::filesystem::exists(run.manifest())) return;
  const auto differences = Manifest::read(run.manifest()).differences(run.root);
  DETENTE_CHECK(differences.empty(),
                ErrorCode::kData,
                "[train::check_run_manifest] the run in '{}' is not as it was written: {} Bring "
                "back a whole copy; --accept-changed takes it as it is.",
                run.root.string(),
                differences.front());
}

MetricsLog::MetricsLog(const std::filesystem::path& path,
                       std::int64_t last_step,
                       std::int64_t bytes)
    : path_(path) {
  std::string kept;
  if (last_step >= 0 && std::filesystem::exists(path)) {
    kept = read_file(path);
    if (bytes >= 0 && static_cast<std::uint64_t>(bytes) <= kept.size()) {
      kept.resize(static_cast<std::size_t>(bytes));
    } else {
      kept = lines_up_to(kept, last_step);
    }
  }
  write_file_atomic(path, kept);
  bytes_ = static_cast<std::int64_t>(kept.size());
  fd_ = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  DETENTE_CHECK(fd_ >= 0,
                ErrorCode::kIo,
                "[train::MetricsLog] cannot open '{}' for writing: {}.",
                path.string(),
                std::strerror(errno));
}

MetricsLog::~MetricsLog() {
  if (fd_ >= 0) ::close(fd_);
}

void MetricsLog::write(const Json& line) {
  const std::string text = line.dump() + "\n";
  std::size_t written = 0;
  while (written < text.size()) {
    const ssize_t n = ::write(fd_, text.data() + written, text.size() - written);
    if (n < 0 && errno == EINTR) continue;
    DETENTE_CHECK(n >= 0,
                  ErrorCode::kIo,
                  "[train::MetricsLog] cannot write to '{}': {}. Free some space and go on with "
                  "--resume.",
                  path_.string(),
                  std::strerror(errno));
    written += static_cast<std::size_t>(n);
  }
  bytes_ += static_cast<std::int64_t>(text.size());
}

void MetricsLog::sync() {
  DETENTE_CHECK(::fdatasync(fd_) == 0 || errno == EINVAL || errno == EROFS,
                ErrorCode::kIo,
                "[train::MetricsLog] cannot bring '{}' to the disk: {}.",
                path_.string(),
                std::strerror(errno));
}

}  // namespace detente::train

// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/report/run_record.h>
#include <detente/train/run_directory.h>
#include <unistd.h>

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
                                           "snapshot.safetensors",
                                           "report.html"};
  for (const char* own : kNames) {
    if (name == own) return true;
  }
  return name.starts_with("events.out.tfevents.") || name.find(".tmp") != std::string::npos;
}

// Encoded sentences are made before the run is opened; they alone do not make a folder a used one.
bool run_directory_occupied(const std::filesystem::path& root) {
  if (!std::filesystem::is_directory(root)) return false;
  for (const auto& entry : std::filesystem::directory_iterator(root)) {
    if (entry.path().filename() != "cache") return true;
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

bool RunDirectory::is_run() const { return std::filesystem::exists(recipe()); }

void check_run_directory(const std::filesystem::path& root, ExistingRun policy) {
  DETENTE_CHECK(!root.empty(),
                ErrorCode::kInvalidArgument,
                "[train::open_run_directory] the output folder has no name; give one with --out.");
  const RunDirectory run{root};
  if (!run_directory_occupied(root)) return;
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
  if (policy == ExistingRun::kForce) {
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
  DETENTE_CHECK(std::filesystem::exists(run.model()),
                ErrorCode::kIo,
                "[train::existing_run] '{}' has no model.safetensors yet; the run ended before its "
                "first evaluation. Go on with 'detente train {} --out {} --resume'.",
                root.string(),
                run.recipe().string(),
                root.string());
  return run;
}

MetricsLog::MetricsLog(const std::filesystem::path& path, std::int64_t last_step) : path_(path) {
  std::string kept;
  if (last_step >= 0 && std::filesystem::exists(path)) {
    kept = lines_up_to(read_file(path), last_step);
  }
  write_file_atomic(path, kept);
  out_.open(path, std::ios::app | std::ios::binary);
  DETENTE_CHECK(out_.good(),
                ErrorCode::kIo,
                "[train::MetricsLog] cannot open '{}' for writing.",
                path.string());
}

void MetricsLog::write(const Json& line) {
  out_ << line.dump() << '\n' << std::flush;
  DETENTE_CHECK(out_.good(),
                ErrorCode::kIo,
                "[train::MetricsLog] cannot write to '{}' (is the disk full?). Free some space and "
                "go on with --resume.",
                path_.string());
}

}  // namespace detente::train

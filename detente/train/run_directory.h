// SPDX-License-Identifier: Apache-2.0
// A run's folder: which files it has, who may write there, and the log that survives a crash.
//
//   recipe.yaml           the resolved recipe
//   metrics.jsonl         a line per step and per epoch
//   summary.json          the result
//   model.safetensors     the best model on validation
//   tokenizer/            of sentence pairs: vocab.txt, tokenizer_config.json and idf.json
//   columns.json          of tables: input columns, scales, categories
//   snapshot.safetensors  everything needed to go on
//   report.html           the picture
//   events.out.tfevents.* for TensorBoard
#pragma once

#include <detente/core/json.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace detente::train {

// In the metadata of model.safetensors, under "format".
inline constexpr const char* kModelFormat = "detente-model-1";

struct RunDirectory {
  std::filesystem::path root;

  std::filesystem::path recipe() const { return root / "recipe.yaml"; }
  std::filesystem::path metrics() const { return root / "metrics.jsonl"; }
  std::filesystem::path summary() const { return root / "summary.json"; }
  std::filesystem::path model() const { return root / "model.safetensors"; }
  std::filesystem::path tokenizer() const { return root / "tokenizer"; }
  std::filesystem::path snapshot() const { return root / "snapshot.safetensors"; }
  std::filesystem::path report() const { return root / "report.html"; }

  bool is_run() const;  // a recipe.yaml is there
};

enum class ExistingRun { kRefuse, kForce, kResume };

// The checks of open_run_directory, without touching anything.
void check_run_directory(const std::filesystem::path& root, ExistingRun policy);

// Makes the folder ready. A folder in use is refused (kInvalidArgument) unless forced or resumed;
// force removes the files of the earlier run and nothing else: names that a run gives, regular files
// only (a link or a folder of such a name is refused, kInvalidArgument). What a killed process left
// behind under a temporary name goes in every case. Throws kIo when it cannot be written.
RunDirectory open_run_directory(const std::filesystem::path& root, ExistingRun policy);

// For eval, predict, inspect: an existing run with a model. Throws kIo in words.
RunDirectory existing_run(const std::filesystem::path& root);

// metrics.jsonl: whole lines, each flushed to the system before the next step. A failed write (full
// disk) throws kIo.
class MetricsLog {
 public:
  // Lines of steps after `last_step` are dropped (a resumed run writes them again); -1 keeps none.
  MetricsLog(const std::filesystem::path& path, std::int64_t last_step);
  void write(const Json& line);

  // Lines of the earlier log (from 1) that were damaged or cut short and are not in this one.
  const std::vector<std::size_t>& left_out() const { return left_out_; }

 private:
  std::filesystem::path path_;
  std::ofstream out_;
  std::vector<std::size_t> left_out_;
};

}  // namespace detente::train

// SPDX-License-Identifier: Apache-2.0
// A run's folder: which files it has, who may write there, and the log that survives a crash.
//
//   recipe.yaml           the resolved recipe
//   metrics.jsonl         a line per step and per epoch
//   summary.json          the result
//   model.safetensors     the best model on validation
//   answers.json          what it answered there (report/answers.h)
//   looks.json            pictures of what its network is taught and sees (report/looks.h)
//   values.csv            what its training examples are worth (valuation/value_table.h)
//   tokenizer/            of sentence pairs: vocab.txt, tokenizer_config.json and idf.json
//   columns.json          of tables: input columns, scales, categories
//   images.json           of images: size, means and deviations of the channels, classes
//   audio.json            of recordings: rate, frames, scales of bands, classes
//   dense.json            of images with maps: size, means and deviations of the channels, classes
//   joined.json           of joined examples: the parts, and all of the above that each would have
//   graphs.json           of graphs: form, known tags or atoms, scales of attributes
//   manifest.json         sizes and checksums of what the model relies on
//   snapshots/            everything needed to go on (snapshot.h)
//   .detente-run          who trains here (run_lock.h)
//   report.html           the picture
//   events.out.tfevents.* for TensorBoard
#pragma once

#include <filesystem>
#include <string>

namespace detente::train {

// In the metadata of model.safetensors, under "format".
inline constexpr const char* kModelFormat = "detente-model-1";

struct RunDirectory {
  std::filesystem::path root;

  std::filesystem::path recipe() const { return root / "recipe.yaml"; }
  std::filesystem::path metrics() const { return root / "metrics.jsonl"; }
  std::filesystem::path summary() const { return root / "summary.json"; }
  std::filesystem::path model() const { return root / "model.safetensors"; }
  std::filesystem::path answers() const { return root / "answers.json"; }
  std::filesystem::path looks() const { return root / "looks.json"; }
  std::filesystem::path values() const { return root / "values.csv"; }
  std::filesystem::path tokenizer() const { return root / "tokenizer"; }
  std::filesystem::path manifest() const { return root / "manifest.json"; }
  std::filesystem::path snapshots() const { return root / "snapshots"; }
  std::filesystem::path report() const { return root / "report.html"; }

  bool is_run() const;     // made by Detente, were it only begun
  bool has_begun() const;  // its recipe is written: there may be something to go on from
};

enum class ExistingRun { kRefuse, kForce, kResume };

// The checks of open_run_directory, without touching anything.
void check_run_directory(const std::filesystem::path& root, ExistingRun policy);

// Makes the folder ready. A folder in use is refused (kInvalidArgument) unless forced or resumed;
// force removes the files of the earlier run and nothing else: names that a run gives, regular files
// only (a link or a folder of such a name is refused, kInvalidArgument). What a killed process left
// behind under a temporary name goes in every case, and so does a run whose recipe was not written
// yet. Throws kIo when it cannot be written.
RunDirectory open_run_directory(const std::filesystem::path& root, ExistingRun policy);

// For eval, predict, inspect: an existing run with a model. Throws kIo in words.
RunDirectory existing_run(const std::filesystem::path& root);

// What a model needs besides its weights (recipe, tokenizer, columns) as the run wrote it.
void write_run_manifest(const RunDirectory& run);
// Throws kData naming the first file that has changed (the recipe only if `recipe`); nothing for
// runs without a manifest.
void check_run_manifest(const RunDirectory& run, bool recipe = true);

// Whether a run has written this file, or would.
bool is_run_file(const std::filesystem::path& path);

}  // namespace detente::train

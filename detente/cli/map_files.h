// SPDX-License-Identifier: Apache-2.0
// Predictions of tasks with an answer for each pixel, as files: FOLDER/<task>/<example>.npy of float64,
// [height, width] class ids or depths, [height, width, 3] unit vectors.
#pragma once

#include <detente/core/matrix.h>
#include <detente/data/source.h>
#include <detente/train/recipe.h>

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace detente::cli {

// The names of such tasks.
std::vector<std::string> map_tasks(const train::Recipe& recipe);

class MapFiles {
 public:
  // Makes the folder; throws kInvalidArgument where there is a file of the name, or a folder that is not
  // empty: nothing is overwritten. `fitted` says the maps' size.
  MapFiles(std::filesystem::path folder, const train::Recipe& recipe, const data::Source& fitted);

  // Which the rows' own names give the files' ones.
  void set_rows(const data::Source& rows);
  // For train::predict_rows. Throws kNumeric, naming task and example, where a number is not finite.
  void write(std::size_t task, std::span<const std::size_t> rows, const Matrix& maps) const;
  std::filesystem::path table() const { return folder_ / "predictions.tsv"; }

 private:
  std::filesystem::path folder_;
  std::vector<std::string> tasks_;
  std::size_t height_;
  std::size_t width_;
  std::vector<std::string> names_;
};

}  // namespace detente::cli

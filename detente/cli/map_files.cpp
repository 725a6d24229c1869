// SPDX-License-Identifier: Apache-2.0
#include <detente/cli/map_files.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/npy.h>

#include <algorithm>
#include <cmath>
#include <system_error>
#include <utility>

namespace detente::cli {
namespace {

namespace fs = std::filesystem;

}  // namespace

std::vector<std::string> map_tasks(const train::Recipe& recipe) {
  std::vector<std::string> names;
  for (const train::TaskRecipe& task : recipe.tasks) {
    if (is_map(task.head.kind)) names.push_back(task.name);
  }
  return names;
}

MapFiles::MapFiles(fs::path folder, const train::Recipe& recipe, const data::Source& fitted)
    : folder_(std::move(folder)),
      height_(fitted.map_size().first),
      width_(fitted.map_size().second) {
  for (const train::TaskRecipe& task : recipe.tasks) tasks_.push_back(task.name);
  std::error_code error;
  const bool taken = fs::exists(folder_, error) &&
                     (!fs::is_directory(folder_, error) || !fs::is_empty(folder_, error));
  DETENTE_CHECK(
      !taken && !error,
      ErrorCode::kInvalidArgument,
      "[cli::predict] --out '{}' is there already and is no empty folder; it stays as it is. "
      "Name another folder for the maps.",
      folder_.string());
  for (const std::string& task : map_tasks(recipe)) make_directories(folder_ / task);
}

void MapFiles::set_rows(const data::Source& rows) { names_ = rows.shown().at(0).cells; }

void MapFiles::write(std::size_t task,
                     std::span<const std::size_t> rows,
                     const Matrix& maps) const {
  const std::size_t pixels = height_ * width_;
  const std::size_t channels = maps.cols() / pixels;
  std::vector<std::size_t> shape = {height_, width_};
  if (channels > 1) shape.push_back(channels);
  std::vector<double> values(maps.cols());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (std::size_t c = 0; c < channels; ++c) {
      for (std::size_t p = 0; p < pixels; ++p) values[p * channels + c] = maps(i, c * pixels + p);
    }
    const bool finite = std::all_of(
        values.begin(), values.end(), [](double value) { return std::isfinite(value); });
    DETENTE_CHECK(finite,
                  ErrorCode::kNumeric,
                  "[cli::predict] the model predicts NaN or infinity for task '{}' of example {}; "
                  "expected finite numbers. Look for huge numbers in that image.",
                  tasks_[task],
                  names_[rows[i]]);
    write_npy(folder_ / tasks_[task] / (names_[rows[i]] + ".npy"), shape, values.data());
  }
}

}  // namespace detente::cli

// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/suggest.h>
#include <detente/core/whole_number.h>
#include <detente/data/map_files.h>
#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <system_error>
#include <utility>

namespace detente::data::internal {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kShown = 5;  // names in a message

// "a.txt, b.txt, ..."
std::string some_names(std::vector<std::string> names) {
  const bool all = names.size() <= kShown;
  names.resize(std::min(kShown, names.size()));
  return fmt::format("{}{}", fmt::join(names, ", "), all ? "" : ", ...");
}

template <class T>
std::span<const T> of_example(const std::vector<T>& all, std::size_t row, std::size_t size) {
  return all.empty() ? std::span<const T>() : std::span(all).subspan(row * size, size);
}

}  // namespace

MapFiles::MapFiles(fs::path path, DenseWish wish) : path_(std::move(path)), wish_(std::move(wish)) {
  std::error_code error;
  folder_ = fs::is_directory(path_, error);
  count_ = count_dense(path_, folder_);
  if (folder_) return;
  std::vector<std::size_t> all(count_);
  std::iota(all.begin(), all.end(), 0);
  maps_ = read_dense(path_, all, wish_);
}

std::string MapFiles::text(const std::vector<std::size_t>& examples) const {
  std::vector<std::string> names;
  for (const std::size_t example : examples) {
    names.push_back(std::to_string(example) + (folder_ ? ".npy" : ""));
  }
  return fmt::format("{} of {} {} ({})",
                     examples.size(),
                     count_,
                     folder_ ? "files" : "examples",
                     some_names(std::move(names)));
}

std::vector<std::string> MapFiles::kinds() const {
  std::vector<std::string> kinds = {"image"};
  if (wish_.label) kinds.push_back(wish_.label_folder);
  if (wish_.depth) kinds.emplace_back("depth");
  if (wish_.normal) kinds.emplace_back("normal");
  return kinds;
}

std::vector<std::string> MapFiles::complaints_of_names() const {
  std::vector<std::string> texts;
  if (!folder_) return texts;
  for (const std::string& kind : kinds()) {
    const fs::path folder = path_ / kind;
    std::error_code error;
    fs::directory_iterator entries(folder, error);
    if (error) {
      texts.push_back(fmt::format("there is no folder '{}' ({}).{}",
                                  folder.string(),
                                  error.message(),
                                  kind == wish_.label_folder ? other_labels() : ""));
      continue;
    }
    std::vector<bool> there(count_, false);
    std::vector<std::string> others;
    for (const auto& entry : entries) {
      const std::string name = entry.path().filename().string();
      const auto number = whole_number<std::size_t>(entry.path().stem().string());
      // Not "007.npy".
      if (number && *number < count_ && name == std::to_string(*number) + ".npy") {
        there[*number] = true;
      } else {
        others.push_back(name);
      }
    }
    const std::string expected =
        fmt::format("image/ has {} files: expected 0.npy to {}.npy.", count_, count_ - 1);
    std::vector<std::size_t> missing;
    for (std::size_t i = 0; i < count_; ++i) {
      if (!there[i]) missing.push_back(i);
    }
    if (!missing.empty()) {
      texts.push_back(fmt::format("'{}' lacks {}. {}", folder.string(), text(missing), expected));
    }
    if (others.empty()) continue;
    std::sort(others.begin(), others.end());
    texts.push_back(
        fmt::format("'{}' has {} that will not be read: {}. {}",
                    folder.string(),
                    others.size() == 1 ? "a file" : fmt::format("{} files", others.size()),
                    some_names(others),
                    expected));
  }
  return texts;
}

std::string MapFiles::other_labels() const {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(path_, error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("label")) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  if (names.empty()) return " Name the folder of the class ids with data.label_folder.";
  return fmt::format(" There is {}: set data.label_folder.", join_names(names));
}

void MapFiles::read_folder(std::size_t row) {
  const auto read = [&](DenseWish wish) {
    wish.label_folder = wish_.label_folder;
    return read_dense(path_, std::span(&row, 1), wish);
  };
  maps_ = {};
  try {
    maps_ = read(wish_);
    return;
  } catch (const Error&) {
  }
  // Everything that is good.
  const auto attempt = [&](const std::string& kind, const DenseWish& wish) {
    try {
      DenseMaps one = read(wish);
      if (wish.label) maps_.label = std::move(one.label);
      if (wish.depth) maps_.depth = std::move(one.depth);
      if (wish.normal) maps_.normal = std::move(one.normal);
      if (kind != "image") return true;
      maps_ = std::move(one);
      return true;
    } catch (const Error& error) {
      // What is not there has been said with the names.
      std::error_code ignored;
      if (!fs::exists(path_ / kind / (std::to_string(row) + ".npy"), ignored)) return false;
      Broken& broken = broken_[kind];
      if (broken.examples.empty()) broken.first = error.what();
      broken.examples.push_back(row);
      return false;
    }
  };
  if (!attempt("image", {.label = false, .depth = false, .normal = false})) return;
  if (wish_.label) attempt(wish_.label_folder, {.depth = false, .normal = false});
  if (wish_.depth) attempt("depth", {.label = false, .normal = false});
  if (wish_.normal) attempt("normal", {.label = false, .depth = false});
}

MapExample MapFiles::read(std::size_t row) {
  if (folder_) read_folder(row);
  const std::size_t at = folder_ ? 0 : row;
  const std::size_t pixels = maps_.shape.pixels();
  return {maps_.shape,
          of_example(maps_.image, at, maps_.shape.channels * pixels),
          of_example(maps_.label, at, pixels),
          of_example(maps_.depth, at, pixels),
          of_example(maps_.normal, at, 3 * pixels)};
}

std::vector<std::string> MapFiles::complaints() const {
  std::vector<std::string> texts;
  for (const auto& [kind, broken] : broken_) {
    texts.push_back(fmt::format("{} of '{}' cannot be used. The first: {}",
                                text(broken.examples),
                                (path_ / kind).string(),
                                broken.first));
  }
  return texts;
}

}  // namespace detente::data::internal

// SPDX-License-Identifier: Apache-2.0
// The examples of a folder or container of maps one by one, for `detente data check`: what cannot be read
// is remembered in place of ending everything. Not installed.
#pragma once

#include <detente/data/dense_file.h>

#include <cstddef>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace detente::data::internal {

// One example; empty what could not be read or is not wanted. Views of the reader's memory.
struct MapExample {
  DenseShape shape;
  std::span<const float> image;
  std::span<const std::int16_t> label;
  std::span<const float> depth;
  std::span<const float> normal;
};

class MapFiles {
 public:
  // Throws as count_dense and, for a container, as read_dense.
  MapFiles(std::filesystem::path path, DenseWish wish);

  std::size_t count() const { return count_; }
  // "12 of 795 files (3.npy, 9.npy, ...)", of a container "2 of 18 examples (3, 9)".
  std::string text(const std::vector<std::size_t>& examples) const;
  // Sentences about the folder's names: gaps, folders that are not there, files that will not be read.
  std::vector<std::string> complaints_of_names() const;
  // Until the next call.
  MapExample read(std::size_t row);
  // Sentences about what read() could not make anything of.
  std::vector<std::string> complaints() const;

 private:
  struct Broken {
    std::string first;  // message
    std::vector<std::size_t> examples;
  };

  std::vector<std::string> kinds() const;
  std::string other_labels() const;
  void read_folder(std::size_t row);

  std::filesystem::path path_;
  DenseWish wish_;
  bool folder_ = false;
  std::size_t count_ = 0;
  DenseMaps maps_;                        // of a container all, of a folder one
  std::map<std::string, Broken> broken_;  // by folder
};

}  // namespace detente::data::internal

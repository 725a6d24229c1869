// SPDX-License-Identifier: Apache-2.0
// Arrays by name, as NumPy writes them, from three forms:
//
//   .npz    an archive (core/zip.h); its members by their names
//   folder  its .npy files, by their names without the ending
//   .npy    one file: the array that the options call the inputs; the others are the files beside it
//           whose names have their own in place of that (X_train.npy, y_train.npy), or their name alone
//
// Where there is no array N, an array of a part is meant: N_train, train_N; N_dev or with val, valid,
// validation; N_test.
#pragma once

#include <detente/core/npy.h>
#include <detente/core/zip.h>
#include <detente/data/split.h>

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace detente::data {

// "y_train" and "train_y": y, and the part; of a name without a part's word the name itself.
struct ArrayName {
  std::string base;
  std::optional<Part> part;
};
ArrayName array_name(const std::string& name);

// The entries of an array in C order, whatever their width and order in the file.
class ArrayEntries {
 public:
  // `content` outlives it.
  explicit ArrayEntries(const NpyContent& content);

  std::size_t size() const { return count_; }
  bool is_text() const { return read_ == nullptr; }
  // Of numbers and truth values.
  double number(std::size_t place) const { return read_(at(place)); }
  // As it stands in a table: the shortest text that gives the number back, "NaN"; a text as it is,
  // with U+FFFD for what is no character.
  std::string cell(std::size_t place) const;

 private:
  const char* at(std::size_t place) const;
  std::string text(const char* from) const;

  const NpyContent& content_;
  std::size_t count_;
  bool swapped_;
  double (*read_)(const char*) = nullptr;
};

class ArrayFile {
 public:
  ArrayFile(const ArrayFile&) = delete;
  ArrayFile& operator=(const ArrayFile&) = delete;
  // Throws kIo, kData: neither of the three forms. `inputs`: what a .npy file holds.
  ArrayFile(const std::filesystem::path& path, std::string inputs);

  // Its name in the file: `name`, or that of one of `parts`, the first there is; empty where there is
  // none.
  std::string find(const std::string& name, const std::vector<Part>& parts) const;
  // The same of a part's own name alone.
  std::string find_part(const std::string& name, Part part) const;

  struct Loaded {
    std::string bytes;
    // For messages, between quotes: "a/X.npy", or "X.npy' of 'a.npz".
    std::string label;
    NpyContent content() const { return parse_npy(bytes, label); }
  };
  // A name that find() gave. Throws kIo, kData.
  Loaded load(const std::string& found) const;

  // Ascending; of a .npy file those beside it.
  std::vector<std::string> names() const;
  // What find() finds that name by, but for the part's word: beside "run1_X.npy" it is y of "run1_y".
  std::string asked_by(const std::string& name) const;
  const std::string& path() const { return path_; }

 private:
  bool has(const std::string& name) const;

  std::string path_;
  std::string inputs_;
  std::string bytes_;  // of an archive
  std::vector<ZipMember> members_;
  std::filesystem::path folder_;    // of .npy files
  std::vector<std::string> files_;  // in it, without the ending; ascending
  std::string whole_;               // .npy: the file's own name
  std::string before_;              // .npy: what its name has before and after the inputs'
  std::string after_;
};

}  // namespace detente::data

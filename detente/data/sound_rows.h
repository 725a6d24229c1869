// SPDX-License-Identifier: Apache-2.0
// What the file or folder that a recipe names holds, before any of it is turned into energies: a
// table with a row per recording, and where its samples are.
//
//   list    a table with a column of WAV files, relative to the table's folder
//   index   a table with the place and the length of each recording in one file of 16-bit PCM
//   folder  a folder per class with WAV files in it; for prediction also the files alone
#pragma once

#include <detente/data/image_rows.h>
#include <detente/data/sound.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace detente::data {

// The file of an index, and its columns.
struct PcmIndex {
  std::string file;  // empty: there is none
  std::string offset = "offset";
  std::string length = "length";
  std::int64_t rate = 0;
};

class SoundRows {
 public:
  // `listing.column`: of a list. Throws kIo and kData, naming file and line: what list_files throws,
  // a path that is neither table nor folder, a place that is no whole number or lies outside the
  // file, a file of an odd number of bytes.
  SoundRows(const ImageListing& listing, const PcmIndex& pcm);
  // The lists of several sources (list_sources).
  SoundRows(const SourceFiles& files, Part part, const ImageListing& listing);

  const FileRows& rows() const { return rows_; }
  // A recording; throws as read_sound does, and says which line names the file. kData for a
  // recording of an index without a sample.
  Sound read(std::size_t row) const;
  Recording recording(std::size_t row) const;
  // As messages call it: the file, or the line of the index.
  std::string name(std::size_t row) const;

 private:
  void read_index(const PcmIndex& pcm);

  FileRows rows_;
  std::string bytes_;  // of an index's file
  std::string file_;   // its name
  std::int64_t rate_ = 0;
  std::vector<std::size_t> begins_;
  std::vector<std::size_t> lengths_;
};

}  // namespace detente::data

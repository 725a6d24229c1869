// SPDX-License-Identifier: Apache-2.0
// A text table a portion after the other, for files and pipes that are larger than the memory.
//
//   TablePortions portions("rows.csv.gz", TableFormat::kAuto, {.rows = 4096});
//   while (const auto table = portions.next()) use(*table);
//
// Each portion is a Table with all columns; lines, places and messages are those of the whole file.
#pragma once

#include <detente/core/content_reader.h>
#include <detente/data/table.h>

#include <cstddef>
#include <optional>
#include <string>

namespace detente::data {

class TablePortions {
 public:
  // A portion ends behind the row with which it has reached either.
  struct Limits {
    std::size_t rows = 8192;
    std::size_t bytes = 1 << 20;
  };

  // `file` may be kStandardInput. Throws kIo, kData (an ending that names no format) and kInvalidArgument
  // (standard input without a format).
  TablePortions(const std::string& file, TableFormat format, Limits limits);

  // Throws what Table::read does, when it comes to the place; the first call for a file without rows. The
  // columns of JSON lines are known at the end alone: such a file is one portion up to Limits::bytes, whatever its
  // rows, and read twice beyond; what cannot be (a pipe) is one portion, however long.
  std::optional<Table> next();

  // Rows in the portions so far.
  std::size_t rows() const { return before_.rows; }
  // Of the file's own bytes: read so far, and all; of a pipe nobody knows.
  std::size_t bytes_read() const { return reader_.taken(); }
  std::optional<std::size_t> bytes() const { return reader_.size(); }

 private:
  bool fetch();
  void look_at_line_ends();
  std::size_t record_end(std::size_t begin) const;
  bool is_blank(std::size_t begin, std::size_t end) const;
  bool take_header();
  void learn_names();

  std::string file_;
  std::string shown_;
  TableFormat format_;
  Limits limits_;
  ContentReader reader_;
  std::string buffer_;  // read and not yet given
  std::string header_;
  TextBefore before_;
  bool begun_ = false;
  bool ended_ = false;              // the reader has no more
  bool returns_end_lines_ = false;  // a file without line feeds
};

}  // namespace detente::data

// SPDX-License-Identifier: Apache-2.0
// Training rows that are left out: what a recipe's data.drop names, how it comes to be, and tables
// without such rows.
//
// A file of dropped rows is text: a row number a line, from 0, with blanks, empty lines and what
// follows a # passed over. A row is one of the training file as it is read, before data.split holds
// any out and before data.max_rows: so the rows for validation and the test are the same with the
// file and without it, and one list serves every kind of data, whether its rows are lines, pictures
// of an idx file, nodes of a graph or entries of an array. Numbers of rows that are not for
// training anyway change nothing. (A copy of the training file without the rows would not do: a
// split by shares or in folds goes by the number of rows, joined data count the rows of other
// files, and most kinds have no file to copy.) With data.overlay pairs of images are drawn first,
// and a number is that of the upper left image; with data.moving it is the picture's, all of whose
// clips go.
#pragma once

#include <detente/data/batches.h>
#include <detente/data/source_files.h>
#include <detente/data/table.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace detente::data {

class Source;

// Ascending, each once. Throws kIo; kData, naming file and line: what is no whole number, or one
// that is not below `count`, the rows of the training file.
RowList read_dropped_rows(const std::filesystem::path& path,
                          std::size_t count = std::numeric_limits<std::size_t>::max());
// What read_dropped_rows reads; `comment` is its first line, "" for none.
std::string dropped_rows_text(std::span<const std::size_t> rows, const std::string& comment);

// What a recipe drops of one training file when further examples are to go.
struct DroppedRows {
  std::string source;     // its name (data.sources); empty: there is only one file
  std::string file;       // data.train
  RowList rows;           // dropped before and now, ascending
  std::size_t fresh = 0;  // how many now
};

// `examples`: numbers of examples of `train`, which was read with `files`. One entry for each
// source that loses any, in the order of the recipe. Throws kInvalidArgument for a number that
// `train` does not have.
std::vector<DroppedRows> dropped_rows(const SourceFiles& files,
                                      const Source& train,
                                      std::span<const std::int64_t> examples);

// Writes each list into `folder` (made where it is missing) as drop.txt or, of several sources,
// drop_1.txt and so on, and has `files` name it in place of what it dropped before. Returns the
// paths. Throws kInvalidArgument, before anything is written: such a file is there and not
// `replace`, or it is one that `files` names (also with `replace`); kIo.
std::vector<std::filesystem::path> write_dropped_rows(std::span<const DroppedRows> dropped,
                                                      const std::filesystem::path& folder,
                                                      bool replace,
                                                      SourceFiles& files);

// The text of a table without some of its rows (ascending, from 0, as Table counts them): byte for
// byte what it was but for these records with their line ends. Header, byte-order mark, kinds of
// line ends, quotes and blank lines at the end stay. kAuto: by the ending of `source`, which stands
// for the file in messages. Throws as Table::parse, kInvalidArgument for a row it does not have and
// where none is left.
std::string without_rows(std::string_view content,
                         std::span<const std::size_t> rows,
                         const std::string& source,
                         TableFormat format);

// The same from file to file. A gzip file is read and plain text written; the name to write must
// not end in .gz. Throws also kIo, and kInvalidArgument where `to` is `from`, or there and not
// `replace`.
void copy_without_rows(const std::filesystem::path& from,
                       const std::filesystem::path& to,
                       std::span<const std::size_t> rows,
                       TableFormat format,
                       bool replace);
// The name of such a copy: the file's own without .gz.
std::string copy_name(const std::filesystem::path& from);

}  // namespace detente::data

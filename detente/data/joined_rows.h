// SPDX-License-Identifier: Apache-2.0
// Which rows of which file belong to one part of joined examples (data/joined_source.h).
//
//   the list itself      the part's columns are those of the list
//   file, key: K         a table of its own; the row whose cell in column K is the list's
//   file, row: R         a file of its own; the row with the number that the list's column R says, from 0
//   file alone           row i of the file belongs to row i of the list; for data.train alone
#pragma once

#include <detente/data/source_files.h>
#include <detente/data/table.h>

#include <cstddef>
#include <string>
#include <vector>

namespace detente::data {

struct PartPlace {
  std::string file;  // empty: the list
  std::string key;
  std::string row;

  // Rules between the three; throws kInvalidArgument.
  void check() const;
};

// The list, and what of it makes the part of the data that is read.
struct JoinedList {
  Table whole;
  RowList chosen;
  Table rows;        // the chosen ones
  bool own = false;  // data.train itself
};

// What a part's own columns are, as far as they say whether it is there.
struct PartColumns {
  std::vector<std::string> names;  // empty: it always is
  bool texts = false;              // cells that are missing only where they are empty
};

struct PartRows {
  SourceFiles files;  // for Source::read
  std::vector<std::size_t>
      examples;  // the chosen row of the list that each of the part's rows is; ascending
};

// The part is absent where the list's cell in `key` or `row` is missing, where the file has no such
// key, and where all cells of the part's columns are missing. Throws kIo, kData (naming file and line)
// and kInvalidArgument.
PartRows rows_of_part(const JoinedList& list, const PartPlace& place, const PartColumns& columns);

}  // namespace detente::data

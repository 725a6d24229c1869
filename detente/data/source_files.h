// SPDX-License-Identifier: Apache-2.0
// Which file, and which of its rows, each part of a recipe's data is. Or which files: `sources` are
// files with tasks of their own, and the rows of a part are those of all sources, one after the other.
#pragma once

#include <detente/core/error.h>
#include <detente/core/fields.h>
#include <detente/data/split.h>
#include <detente/data/table.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace detente::data {

// In place of a file's name: standard input, whose format has to be named.
inline constexpr const char* kStandardInput = "-";

// How `file` is written, where nobody said: by its ending. Throws kInvalidArgument for standard input, which has
// none, and kData as Table::format_of.
TableFormat format_to_read(const std::string& file, TableFormat named);

struct NamedFiles;

struct SourceFiles {
  std::string train;
  std::string dev;  // empty: the split of the training file
  Split split;
  TableFormat format = TableFormat::kAuto;
  std::int64_t max_rows = 0;  // of the training rows; 0: all
  // A file with the training rows that are left out (data/dropped_rows.h); empty: none. Rows are
  // counted in the training file, before anything is split off, so those of the other parts stay
  // what they were.
  std::string drop;
  // The training file may say itself which part each of its rows is (Source::own_parts).
  bool own_parts = false;
  std::vector<NamedFiles> sources;  // in place of train, dev, split and max_rows; else empty

  // Of a part of joined examples (data/joined_source.h), whose rows are chosen already. `given`: the
  // rows themselves, in place of what the table holds.
  std::shared_ptr<const Table> given;
  // Of what is no table: rows of the file, in this order, some perhaps twice; labels are not wanted.
  std::optional<RowList> picked;
  std::optional<std::size_t> expected_rows;  // with picked: how many the file has to have

  // The section split stands apart, so that the keys of a kind of data can come before it.
  void describe(FieldVisitor& visitor);
  void describe_split(FieldVisitor& visitor);
  void describe_sources(FieldVisitor& visitor);
  // Rules between fields; throws kInvalidArgument, its message opened by `where`.
  void validate(const std::string& where) const;

  // Whether the recipe names such a part.
  bool has(Part part) const;
  // The same where only the file knows (a split by column); then it is read.
  bool has_rows(Part part) const;
  // Whether the training file is asked for its parts: it may be, and nothing else names any.
  bool has_own_parts() const { return own_parts && !split.any(); }

  // kInvalidArgument for a part that the recipe does not name, and for standard input without a
  // format.
  // Of several sources all files, for messages.
  std::string file(Part part) const;
  // Every file that is named; standard input is none.
  std::vector<std::string> all_files() const;
  // Makes their names absolute.
  void resolve_paths(const std::filesystem::path& folder);
  // Of several sources a joined table (Table::joined) of those that have such a part; errors in one of
  // them begin with its name.
  Table read_table(Part part) const;
  // The same with all rows of its one file.
  Table read_whole_table(Part part) const;
  // Which rows of the part's whole file make the part; ascending. Of several sources all: theirs are
  // chosen before they are joined.
  RowList chosen_rows(Part part, const Table& table) const;
  // The same of examples that are no rows of a table: kInvalidArgument for a split by group, time or
  // column.
  RowList chosen_rows(Part part, std::size_t count) const;
  // Of the rows of a part of a file with `count`: at most max_rows of the training rows and of
  // those what is not dropped, all of others. Throws kData where nothing is left, and as
  // read_dropped_rows.
  RowList limited(Part part, RowList rows, std::size_t count) const;

 private:
  bool is_split(Part part) const;
  RowList picked_rows(std::size_t count) const;
  void validate_sources(const std::string& where) const;
};

// The files of some tasks.
struct NamedFiles {
  std::string name;
  SourceFiles files;
  std::int64_t batch = 0;  // rows in each step; 0: as data.sampler says

  void describe(FieldVisitor& visitor);
};

// What `read` returns; its errors begin with the source's name.
template <class Read>
auto of_source(const std::string& name, const Read& read) {
  try {
    return read();
  } catch (const Error& error) {
    throw Error(error.code(), "source '" + name + "': " + error.what());
  }
}

// `path` from `folder` on, without links and dots. Throws kIo with the system's reason (links in a
// circle, a name too long, no permission) and kInvalidArgument where it is not UTF-8.
std::string absolute_path(const std::string& path, const std::filesystem::path& folder);

// One file, all of its rows, as the development part; of the source of that name, if any.
SourceFiles one_file(const std::string& path,
                     TableFormat format = TableFormat::kAuto,
                     const std::string& source = {});

}  // namespace detente::data

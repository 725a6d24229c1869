// SPDX-License-Identifier: Apache-2.0
// Which file, and which of its rows, each part of a recipe's data is.
#pragma once

#include <detente/core/fields.h>
#include <detente/data/split.h>
#include <detente/data/table.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

namespace detente::data {

// In place of a file's name: standard input, whose format has to be named.
inline constexpr const char* kStandardInput = "-";

struct SourceFiles {
  std::string train;
  std::string dev;  // empty: the split of the training file
  Split split;
  TableFormat format = TableFormat::kAuto;
  std::int64_t max_rows = 0;  // of the training rows; 0: all
  // The training file may say itself which part each of its rows is (Source::own_parts).
  bool own_parts = false;

  // Of a part of joined examples (data/joined_source.h), whose rows are chosen already. `given`: the
  // rows themselves, in place of what the table holds.
  std::shared_ptr<const Table> given;
  // Of what is no table: rows of the file, in this order, some perhaps twice; labels are not wanted.
  std::optional<RowList> picked;
  std::optional<std::size_t> expected_rows;  // with picked: how many the file has to have

  // The section split stands apart, so that the keys of a kind of data can come before it.
  void describe(FieldVisitor& visitor);
  void describe_split(FieldVisitor& visitor);
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
  std::string file(Part part) const;
  Table read_table(Part part) const;
  // The same with all rows of its file.
  Table read_whole_table(Part part) const;
  // Which rows of the part's whole file make the part; ascending.
  RowList chosen_rows(Part part, const Table& table) const;
  // The same of examples that are no rows of a table: kInvalidArgument for a split by group, time or
  // column.
  RowList chosen_rows(Part part, std::size_t count) const;
  // At most max_rows of the training rows, all of others.
  RowList limited(Part part, RowList rows) const;

 private:
  bool is_split(Part part) const;
  RowList picked_rows(std::size_t count) const;
};

// `path` from `folder` on, without links and dots. Throws kIo with the system's reason (links in a
// circle, a name too long, no permission) and kInvalidArgument where it is not UTF-8.
std::string absolute_path(const std::string& path, const std::filesystem::path& folder);

// One file, all of its rows, as the development part.
SourceFiles one_file(const std::string& path, TableFormat format = TableFormat::kAuto);

}  // namespace detente::data

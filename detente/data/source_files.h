// SPDX-License-Identifier: Apache-2.0
// Which file, and which of its rows, each part of a recipe's data is.
#pragma once

#include <detente/core/fields.h>
#include <detente/data/batches.h>
#include <detente/data/table.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

namespace detente::data {

enum class Part { kTrain, kDev, kTest };
const char* name_of(Part part);  // "train", "dev", "test"

// Shares of the training file's rows that are held out of it, drawn from the seed alone.
struct Split {
  double dev = 0;
  double test = 0;
  std::int64_t seed = 0;

  bool any() const { return dev > 0 || test > 0; }
  // Rows of a part, ascending; the three parts hold every row exactly once. A share above 0 gives
  // at least one row. Throws kData when nothing is left for training.
  RowList rows(Part part, std::size_t count) const;
};

// In place of a file's name: standard input, whose format has to be named.
inline constexpr const char* kStandardInput = "-";

struct SourceFiles {
  std::string train;
  std::string dev;  // empty: split.dev of the training file
  Split split;
  TableFormat format = TableFormat::kAuto;
  std::int64_t max_rows = 0;  // of the training rows; 0: all
  // The training file may say itself which part each of its rows is (Source::own_parts).
  bool own_parts = false;

  // The section split stands apart, so that the keys of a kind of data can come before it.
  void describe(FieldVisitor& visitor);
  void describe_split(FieldVisitor& visitor);
  // Rules between fields; throws kInvalidArgument, its message opened by `where`.
  void validate(const std::string& where) const;

  // Whether the training file is asked for its parts: it may be, and nothing else names any.
  bool has_own_parts() const { return own_parts && !split.any(); }

  // kInvalidArgument for a part that the recipe does not name, and for standard input without a
  // format.
  std::string file(Part part) const;
  Table read_table(Part part) const;
  // Which of a file's `count` rows make the part; ascending.
  RowList chosen_rows(Part part, std::size_t count) const;
};

// `path` from `folder` on, without links and dots. Throws kIo with the system's reason (links in a
// circle, a name too long, no permission) and kInvalidArgument where it is not UTF-8.
std::string absolute_path(const std::string& path, const std::filesystem::path& folder);

// One file, all of its rows, as the development part.
SourceFiles one_file(const std::string& path, TableFormat format = TableFormat::kAuto);

}  // namespace detente::data

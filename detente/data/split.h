// SPDX-License-Identifier: Apache-2.0
// Which rows of the training file are for training, for validation and for the test.
//
//   by shares     dev: 0.1, test: 0.1              so many rows, drawn from the seed alone
//   by group      group: patient, dev: 0.1         whole groups, drawn from the seed; the shares are met
//                                                  as nearly as whole groups allow
//   by time       time: date, dev: 0.1, test: 0.1  the last moments are test, those before them dev;
//                                                  rows of one moment stay together
//   by column     column: split                    the cells say train, dev (val, valid, validation) or
//                                                  test, in any case
//   in folds      folds: 5, fold: 0                dev is the fold of that number; with group, folds of
//                                                  whole groups; with test, of what that share leaves
//
// Whatever the way, each row is in exactly one part, the same one every time.
#pragma once

#include <detente/core/fields.h>
#include <detente/data/batches.h>
#include <detente/data/table.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace detente::data {

enum class Part { kTrain, kDev, kTest };
const char* name_of(Part part);  // "train", "dev", "test"

struct Split {
  double dev = 0;
  double test = 0;
  std::int64_t seed = 0;
  std::string group;
  std::string time;
  std::string column;
  std::int64_t folds = 0;  // 0: none
  std::int64_t fold = 0;

  void describe(FieldVisitor& visitor);
  // Rules between fields; throws kInvalidArgument, its message opened by `where`.
  void validate(const std::string& where) const;

  bool any() const { return has(Part::kDev) || has(Part::kTest); }
  // Whether the split makes such a part. Of a split by column the file decides: true.
  bool has(Part part) const;
  // Whether a cell of `column` says so.
  bool names(Part part, const Table& table) const;
  // Columns that say where a row belongs and nothing about it: `column` and `group`.
  std::vector<std::string> columns() const;

  // Rows of a part, ascending. Throws kData, naming file and line: nothing is left for training or a
  // part is empty, there are too few groups or moments, a cell that names no part, group or moment.
  RowList rows(Part part, const Table& table) const;
  // The same by shares or in folds, which go by the number of rows alone.
  RowList rows(Part part, std::size_t count) const;
};

}  // namespace detente::data

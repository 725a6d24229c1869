// SPDX-License-Identifier: Apache-2.0
// Learning with few labels from a set that has all: some training rows keep their labels, the others
// take part without.
#pragma once

#include <detente/core/fields.h>
#include <detente/data/split.h>
#include <detente/data/targets.h>

#include <cstdint>
#include <span>
#include <vector>

namespace detente::data {

struct LabelledRows {
  std::int64_t rows = 0;   // that keep their labels; 0: all
  std::int64_t batch = 0;  // of them in each step, beside train.batch_size others; 0: as they come
  std::int64_t seed = 0;

  void describe(FieldVisitor& visitor);

  // Which rows keep their labels, ascending: as many of each class of the first task of classes (0 and 1
  // of a binary task), one more of the first classes where that does not come out even, else any. Drawn by
  // `seed` from the rows that have a label. Throws kData where a class has fewer, naming it by its id, and
  // where there are no targets.
  RowList chosen(std::span<const Target> targets) const;
  // Makes all targets of all other rows missing.
  void hide(std::vector<Target>& targets) const;
};

}  // namespace detente::data

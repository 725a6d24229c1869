// SPDX-License-Identifier: Apache-2.0
// Rows that a network cannot tell apart: the same inputs to the last bit, as they reach it without random
// changes. Of every kind of data, where `detente data check` looks at the cells of tables (data/inspect.h).
// What is learnt from a row says little about its copy among the rows that judge.
#pragma once

#include <detente/data/source.h>

#include <cstddef>
#include <vector>

namespace detente::data {

struct RepeatedRow {
  std::size_t row = 0;        // of its own part
  std::size_t first = 0;      // the first training row with these inputs
  bool other_target = false;  // of some task that both have a target of
};

struct RepeatedRows {
  std::vector<RepeatedRow> train;  // training rows that repeat an earlier one
  std::vector<RepeatedRow> dev;    // validation rows that are among the training rows
};

// Ascending. Two sources fitted alike; none of either where an example is a node of one graph, which is
// itself alone. Costs a pass over the rows of both, one at a time.
RepeatedRows repeated_rows(const Source& train, const Source& dev);

}  // namespace detente::data

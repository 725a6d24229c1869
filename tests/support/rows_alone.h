// SPDX-License-Identifier: Apache-2.0
// What data::Source promises of random changes: a row's are its own, whatever else is in the batch.
#pragma once

#include <detente/data/source.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <variant>
#include <vector>

namespace detente::test {

// The i-th example of an array whose first side is the batch's.
inline std::vector<double> example_of(const data::Array& array, std::size_t i) {
  return std::visit(
      [&](const auto& values) {
        const auto size = static_cast<std::ptrdiff_t>(values.size() / array.shape.at(0));
        const auto begin = values.begin() + static_cast<std::ptrdiff_t>(i) * size;
        return std::vector<double>(begin, begin + size);
      },
      array.values);
}

inline bool same_numbers(const std::vector<double>& a, const std::vector<double>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](double x, double y) {
    return x == y || (x != x && y != y);  // what is missing is NaN
  });
}

// `rows` of `source` drawn together, backwards and one by one; each must have what the arrays' names
// say. Expects, too, that some example is changed at all.
inline void expect_rows_draw_alone(const data::Source& source,
                                   const data::RowList& rows,
                                   const Rng& augment) {
  const data::RowList backwards(rows.rbegin(), rows.rend());
  const auto drawn = [&](const data::RowList& some, const Rng* stream) {
    data::Batch all = source.batch(some, stream);
    for (data::Array& array : source.target_batch(some, stream)) all.push_back(std::move(array));
    return all;
  };
  const data::Batch together = drawn(rows, &augment);
  const data::Batch turned = drawn(backwards, &augment);
  const data::Batch unchanged = drawn(rows, nullptr);
  bool changed = false;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const data::Batch alone = drawn({rows[i]}, &augment);
    ASSERT_EQ(alone.size(), together.size());
    for (std::size_t a = 0; a < together.size(); ++a) {
      const std::string& name = together[a].name;
      SCOPED_TRACE(name + " of row " + std::to_string(rows[i]));
      const std::vector<double> wanted = example_of(alone[a], 0);
      EXPECT_TRUE(same_numbers(example_of(together[a], i), wanted));
      EXPECT_TRUE(same_numbers(example_of(turned[a], rows.size() - 1 - i), wanted));
      changed = changed || !same_numbers(example_of(unchanged[a], i), wanted);
    }
  }
  EXPECT_TRUE(changed);
}

}  // namespace detente::test

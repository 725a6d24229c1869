// SPDX-License-Identifier: Apache-2.0
// What the cells of a table's column look like before anyone says what they are for.
#pragma once

#include <detente/data/table.h>

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace detente::data {

struct ColumnSurvey {
  enum class Kind {
    kEmpty,   // every cell is missing
    kNumber,  // every cell that is not missing spells a finite number
    kDate,    // ... a date (data/table_column.h)
    kWords,   // anything else
  };

  std::string name;
  std::size_t index = 0;
  Kind kind = Kind::kEmpty;
  std::size_t rows = 0;
  std::size_t missing = 0;   // is_missing
  std::size_t distinct = 0;  // different cells that are not missing; numbers by value
  double low = 0, high = 0;  // number, date: smallest and largest
  bool whole = false;        // number: all are whole
  bool increasing = false;   // number, date: each cell is larger than the one before, none missing
  bool decreasing = false;
  std::size_t numbers = 0;     // words: cells that spell finite numbers all the same
  std::size_t first_word = 0;  // words: the first row that spells none
  std::size_t dates = 0;       // words: cells that spell dates
  std::size_t infinite = 0;    // words: cells that spell an infinite one
  // Rows of each cell, words as they stand in the file, numbers as number_text writes them; no more
  // than kListed different ones, none where there are more.
  std::map<std::string, std::size_t> counts;

  static constexpr std::size_t kListed = 1000;
  std::size_t filled() const { return rows - missing; }
};

ColumnSurvey survey_column(const Table& table, std::size_t index);
std::vector<ColumnSurvey> survey_columns(const Table& table);

}  // namespace detente::data

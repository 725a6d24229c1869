// SPDX-License-Identifier: Apache-2.0
// What the training rows teach about one input column of a table, and its cells as numbers.
//
//   number    every cell spells a number           (x − mean) / deviation
//   date      every cell is YYYY-MM-DD, maybe with a time   days since 1970, then like a number
//   category  anything else, or on request         1, 2, ... in order of the words; 0: unknown
//
// A missing cell (is_missing) of a number or date column is 0, the mean, and where the training
// rows have missing cells too a second number says so. Among categories, missing is one more when
// the training rows have it.
#pragma once

#include <detente/core/json.h>
#include <detente/data/table.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace detente::data {

// Days since 1970-01-01, with a fraction for the time; nothing when the cell is no date.
// Understands 2011-01-31, 2011/01/31, followed by "T" or a blank and 23:59 or 23:59:59(.9), maybe
// "Z".
std::optional<double> parse_date(std::string_view cell);

// The word that stands for a category's cell: numbers by value, so that 1, 1.0 and 01 are one
// category; "" for a missing cell.
std::string category_word(std::string_view cell);

struct ColumnOptions {
  std::int64_t few_values = 0;         // whole numbers with at most so many values are categories
  std::int64_t min_count = 2;          // categories in fewer rows are unknown ones
  std::int64_t max_categories = 1000;  // the most frequent ones; the rest is unknown
};

// Numbers further from the mean than so many deviations count as that far: far beyond any row of sense,
// and one wild cell does not make every prediction infinite.
inline constexpr double kLargestStandardised = 1e6;

class TableColumn {
 public:
  enum class Kind { kNumber, kDate, kCategory };

  // Nothing when the column says nothing about a row: then `note` tells why. `note` is also set
  // when the column was read in a way that may surprise. `category`: whatever the cells look like.
  // Throws kData for an infinite number.
  static std::optional<TableColumn> fit(const Table& table,
                                        const std::string& name,
                                        bool category,
                                        const ColumnOptions& options,
                                        std::string& note);

  const std::string& name() const { return name_; }
  Kind kind() const { return kind_; }
  bool marks_missing() const { return missing_; }  // number and date
  double mean() const { return mean_; }
  double deviation() const { return deviation_; }
  // Categories with the unknown one.
  std::size_t category_count() const { return categories_.size() + 1; }
  const std::vector<std::string>& categories() const { return categories_; }

  // Number and date: standardised, within ±1e6; NaN where missing. Throws kData with the line for a
  // cell that is no number or no date.
  std::vector<double> numbers(const Table& table) const;
  std::vector<std::int32_t> category_ids(const Table& table) const;

  Json to_json() const;
  static TableColumn from_json(const Json& json);  // throws kData

 private:
  void index_categories();

  std::string name_;
  Kind kind_ = Kind::kNumber;
  double mean_ = 0;
  double deviation_ = 1;
  bool missing_ = false;
  std::vector<std::string> categories_;  // in order of their bytes; "" stands for missing
  std::unordered_map<std::string, std::int32_t> ids_;
};

const char* name_of(TableColumn::Kind kind);  // "number", "date", "category"

}  // namespace detente::data

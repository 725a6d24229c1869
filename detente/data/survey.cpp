// SPDX-License-Identifier: Apache-2.0
#include <detente/core/fields.h>
#include <detente/data/survey.h>
#include <detente/data/table_column.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <optional>
#include <unordered_map>
#include <unordered_set>

namespace detente::data {
namespace {

std::optional<double> finite_cell(std::string_view cell) {
  const auto value = parse_cell(cell);
  if (!value || !std::isfinite(*value)) return std::nullopt;
  return value;
}

void survey_numbers(const Table& table, ColumnSurvey& column) {
  const bool date = column.kind == ColumnSurvey::Kind::kDate;
  std::unordered_map<std::uint64_t, std::size_t> counts;
  double before = std::numeric_limits<double>::quiet_NaN();
  column.low = std::numeric_limits<double>::infinity();
  column.high = -column.low;
  column.whole = !date;
  column.increasing = column.decreasing = column.missing == 0 && column.rows > 1;
  for (std::size_t i = 0; i < table.rows(); ++i) {
    const std::string_view cell = table.cell(i, column.index);
    if (is_missing(cell)) continue;
    const double value = *(date ? parse_date(cell) : parse_cell(cell)) + 0.0;  // one zero
    ++counts[std::bit_cast<std::uint64_t>(value)];
    column.low = std::min(column.low, value);
    column.high = std::max(column.high, value);
    column.whole = column.whole && value == std::floor(value);
    column.increasing = column.increasing && !(value <= before);
    column.decreasing = column.decreasing && !(value >= before);
    before = value;
  }
  column.distinct = counts.size();
  if (date || counts.size() > ColumnSurvey::kListed) return;
  for (const auto& [bits, count] : counts) {
    column.counts[number_text(std::bit_cast<double>(bits))] = count;
  }
}

void survey_words(const Table& table, ColumnSurvey& column) {
  std::unordered_map<std::string_view, std::size_t> counts;
  for (std::size_t i = 0; i < table.rows(); ++i) {
    const std::string_view cell = table.cell(i, column.index);
    if (!is_missing(cell)) ++counts[cell];
  }
  column.distinct = counts.size();
  if (counts.size() > ColumnSurvey::kListed) return;
  for (const auto& [word, count] : counts) column.counts.emplace(word, count);
}

}  // namespace

ColumnSurvey survey_column(const Table& table, std::size_t index) {
  ColumnSurvey column;
  column.name = table.column_names()[index];
  column.index = index;
  column.rows = table.rows();
  for (std::size_t i = 0; i < table.rows(); ++i) {
    const std::string_view cell = table.cell(i, index);
    if (is_missing(cell)) {
      ++column.missing;
    } else if (finite_cell(cell)) {
      ++column.numbers;
    } else {
      if (column.numbers + column.missing == i) column.first_word = i;
      if (parse_cell(cell)) ++column.infinite;
      if (parse_date(cell)) ++column.dates;
    }
  }
  if (column.filled() == 0) return column;
  column.kind = column.numbers == column.filled() ? ColumnSurvey::Kind::kNumber
                : column.dates == column.filled() ? ColumnSurvey::Kind::kDate
                                                  : ColumnSurvey::Kind::kWords;
  if (column.kind == ColumnSurvey::Kind::kWords) {
    survey_words(table, column);
  } else {
    survey_numbers(table, column);
  }
  return column;
}

std::vector<ColumnSurvey> survey_columns(const Table& table) {
  std::vector<ColumnSurvey> columns;
  for (std::size_t j = 0; j < table.columns(); ++j) columns.push_back(survey_column(table, j));
  return columns;
}

}  // namespace detente::data

// SPDX-License-Identifier: Apache-2.0
#include <detente/core/ascii.h>
#include <detente/core/error.h>
#include <detente/core/whole_number.h>
#include <detente/data/image_rows.h>
#include <detente/data/joined_rows.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace detente::data {
namespace {

constexpr std::size_t kAbsent = std::numeric_limits<std::size_t>::max();

// Of each chosen row of the list, the part's row, or kAbsent.
using Places = std::vector<std::size_t>;

Places places_by_key(const JoinedList& list, const PartPlace& place, const Table& own) {
  constexpr std::size_t kTwice = kAbsent - 1;
  const std::size_t there = own.column_index(place.key);
  std::unordered_map<std::string_view, std::size_t> rows;
  std::unordered_map<std::string_view, std::size_t> second;
  for (std::size_t i = 0; i < own.rows(); ++i) {
    const std::string_view cell = trim(own.cell(i, there));
    if (is_missing(cell)) continue;
    const auto [known, fresh] = rows.emplace(cell, i);
    if (!fresh && second.emplace(cell, i).second) known->second = kTwice;
  }
  const std::size_t column = list.rows.column_index(place.key);
  Places places;
  for (std::size_t i = 0; i < list.rows.rows(); ++i) {
    const std::string_view cell = trim(list.rows.cell(i, column));
    const auto found = is_missing(cell) ? rows.end() : rows.find(cell);
    places.push_back(found == rows.end() ? kAbsent : found->second);
    DETENTE_CHECK(
        places.back() != kTwice,
        ErrorCode::kData,
        "[data::rows_of_part] '{}' has '{}' in column '{}' twice, again in line {}, and line "
        "{} of '{}' asks for it; expected one row for each.",
        own.source(),
        cell,
        place.key,
        own.line(second.at(cell)),
        list.rows.line(i),
        list.rows.source());
  }
  return places;
}

Places places_by_number(const JoinedList& list, const PartPlace& place, const Table* own) {
  const std::size_t column = list.rows.column_index(place.row);
  Places places;
  for (std::size_t i = 0; i < list.rows.rows(); ++i) {
    const std::string_view cell = trim(list.rows.cell(i, column));
    if (is_missing(cell)) {
      places.push_back(kAbsent);
      continue;
    }
    const auto number = whole_number<std::size_t>(cell);
    DETENTE_CHECK(
        number.has_value() && *number < kAbsent && (own == nullptr || *number < own->rows()),
        ErrorCode::kData,
        "[data::rows_of_part] '{}' in line {}, column '{}' of '{}' is no row of '{}'; expected a "
        "whole "
        "number from 0{}.",
        cell,
        list.rows.line(i),
        place.row,
        list.rows.source(),
        place.file,
        own == nullptr ? std::string(" on") : fmt::format(" to {}", own->rows() - 1));
    places.push_back(*number);
  }
  return places;
}

Places places_alike(const JoinedList& list, const PartPlace& place, const Table* own) {
  DETENTE_CHECK(
      list.own,
      ErrorCode::kInvalidArgument,
      "[data::rows_of_part] '{}' goes row by row with data.train, and '{}' is another list; "
      "name a column that says which rows belong together (key or row).",
      place.file,
      list.rows.source());
  DETENTE_CHECK(own == nullptr || own->rows() == list.whole.rows(),
                ErrorCode::kData,
                "[data::rows_of_part] '{}' has {} rows, and '{}' {}; expected one for each. Name a "
                "column that says which belong together (key or row).",
                place.file,
                own == nullptr ? 0 : own->rows(),
                list.whole.source(),
                list.whole.rows());
  return list.chosen;
}

bool has_any_cell(const Table& table,
                  std::size_t row,
                  const std::vector<std::size_t>& columns,
                  bool texts) {
  return columns.empty() || std::any_of(columns.begin(), columns.end(), [&](std::size_t column) {
           const std::string_view cell = table.cell(row, column);
           return texts ? !trim(cell).empty() : !is_missing(cell);
         });
}

}  // namespace

void PartPlace::check() const {
  DETENTE_CHECK(key.empty() || row.empty(),
                ErrorCode::kInvalidArgument,
                "[data::PartPlace] both 'key' and 'row' are given; expected one of them.");
  DETENTE_CHECK(!file.empty() || (key.empty() && row.empty()),
                ErrorCode::kInvalidArgument,
                "[data::PartPlace] '{}' says which row of a file belongs to an example; name the "
                "'file'.",
                key.empty() ? "row" : "key");
  DETENTE_CHECK(
      key.empty() || has_table_name(file),
      ErrorCode::kInvalidArgument,
      "[data::PartPlace] '{}' is no table (.csv or .tsv), so it has no column '{}'; expected "
      "'row' with a column of the list that counts its rows from 0.",
      file,
      key);
}

PartRows rows_of_part(const JoinedList& list, const PartPlace& place, const PartColumns& columns) {
  const bool has_table = place.file.empty() || has_table_name(place.file);
  std::optional<Table> own;
  if (!place.file.empty() && has_table) own = Table::read(place.file, TableFormat::kAuto);
  const Table* table = own ? &*own : place.file.empty() ? &list.whole : nullptr;
  Places places;
  if (place.file.empty()) {
    places = list.chosen;
  } else if (!place.key.empty()) {
    places = places_by_key(list, place, *own);
  } else if (!place.row.empty()) {
    places = places_by_number(list, place, own ? &*own : nullptr);
  } else {
    places = places_alike(list, place, own ? &*own : nullptr);
  }
  std::vector<std::size_t> cells;
  if (table != nullptr) {
    for (const std::string& name : columns.names) cells.push_back(table->column_index(name));
  }
  PartRows part;
  RowList rows;
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (places[i] == kAbsent) continue;
    if (table != nullptr && !has_any_cell(*table, places[i], cells, columns.texts)) continue;
    rows.push_back(places[i]);
    part.examples.push_back(i);
  }
  part.files = one_file(place.file.empty() ? list.whole.source() : place.file);
  if (table != nullptr) {
    part.files.given = std::make_shared<const Table>(table->select(rows));
  } else {
    part.files.picked = std::move(rows);
    if (place.row.empty()) part.files.expected_rows = list.whole.rows();
  }
  return part;
}

}  // namespace detente::data

// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/data/table.h>

#include <algorithm>
#include <memory>
#include <utility>

namespace detente::data {

// What is left of each table when its rows are among the others.
struct Table::Joined {
  struct Origin {
    Table head;                        // without rows
    std::vector<std::size_t> columns;  // of its own columns, their places in the joined table
  };
  std::vector<std::string> names;
  std::vector<Origin> origins;
};

Table Table::joined(std::span<const NamedTable> tables) {
  DETENTE_CHECK(!tables.empty(), ErrorCode::kInternal, "[data::Table] nothing is to be joined.");
  Table all;
  std::vector<std::string> names;
  Index places;  // views into the tables' own names
  auto joined = std::make_shared<Joined>();
  std::size_t rows = 0;
  for (const auto& [name, table] : tables) {
    DETENTE_CHECK(table.joined_ == nullptr,
                  ErrorCode::kInternal,
                  "[data::Table] '{}' is joined already.",
                  name);
    Joined::Origin origin{table.select({}), {}};
    for (const std::string& column : table.column_names()) {
      const auto [place, fresh] = places.emplace(column, names.size());
      if (fresh) names.push_back(column);
      origin.columns.push_back(place->second);
    }
    all.source_ += (joined->names.empty() ? "" : ", ") + table.source_;
    joined->names.push_back(name);
    joined->origins.push_back(std::move(origin));
    rows += table.rows();
  }
  all.take_names(std::move(names));
  all.format_ = tables.front().table.format_;
  const auto each = [&](bool (Table::*has)() const) {
    return std::all_of(
        tables.begin(), tables.end(), [&](const NamedTable& one) { return (one.table.*has)(); });
  };
  all.records_ = each(&Table::has_records);
  all.has_lines_ = each(&Table::has_lines);
  all.cells_.resize(rows * all.columns());
  all.lines_.reserve(rows);
  all.origin_of_.reserve(rows);
  for (std::size_t o = 0; o < tables.size(); ++o) {
    const Table& table = tables[o].table;
    const std::vector<std::size_t>& columns = joined->origins[o].columns;
    for (std::size_t row = 0; row < table.rows(); ++row) {
      Cell* cells = all.cells_.data() + all.lines_.size() * all.columns();
      for (std::size_t c = 0; c < columns.size(); ++c) {
        cells[columns[c]] = table.cells_[row * columns.size() + c];
      }
      all.lines_.push_back(table.lines_[row]);
      all.places_.push_back(table.place(row));
      all.origin_of_.push_back(static_cast<std::uint32_t>(o));
    }
  }
  all.joined_ = std::move(joined);
  return all;
}

const std::vector<std::string>& Table::origins() const {
  static const std::vector<std::string> none;
  return joined_ ? joined_->names : none;
}

bool Table::origin_has(std::size_t origin, std::string_view column) const {
  return joined_->origins.at(origin).head.has_column(column);
}

Table Table::of_origin(std::size_t origin) const {
  const auto& [head, columns] = joined_->origins.at(origin);
  Table table = head;
  for (std::size_t row = 0; row < rows(); ++row) {
    if (origin_of_[row] != origin) continue;
    for (const std::size_t column : columns) {
      table.cells_.push_back(cells_[row * this->columns() + column]);
    }
    table.lines_.push_back(lines_[row]);
    table.places_.push_back(places_[row]);
  }
  return table;
}

const std::string& Table::source(std::size_t row) const {
  return joined_ ? joined_->origins[origin_of_.at(row)].head.source_ : source_;
}

std::string_view Table::cell(std::size_t row, std::size_t column) const {
  const Cell& cell = cells_.at(row * columns() + column);
  const Table& of = joined_ ? joined_->origins[origin_of_[row]].head : *this;
  return std::string_view(*of.content_).substr(cell.begin, cell.size);
}

}  // namespace detente::data

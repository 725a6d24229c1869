// SPDX-License-Identifier: Apache-2.0
// A small table of strings, written as plain text, Markdown, CSV or JSON.
#pragma once

#include <detente/core/json.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace detente::report {

enum class Align { kLeft, kRight, kCenter };

struct Column {
  std::string title;
  Align align = Align::kLeft;
};

// Cells of a terminal: 2 for wide characters (Hangul, Han, kana, emoji), 0 for combining marks,
// 1 for everything else, invalid bytes included.
std::size_t display_width(std::string_view utf8);

// A cell of such a table as CSV: RFC 4180, quoted where it holds a comma, a quote or a line break.
std::string csv_cell(const std::string& cell);

class Table {
 public:
  explicit Table(std::vector<Column> columns);

  // One cell per column; kShape otherwise.
  void add_row(std::vector<std::string> cells);
  // A line between the rows above and below, in plain text only.
  void add_rule();

  const std::vector<Column>& columns() const { return columns_; }
  std::size_t rows() const { return rows_.size(); }
  const std::vector<std::string>& row(std::size_t i) const { return rows_[i]; }

  // Columns two spaces apart, a rule under the titles; no trailing spaces.
  std::string text() const;
  // A GitHub table; pipes and line breaks in cells are escaped.
  std::string markdown() const;
  // RFC 4180 with LF line ends; cells with comma, quote or line break are quoted.
  std::string csv() const;
  // [{title: cell, ...}, ...]; cells stay strings.
  Json json() const;

 private:
  std::vector<std::size_t> widths() const;

  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
  std::vector<std::size_t> rules_;  // a rule stands before the row of this index
};

}  // namespace detente::report

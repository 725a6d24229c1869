// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/report/table.h>
#include <detente/text/printable.h>
#include <utf8proc.h>

#include <algorithm>

namespace detente::report {
namespace {

// Cells hold words of others, and text() is for terminals.
std::string padded(const std::string& text, std::size_t width, Align align) {
  const std::string cell = text::printable(text);
  const std::size_t used = display_width(cell);
  const std::size_t room = width > used ? width - used : 0;
  const std::size_t left = align == Align::kRight ? room : align == Align::kCenter ? room / 2 : 0;
  return std::string(left, ' ') + cell + std::string(room - left, ' ');
}

void append_line(std::string& out, std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  out += line + "\n";
}

std::string markdown_cell(const std::string& cell) {
  std::string out;
  for (const char c : cell) {
    if (c == '|') {
      out += "\\|";
    } else if (c == '\n') {
      out += "<br>";
    } else if (c != '\r') {
      out += c;
    }
  }
  return out;
}

template <class Cell>
void append_csv_line(std::string& out, std::size_t columns, const Cell& cell) {
  for (std::size_t j = 0; j < columns; ++j) out += (j == 0 ? "" : ",") + csv_cell(cell(j));
  out += "\n";
}

}  // namespace

std::string csv_cell(const std::string& cell) {
  if (cell.find_first_of(",\"\n\r") == std::string::npos) return cell;
  std::string out = "\"";
  for (const char c : cell) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + "\"";
}

std::size_t display_width(std::string_view utf8) {
  std::size_t width = 0;
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(utf8.data());
  for (std::size_t i = 0; i < utf8.size();) {
    utf8proc_int32_t code = -1;
    const auto used =
        utf8proc_iterate(bytes + i, static_cast<utf8proc_ssize_t>(utf8.size() - i), &code);
    if (used <= 0) {
      ++width;
      ++i;
      continue;
    }
    // Vowels and finals of decomposed Hangul share the cells of their syllable's first letter.
    const bool joins_syllable =
        (code >= 0x1160 && code <= 0x11FF) || (code >= 0xD7B0 && code <= 0xD7FF);
    if (!joins_syllable) width += static_cast<std::size_t>(std::max(0, utf8proc_charwidth(code)));
    i += static_cast<std::size_t>(used);
  }
  return width;
}

Table::Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

void Table::add_row(std::vector<std::string> cells) {
  DETENTE_CHECK(cells.size() == columns_.size(),
                ErrorCode::kShape,
                "[report::table] a row of this table has {} cells; got {}.",
                columns_.size(),
                cells.size());
  rows_.push_back(std::move(cells));
}

void Table::add_rule() { rules_.push_back(rows_.size()); }

std::vector<std::size_t> Table::widths() const {
  std::vector<std::size_t> widths;
  for (std::size_t j = 0; j < columns_.size(); ++j) {
    std::size_t width = display_width(text::printable(columns_[j].title));
    for (const auto& row : rows_) width = std::max(width, display_width(text::printable(row[j])));
    widths.push_back(width);
  }
  return widths;
}

std::string Table::text() const {
  const auto width = widths();
  std::string rule;
  std::string titles;
  for (std::size_t j = 0; j < columns_.size(); ++j) {
    if (j > 0) {
      titles += "  ";
      rule += "  ";
    }
    titles += padded(columns_[j].title, width[j], columns_[j].align);
    for (std::size_t i = 0; i < width[j]; ++i) rule += "─";
  }
  std::string out;
  append_line(out, titles);
  append_line(out, rule);
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    if (i > 0 && std::find(rules_.begin(), rules_.end(), i) != rules_.end()) append_line(out, rule);
    std::string line;
    for (std::size_t j = 0; j < columns_.size(); ++j) {
      line += (j > 0 ? "  " : "") + padded(rows_[i][j], width[j], columns_[j].align);
    }
    append_line(out, line);
  }
  return out;
}

std::string Table::markdown() const {
  std::string out = "|";
  for (const auto& column : columns_) out += " " + markdown_cell(column.title) + " |";
  out += "\n|";
  for (const auto& column : columns_) {
    out += column.align == Align::kRight    ? " ---: |"
           : column.align == Align::kCenter ? " :---: |"
                                            : " --- |";
  }
  out += "\n";
  for (const auto& row : rows_) {
    out += "|";
    for (const auto& cell : row) out += " " + markdown_cell(cell) + " |";
    out += "\n";
  }
  return out;
}

std::string Table::csv() const {
  std::string out;
  append_csv_line(out, columns_.size(), [&](std::size_t j) { return columns_[j].title; });
  for (const auto& row : rows_) {
    append_csv_line(out, columns_.size(), [&](std::size_t j) { return row[j]; });
  }
  return out;
}

Json Table::json() const {
  Json out = Json::array();
  for (const auto& row : rows_) {
    Json object = Json::object();
    for (std::size_t j = 0; j < columns_.size(); ++j) object[columns_[j].title] = row[j];
    out.push_back(std::move(object));
  }
  return out;
}

}  // namespace detente::report

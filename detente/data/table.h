// SPDX-License-Identifier: Apache-2.0
// A TSV, CSV or JSON lines file with named columns, whole in memory, gzip or not.
//
//   tsv    fields end at tabs; there is no quoting at all (quotes occur in text)
//   csv    RFC 4180: a field may be quoted, then it may hold commas, line ends and doubled quotes
//   jsonl  an object a line: its keys are columns, in the order of their first appearance; a key that a
//          line lacks, and null, are empty cells; true is 1 and false 0; numbers stand as they are
//          written. Objects and lists within an object are refused
//
// A byte-order mark, CRLF or CR line ends, a missing final line end, blanks around the names of
// columns and blank lines at the end are fine.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace detente::data {

enum class TableFormat {
  kAuto,  // by the extension: .tsv, .tab, .txt, .csv or .jsonl, with or without .gz
  kTsv,
  kCsv,
  kJsonLines,
};

// Cells without blanks around them that stand for nothing: empty, ?, NA, NaN, null in any case.
bool is_missing(std::string_view cell);
// The number a whole cell spells ("7", " +0.5", "3.38e-005", "inf"), or nothing.
std::optional<double> parse_cell(std::string_view cell);

struct NamedTable;

// What stands before a text in the file that it is a part of. The text itself begins with the header, which
// is not counted, and goes on with later rows.
struct TextBefore {
  std::size_t lines = 0;
  std::size_t bytes = 0;
  std::size_t rows = 0;
  // JSON lines have no header: the columns that the table has at least, in this order.
  std::vector<std::string> names;
};

class Table {
 public:
  // Throws kIo (missing, unreadable) or kData, naming file and line: empty file, header without
  // rows, repeated column name, a row with another number of fields, invalid UTF-8 (with the
  // byte), NUL bytes, an open quote, an extension that names no format. Of JSON lines: a line that is no
  // object or no JSON, a key twice in a line, nested values (with the key), and so many different keys
  // that nearly all cells would be empty.
  static Table read(const std::filesystem::path& path, TableFormat format = TableFormat::kAuto);
  // The same from memory; `source` stands for the file in messages.
  static Table parse(std::string content,
                     const std::string& source,
                     TableFormat format,
                     const TextBefore& before = {});
  // By a file's ending: what kAuto stands for there. Throws kData where it names no format.
  static TableFormat format_of(const std::filesystem::path& path);

  // From cells in memory, a list per column, all of one length; rows count as lines from 1.
  static Table made(std::vector<std::string> names,
                    const std::vector<std::vector<std::string>>& columns,
                    std::string source);

  // The same table with these rows alone, in this order; lines stay those of the file.
  Table select(std::span<const std::size_t> rows) const;

  // The same table, its rows said to begin in these lines.
  Table with_lines(std::vector<std::size_t> lines) const;
  // The same table, its rows said to have these places.
  Table with_places(std::vector<std::size_t> places) const;

  // The rows of several tables, one after the other, under all of their columns in the order of
  // appearance; cells of columns that a table lacks are empty. Rows keep the lines and names of their
  // files. At least one table, none of them joined; costs no second copy of the contents.
  static Table joined(std::span<const NamedTable> tables);
  // Names of the joined tables; empty for any other table.
  const std::vector<std::string>& origins() const;
  // Of a joined table: which one a row is from, and whether that one has a column.
  std::size_t origin(std::size_t row) const { return origin_of_[row]; }
  bool origin_has(std::size_t origin, std::string_view column) const;
  // Of a joined table: the rows from one, under its own columns, as it was before.
  Table of_origin(std::size_t origin) const;

  const std::string& source() const { return source_; }
  // The file that a row is from.
  const std::string& source(std::size_t row) const;
  std::size_t rows() const { return lines_.size(); }
  std::size_t columns() const { return names_->size(); }
  const std::vector<std::string>& column_names() const { return *names_; }
  bool has_column(std::string_view name) const { return find_column(name).has_value(); }
  // Throws kData with the nearest name and the list, or of a long list the nearest ten.
  std::size_t column_index(std::string_view name) const;

  // " The header was not split, ..." where its one name holds another separator, else "".
  std::string unsplit_hint() const;

  // Views into the table: they live as long as it or a table selected from it does.
  std::string_view cell(std::size_t row, std::size_t column) const;
  std::vector<std::string_view> text_column(std::string_view name) const;
  // Missing cells (is_missing) become NaN. Anything else that is not a finite
  // number throws kData with the line.
  std::vector<double> numeric_column(std::string_view name) const;

  // The line of the file a row starts in, from 1, for messages.
  std::size_t line(std::size_t row) const { return lines_[row]; }
  // Which of its file's rows a row is, from 0, whatever was selected and joined since.
  std::size_t place(std::size_t row) const { return places_.empty() ? row : places_[row]; }
  // Whether rows are records of text that was parsed, in lines of it (with_lines: lines alone).
  bool has_records() const { return records_; }
  bool has_lines() const { return has_lines_; }

 private:
  struct Cell {
    std::size_t begin = 0;
    std::size_t size = 0;
  };
  using Index = std::unordered_map<std::string_view, std::size_t>;
  struct Joined;
  Table() = default;

  // Fills all but the contents, which become the cells'.
  static void parse_json_lines(std::string& bytes, const TextBefore& before, Table& table);
  void take_names(std::vector<std::string> names);
  // Places from this one on; 0: each row's own.
  void begin_places(std::size_t first);
  std::optional<std::size_t> find_column(std::string_view name) const;

  std::string source_;
  TableFormat format_ = TableFormat::kTsv;
  std::shared_ptr<const std::string> content_;
  std::shared_ptr<const std::vector<std::string>> names_;
  std::shared_ptr<const Index> index_;  // views into *names_
  std::vector<Cell> cells_;             // rows × columns
  std::vector<std::size_t> lines_;
  std::vector<std::size_t> places_;  // empty: each row's own
  bool records_ = false;
  bool has_lines_ = false;
  std::shared_ptr<const Joined> joined_;  // null: one file
  std::vector<std::uint32_t> origin_of_;  // per row of a joined table
};

struct NamedTable {
  std::string name;
  Table table;
};

}  // namespace detente::data

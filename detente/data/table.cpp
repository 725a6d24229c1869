// SPDX-License-Identifier: Apache-2.0
#include <detente/core/ascii.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/suggest.h>
#include <detente/data/table.h>
#include <detente/text/unicode.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <numeric>
#include <unordered_map>

namespace detente::data {
namespace {

// Refuses what no text file holds before the fields are cut, so that later code need not look.
void check_bytes(const std::string& content,
                 const std::string& source,
                 TableFormat format,
                 const TextBefore& before) {
  DETENTE_CHECK(!content.empty(),
                ErrorCode::kData,
                "[data::Table] '{}' is empty; expected {}.",
                source,
                format == TableFormat::kJsonLines ? "an object a line"
                                                  : "a header line and at least one row");
  DETENTE_CHECK(!content.starts_with("\xff\xfe") && !content.starts_with("\xfe\xff"),
                ErrorCode::kData,
                "[data::Table] '{}' is UTF-16; expected UTF-8. Save it as UTF-8.",
                source);
  const auto place = [&](std::size_t offset) {
    const auto upto = content.begin() + static_cast<std::ptrdiff_t>(offset);
    std::size_t line = 1 + static_cast<std::size_t>(std::count(content.begin(), upto, '\n'));
    std::size_t byte = offset + 1;
    if (line > 1 || format == TableFormat::kJsonLines) {  // not in the header
      line += before.lines;
      byte += before.bytes;
    }
    const std::size_t previous = content.rfind('\n', offset == 0 ? 0 : offset - 1);
    const std::size_t begin = offset == 0 || previous == std::string::npos ? 0 : previous + 1;
    return fmt::format(
        "line {}, byte {} of the line (byte {} of the file)", line, offset - begin + 1, byte);
  };
  const std::size_t nul = content.find('\0');
  DETENTE_CHECK(nul == std::string::npos,
                ErrorCode::kData,
                "[data::Table] '{}' holds a NUL byte at {}; expected text.",
                source,
                place(nul));
  const std::size_t bad = text::find_invalid_utf8(content);
  DETENTE_CHECK(bad == std::string::npos,
                ErrorCode::kData,
                "[data::Table] '{}' is not valid UTF-8 at {}: 0x{:02x}. Convert it, e.g. with "
                "iconv -f CP949 -t UTF-8.",
                source,
                place(bad),
                static_cast<unsigned char>(content[bad]));
}

// Without a line feed, carriage returns end the lines.
void mend_line_ends(std::string& content) {
  if (content.find('\n') == std::string::npos)
    std::replace(content.begin(), content.end(), '\r', '\n');
}

// Where the first separator or line feed from `at` on stands, or the end.
std::size_t field_end(const std::string& bytes, std::size_t at, char separator) {
  if constexpr (std::endian::native == std::endian::little) {
    // Eight bytes at a time: the lowest marked byte of `hits` is the first that equals `c`.
    constexpr std::uint64_t kOnes = 0x0101010101010101U;
    const auto hits = [](std::uint64_t word, char c) {
      const std::uint64_t same = word ^ (kOnes * static_cast<unsigned char>(c));
      return (same - kOnes) & ~same & (kOnes << 7U);
    };
    for (std::uint64_t word = 0; at + sizeof(word) <= bytes.size(); at += sizeof(word)) {
      std::memcpy(&word, bytes.data() + at, sizeof(word));
      const std::uint64_t found = hits(word, separator) | hits(word, '\n');
      if (found != 0) return at + static_cast<std::size_t>(std::countr_zero(found)) / 8;
    }
  }
  while (at < bytes.size() && bytes[at] != separator && bytes[at] != '\n') ++at;
  return at;
}

// A header of one name that holds another separator: the file is of another format.
std::string header_hint(const std::vector<std::string>& names, TableFormat format) {
  if (names.size() != 1) return "";
  const std::size_t at = names[0].find_first_of("\t;,");
  if (at == std::string::npos) return "";
  switch (names[0][at]) {
    case '\t':
      return " The header was not split, it holds tabs: with data.format: tsv, or the ending .tsv, "
             "they part the "
             "columns.";
    case ';':
      return " The header was not split, it holds semicolons, which part no columns here; save the "
             "file with commas "
             "(and decimal points) as .csv, or with tabs as .tsv.";
    default:
      return format == TableFormat::kCsv
                 ? ""
                 : " The header was not split, it holds commas: with data.format: csv, or the "
                   "ending .csv, they part the columns.";
  }
}

std::string width_hint(const std::vector<std::string>& names, TableFormat format) {
  const std::string unsplit = header_hint(names, format);
  if (!unsplit.empty() || format != TableFormat::kCsv) return unsplit;
  return " A field that holds a comma must be quoted.";
}

}  // namespace

bool is_missing(std::string_view cell) {
  cell = trim(cell);
  if (cell.empty() || cell == "?") return true;
  if (cell.size() > 4) return false;
  const std::string word = lower_ascii(std::string(cell));
  return word == "na" || word == "nan" || word == "null";
}

std::optional<double> parse_cell(std::string_view cell) {
  cell = trim(cell);
  if (cell.size() > 1 && cell.front() == '+' && cell[1] != '-') cell.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  if (cell.empty() || end != cell.data() + cell.size()) return std::nullopt;
  if (error == std::errc::result_out_of_range) {
    // Too small is 0, too large is infinite; from_chars does not say which.
    return std::strtod(std::string(cell).c_str(), nullptr);
  }
  if (error != std::errc()) return std::nullopt;
  return value;
}

TableFormat Table::format_of(const std::filesystem::path& path) {
  std::filesystem::path name = lower_ascii(path.filename().string());
  if (name.extension() == ".gz") name = name.stem();
  const std::string extension = name.extension().string();
  if (extension == ".tsv" || extension == ".tab" || extension == ".txt") return TableFormat::kTsv;
  if (extension == ".csv") return TableFormat::kCsv;
  if (extension == ".jsonl") return TableFormat::kJsonLines;
  fail(ErrorCode::kData,
       "[data::Table] the extension of '{}' names no format; expected .tsv, .tab, .txt, .csv or "
       ".jsonl, with or without .gz. Rename the file or name its format.",
       path.string());
}

Table Table::read(const std::filesystem::path& path, TableFormat format) {
  std::string content = read_file(path);
  if (format == TableFormat::kAuto) format = format_of(path);
  return parse(std::move(content), path.string(), format);
}

Table Table::parse(std::string content,
                   const std::string& source,
                   TableFormat format,
                   const TextBefore& before) {
  if (format == TableFormat::kAuto) format = format_of(source);
  check_bytes(content, source, format, before);
  mend_line_ends(content);
  Table table;
  table.source_ = source;
  table.format_ = format;
  table.records_ = true;
  table.has_lines_ = true;
  if (format == TableFormat::kJsonLines) {
    parse_json_lines(content, before, table);
    table.begin_places(before.rows);
    table.content_ = std::make_shared<const std::string>(std::move(content));
    return table;
  }
  std::string& bytes = content;
  const char separator = format == TableFormat::kCsv ? ',' : '\t';

  // Quoted CSV fields lose their quotes in place: `out` never overtakes `in`.
  std::size_t in = bytes.starts_with("\xef\xbb\xbf") ? 3 : 0;
  std::size_t out = in;
  std::size_t line = 1;
  std::vector<Cell> record;
  bool quoted = false;  // a field of the record is: then a line of nothing else is no blank one
  // Reads one record; false at the end of the file.
  const auto next_record = [&](std::size_t& first_line) {
    record.clear();
    quoted = false;
    first_line = line;
    if (in >= bytes.size()) return false;
    for (;;) {
      Cell cell{out, 0};
      if (format == TableFormat::kCsv && in < bytes.size() && bytes[in] == '"') {
        const std::size_t opened = line;
        quoted = true;
        ++in;
        for (;;) {
          DETENTE_CHECK(in < bytes.size(),
                        ErrorCode::kData,
                        "[data::Table] the quote opened in line {} of '{}' is never closed; "
                        "expected a closing '\"'. If quotes are part of the text, the file is "
                        "TSV or not quoted at all.",
                        opened,
                        source);
          if (bytes[in] == '"') {
            if (in + 1 >= bytes.size() || bytes[in + 1] != '"') break;
            ++in;
          }
          if (bytes[in] == '\n') ++line;
          bytes[out++] = bytes[in++];
        }
        ++in;
        cell.size = out - cell.begin;
        const bool ends = in >= bytes.size() || bytes[in] == separator || bytes[in] == '\n' ||
                          (bytes[in] == '\r' && (in + 1 >= bytes.size() || bytes[in + 1] == '\n'));
        DETENTE_CHECK(ends,
                      ErrorCode::kData,
                      "[data::Table] line {} of '{}' has text after a closing quote; expected ',' "
                      "or the end of the line. A quote inside a field must be doubled.",
                      line,
                      source);
        if (in < bytes.size() && bytes[in] == '\r') ++in;
      } else {
        const std::size_t end = field_end(bytes, in, separator);
        cell.size = end - in;
        if (out != in) std::memmove(&bytes[out], &bytes[in], cell.size);
        out += cell.size;
        in = end;
        const bool at_line_end = in >= bytes.size() || bytes[in] == '\n';
        if (at_line_end && cell.size > 0 && bytes[out - 1] == '\r') --cell.size;
      }
      record.push_back(cell);
      if (in >= bytes.size()) return true;
      if (bytes[in++] == '\n') {
        ++line;
        return true;
      }
    }
  };

  std::size_t first_line = 0;
  next_record(first_line);
  const std::size_t header_line = first_line;
  std::vector<std::string> names;
  for (const Cell& cell : record) {
    names.emplace_back(trim(std::string_view(bytes).substr(cell.begin, cell.size)));
  }
  table.names_ = std::make_shared<const std::vector<std::string>>(std::move(names));
  Index index;
  index.reserve(table.columns());
  for (const std::string& name : *table.names_) {
    DETENTE_CHECK(
        index.emplace(name, index.size()).second,
        ErrorCode::kData,
        "[data::Table] the header (line {}) of '{}' names the column '{}' twice; expected "
        "every name once.",
        header_line,
        source,
        name);
  }
  table.index_ = std::make_shared<const Index>(std::move(index));

  // No cell without a byte of its own and a separator or line end, or nearly.
  const auto lines = static_cast<std::size_t>(std::count(bytes.begin(), bytes.end(), '\n')) + 1;
  table.lines_.reserve(lines);
  table.cells_.reserve(std::min(lines * table.columns(), bytes.size() / 2 + 1));

  line += before.lines;
  std::size_t blank_line = 0;  // a blank line that something may still follow
  while (next_record(first_line)) {
    if (record.size() == 1 && record[0].size == 0 && !quoted) {
      if (blank_line == 0) blank_line = first_line;
      continue;
    }
    DETENTE_CHECK(blank_line == 0,
                  ErrorCode::kData,
                  "[data::Table] line {} of '{}' is blank; expected {} fields. Blank lines are "
                  "allowed only at the end.",
                  blank_line,
                  source,
                  table.columns());
    DETENTE_CHECK(record.size() == table.columns(),
                  ErrorCode::kData,
                  "[data::Table] line {} of '{}' has {} fields; expected {} as in the header.{}",
                  first_line,
                  source,
                  record.size(),
                  table.columns(),
                  width_hint(*table.names_, format));
    table.cells_.insert(table.cells_.end(), record.begin(), record.end());
    table.lines_.push_back(first_line);
  }
  DETENTE_CHECK(table.rows() > 0,
                ErrorCode::kData,
                "[data::Table] '{}' has a header but no rows; expected at least one.",
                source);
  table.begin_places(before.rows);
  table.content_ = std::make_shared<const std::string>(std::move(content));
  return table;
}

void Table::begin_places(std::size_t first) {
  if (first == 0) return;
  places_.resize(rows());
  std::iota(places_.begin(), places_.end(), first);
}

Table Table::made(std::vector<std::string> names,
                  const std::vector<std::vector<std::string>>& columns,
                  std::string source) {
  DETENTE_DCHECK(names.size() == columns.size());
  Table table;
  table.source_ = std::move(source);
  table.take_names(std::move(names));
  DETENTE_DCHECK(table.index_->size() == columns.size());
  std::string content;
  const std::size_t rows = columns.empty() ? 0 : columns.front().size();
  for (std::size_t row = 0; row < rows; ++row) {
    for (const auto& column : columns) {
      table.cells_.push_back({content.size(), column.at(row).size()});
      content += column[row];
    }
    table.lines_.push_back(row + 1);
  }
  table.content_ = std::make_shared<const std::string>(std::move(content));
  return table;
}

Table Table::with_lines(std::vector<std::size_t> lines) const {
  DETENTE_DCHECK(lines.size() == rows());
  Table table = *this;
  table.lines_ = std::move(lines);
  table.has_lines_ = true;
  return table;
}

Table Table::with_places(std::vector<std::size_t> places) const {
  DETENTE_DCHECK(places.size() == rows());
  Table table = *this;
  table.places_ = std::move(places);
  return table;
}

Table Table::select(std::span<const std::size_t> rows) const {
  Table table;
  table.source_ = source_;
  table.content_ = content_;
  table.names_ = names_;
  table.index_ = index_;
  table.format_ = format_;
  table.records_ = records_;
  table.has_lines_ = has_lines_;
  for (const std::size_t row : rows) {
    const auto begin = cells_.begin() + static_cast<std::ptrdiff_t>(row * columns());
    table.cells_.insert(table.cells_.end(), begin, begin + static_cast<std::ptrdiff_t>(columns()));
    table.lines_.push_back(lines_.at(row));
    table.places_.push_back(place(row));
  }
  table.joined_ = joined_;
  if (joined_) {
    for (const std::size_t row : rows) table.origin_of_.push_back(origin_of_.at(row));
  }
  return table;
}

void Table::take_names(std::vector<std::string> names) {
  names_ = std::make_shared<const std::vector<std::string>>(std::move(names));
  Index index;
  index.reserve(names_->size());
  for (const std::string& name : *names_) index.emplace(name, index.size());
  index_ = std::make_shared<const Index>(std::move(index));
}

std::optional<std::size_t> Table::find_column(std::string_view name) const {
  const auto found = index_->find(name);
  if (found == index_->end()) return std::nullopt;
  return found->second;
}

std::size_t Table::column_index(std::string_view name) const {
  if (const auto found = find_column(name)) return *found;
  std::string hint = unsplit_hint();
  if (hint.empty()) hint = did_you_mean(name, *names_);
  fail(ErrorCode::kData,
       "[data::Table] '{}' has no column '{}'; its columns are: {}.{}",
       source_,
       name,
       list_names(name, *names_),
       hint);
}

std::string Table::unsplit_hint() const { return header_hint(*names_, format_); }

std::vector<std::string_view> Table::text_column(std::string_view name) const {
  const std::size_t column = column_index(name);
  std::vector<std::string_view> values;
  values.reserve(rows());
  for (std::size_t i = 0; i < rows(); ++i) values.push_back(cell(i, column));
  return values;
}

std::vector<double> Table::numeric_column(std::string_view name) const {
  const std::size_t column = column_index(name);
  std::vector<double> values(rows(), std::numeric_limits<double>::quiet_NaN());
  for (std::size_t i = 0; i < rows(); ++i) {
    const std::string_view text = trim(cell(i, column));
    if (is_missing(text)) continue;
    const std::optional<double> value = parse_cell(text);
    DETENTE_CHECK(
        value && std::isfinite(*value),
        ErrorCode::kData,
        "[data::Table] line {} of '{}', column '{}': '{}' is not a finite number; expected "
        "a number, or nothing, ?, NA, NaN or null for a missing one.",
        lines_[i],
        source(i),
        name,
        text);
    values[i] = *value;
  }
  return values;
}

}  // namespace detente::data

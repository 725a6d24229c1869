// SPDX-License-Identifier: Apache-2.0
#include <detente/data/source_files.h>
#include <detente/data/table_portions.h>

#include <algorithm>
#include <limits>
#include <string_view>
#include <utility>

namespace detente::data {
namespace {

constexpr std::size_t kNone = std::string::npos;

ContentReader open(const std::string& file) {
  return file == kStandardInput ? ContentReader::standard_input() : ContentReader(file);
}

// Behind the line feed that ends the record of a CSV file, by the rules of Table::parse: a quote opens a field
// at its beginning alone.
std::size_t csv_record_end(std::string_view bytes, std::size_t at) {
  bool field_begins = true;
  while (at < bytes.size()) {
    if (field_begins && bytes[at] == '"') {
      for (;;) {
        at = bytes.find('"', at + 1);
        if (at == kNone) return kNone;
        if (at + 1 >= bytes.size() || bytes[at + 1] != '"') break;
        ++at;
      }
      ++at;
      field_begins = false;
      continue;
    }
    const char c = bytes[at++];
    if (c == '\n') return at;
    field_begins = c == ',';
  }
  return kNone;
}

}  // namespace

TablePortions::TablePortions(const std::string& file, TableFormat format, Limits limits)
    : file_(file),
      shown_(file == kStandardInput ? "standard input" : file),
      format_(format_to_read(file, format)),
      limits_(limits),
      reader_(open(file)) {}

// Twice as much as there is, so that a long record is not looked through again and again.
bool TablePortions::fetch() {
  if (ended_) return false;
  const std::size_t before = buffer_.size();
  const std::size_t wanted = before + std::max<std::size_t>(before, std::size_t{1} << 16U);
  while (!ended_ && buffer_.size() < wanted) {
    ended_ = !reader_.read(buffer_, wanted - buffer_.size());
  }
  if (returns_end_lines_) {
    std::replace(buffer_.begin() + static_cast<std::ptrdiff_t>(before), buffer_.end(), '\r', '\n');
  }
  return buffer_.size() > before;
}

void TablePortions::look_at_line_ends() {
  while (buffer_.size() < limits_.bytes && buffer_.find('\n') == kNone && fetch()) {
  }
  returns_end_lines_ = buffer_.find('\n') == kNone && buffer_.find('\r') != kNone;
  if (returns_end_lines_) std::replace(buffer_.begin(), buffer_.end(), '\r', '\n');
}

// kNone: the buffer ends first.
std::size_t TablePortions::record_end(std::size_t begin) const {
  if (format_ == TableFormat::kCsv) return csv_record_end(buffer_, begin);
  const std::size_t at = buffer_.find('\n', begin);
  return at == kNone ? kNone : at + 1;
}

bool TablePortions::is_blank(std::size_t begin, std::size_t end) const {
  const char* const blanks = format_ == TableFormat::kJsonLines ? " \t\r\n" : "\r\n";
  const std::string_view record = std::string_view(buffer_).substr(begin, end - begin);
  return record.find_first_not_of(blanks) == kNone;
}

// False: there are no rows behind it.
bool TablePortions::take_header() {
  if (format_ == TableFormat::kJsonLines) return true;
  std::size_t end = record_end(0);
  while (end == kNone && fetch()) end = record_end(0);
  if (end == kNone) return false;
  header_ = buffer_.substr(0, end);
  buffer_.erase(0, end);
  return true;
}

void TablePortions::learn_names() {
  TablePortions all(file_, format_, limits_);
  all.begun_ = true;
  all.look_at_line_ends();
  while (const auto table = all.next()) all.before_.names = table->column_names();
  before_.names = std::move(all.before_.names);
}

std::optional<Table> TablePortions::next() {
  if (!begun_) {
    begun_ = true;
    look_at_line_ends();
    // What is wrong with a file of one line Table::parse says.
    if (!take_header()) return Table::parse(std::exchange(buffer_, {}), shown_, format_);
    if (format_ == TableFormat::kJsonLines) {
      while (buffer_.size() <= limits_.bytes && fetch()) {
      }
      if (!ended_ && reader_.size() && file_ != kStandardInput) {
        learn_names();
      } else {
        limits_ = {std::numeric_limits<std::size_t>::max(),
                   std::numeric_limits<std::size_t>::max()};
      }
    }
  }
  std::size_t rows = 0;
  std::size_t end = 0;
  std::size_t full = 0;  // behind the last record that is not blank
  while (rows < limits_.rows && full < limits_.bytes) {
    std::size_t stop = record_end(end);
    if (stop == kNone) {
      if (fetch()) continue;
      stop = buffer_.size();
      if (stop == end) break;
    }
    if (!is_blank(end, stop)) {
      full = stop;
      ++rows;
    }
    end = stop;
  }
  if (rows == 0 && before_.rows > 0) return std::nullopt;
  Table table = Table::parse(header_ + buffer_.substr(0, end), shown_, format_, before_);
  before_.lines += static_cast<std::size_t>(
      std::count(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(end), '\n'));
  before_.bytes += end;
  before_.rows += table.rows();
  buffer_.erase(0, end);
  return table;
}

}  // namespace detente::data

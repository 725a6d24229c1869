// SPDX-License-Identifier: Apache-2.0
#include <detente/core/ascii.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/data/dropped_rows.h>
#include <detente/data/source.h>

#include <algorithm>
#include <charconv>
#include <map>

namespace detente::data {
namespace {

namespace fs = std::filesystem;

void sort_unique(RowList& rows) {
  std::sort(rows.begin(), rows.end());
  rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
}

bool same_file(const fs::path& a, const fs::path& b) {
  std::error_code error;
  if (fs::equivalent(a, b, error)) return true;
  return fs::weakly_canonical(a, error) == fs::weakly_canonical(b, error) && !error;
}

// Links count: what they lead to would be written.
void demand_new(const fs::path& path, bool replace) {
  std::error_code error;
  const bool there = fs::exists(fs::symlink_status(path, error));
  DETENTE_CHECK(!there || replace,
                ErrorCode::kInvalidArgument,
                "[data::dropped_rows] '{}' is there already; expected a new file. Choose another "
                "folder, or let it be replaced (--force).",
                path.string());
}

// Where the record that begins at `at` ends, behind its line end. As Table reads: a quote opens a field
// at its beginning alone.
std::size_t csv_record_end(std::string_view bytes, std::size_t at, char line_end) {
  bool field_begins = true;
  while (at < bytes.size()) {
    if (field_begins && bytes[at] == '"') {
      ++at;
      while (at < bytes.size()) {
        if (bytes[at] == '"') {
          if (at + 1 >= bytes.size() || bytes[at + 1] != '"') break;
          ++at;
        }
        ++at;
      }
      if (at < bytes.size()) ++at;
      field_begins = false;
      continue;
    }
    const char c = bytes[at++];
    if (c == line_end) return at;
    field_begins = c == ',';
  }
  return at;
}

std::size_t record_end(std::string_view bytes, std::size_t at, TableFormat format, char line_end) {
  if (format == TableFormat::kCsv) return csv_record_end(bytes, at, line_end);
  const std::size_t end = bytes.find(line_end, at);
  return end == std::string_view::npos ? bytes.size() : end + 1;
}

TableFormat format_by_name(const std::string& source, TableFormat format) {
  if (format != TableFormat::kAuto) return format;
  fs::path name = lower_ascii(fs::path(source).filename().string());
  if (name.extension() == ".gz") name = name.stem();
  const std::string ending = name.extension().string();
  if (ending == ".csv") return TableFormat::kCsv;
  if (ending == ".jsonl") return TableFormat::kJsonLines;
  const bool tsv = ending == ".tsv" || ending == ".tab" || ending == ".txt";
  return tsv ? TableFormat::kTsv : TableFormat::kAuto;  // which Table refuses
}

}  // namespace

RowList read_dropped_rows(const fs::path& path, std::size_t count) {
  std::string content = read_file(path);
  if (content.find('\n') == std::string::npos)
    std::replace(content.begin(), content.end(), '\r', '\n');
  RowList rows;
  std::size_t line = 0;
  for (std::size_t at = content.starts_with("\xef\xbb\xbf") ? 3 : 0; at < content.size();) {
    ++line;
    const std::size_t end = std::min(content.find('\n', at), content.size());
    std::string_view text = std::string_view(content).substr(at, end - at);
    at = end + 1;
    text = trim(text.substr(0, text.find('#')), " \t\r");
    if (text.empty()) continue;
    std::size_t row = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), row);
    DETENTE_CHECK(error == std::errc() && stop == text.data() + text.size(),
                  ErrorCode::kData,
                  "[data::dropped_rows] line {} of '{}' is '{}'; expected the number of a training "
                  "row, from 0.",
                  line,
                  path.string(),
                  text);
    DETENTE_CHECK(row < count,
                  ErrorCode::kData,
                  "[data::dropped_rows] line {} of '{}' names row {}, but the training file has {} "
                  "rows, counted from 0. The list belongs to another file.",
                  line,
                  path.string(),
                  row,
                  count);
    rows.push_back(row);
  }
  sort_unique(rows);
  return rows;
}

std::string dropped_rows_text(std::span<const std::size_t> rows, const std::string& comment) {
  std::string text;
  if (!comment.empty()) {
    text = "# ";
    for (const char c : comment) text += c == '\n' || c == '\r' ? ' ' : c;
    text += '\n';
  }
  for (const std::size_t row : rows) text += std::to_string(row) + "\n";
  return text;
}

std::vector<DroppedRows> dropped_rows(const SourceFiles& files,
                                      const Source& train,
                                      std::span<const std::int64_t> examples) {
  std::map<std::string, RowList> rows;  // by the source's name
  for (const std::int64_t example : examples) {
    DETENTE_CHECK(example >= 0 && static_cast<std::size_t>(example) < train.size(),
                  ErrorCode::kInvalidArgument,
                  "[data::dropped_rows] there is no training example {}; expected 0 to {}. The "
                  "values are of other data than the recipe's.",
                  example,
                  static_cast<std::int64_t>(train.size()) - 1);
    const auto at = static_cast<std::size_t>(example);
    const auto origins = train.origins();
    const std::string source = origins.empty() ? "" : train.origin_names()[origins[at]];
    rows[source].push_back(train.place(at).row);
  }
  std::vector<DroppedRows> out;
  const auto add = [&](const std::string& name, const SourceFiles& of) {
    const auto found = rows.find(name);
    if (found == rows.end()) return;
    sort_unique(found->second);
    DroppedRows dropped{name, of.train, found->second, found->second.size()};
    if (!of.drop.empty()) {
      const RowList before = read_dropped_rows(of.drop);
      dropped.rows.insert(dropped.rows.end(), before.begin(), before.end());
      sort_unique(dropped.rows);
    }
    out.push_back(std::move(dropped));
  };
  if (files.sources.empty()) add("", files);
  for (const NamedFiles& source : files.sources) add(source.name, source.files);
  return out;
}

std::vector<fs::path> write_dropped_rows(std::span<const DroppedRows> dropped,
                                         const fs::path& folder,
                                         bool replace,
                                         SourceFiles& files) {
  std::vector<fs::path> paths;
  for (const DroppedRows& one : dropped) {
    paths.push_back(
        folder / (one.source.empty() ? "drop.txt" : fmt::format("drop_{}.txt", paths.size() + 1)));
    demand_new(paths.back(), replace);
    for (const std::string& name : files.all_files()) {
      DETENTE_CHECK(!same_file(paths.back(), name),
                    ErrorCode::kInvalidArgument,
                    "[data::dropped_rows] '{}' is a file that the recipe reads; expected another "
                    "folder for what is written.",
                    paths.back().string());
    }
  }
  make_directories(folder);
  for (std::size_t i = 0; i < dropped.size(); ++i) {
    const DroppedRows& one = dropped[i];
    const std::string comment =
        fmt::format("rows of {} that are left out, from 0", fs::path(one.file).filename().string());
    write_file_atomic(paths[i], dropped_rows_text(one.rows, comment));
    const std::string path = absolute_path(paths[i].string(), fs::current_path());
    if (one.source.empty()) files.drop = path;
    for (NamedFiles& source : files.sources) {
      if (source.name == one.source) source.files.drop = path;
    }
  }
  return paths;
}

std::string without_rows(std::string_view content,
                         std::span<const std::size_t> rows,
                         const std::string& source,
                         TableFormat format) {
  format = format_by_name(source, format);
  // Whatever is wrong with it is said before anything is left out.
  const std::size_t count = Table::parse(std::string(content), source, format).rows();
  DETENTE_CHECK(rows.empty() || rows.back() < count,
                ErrorCode::kInvalidArgument,
                "[data::without_rows] row {} of '{}' is to be left out (the first is 0), which has "
                "{}.",
                rows.empty() ? 0 : rows.back(),
                source,
                count);
  DETENTE_CHECK(rows.size() < count,
                ErrorCode::kInvalidArgument,
                "[data::without_rows] all {} rows of '{}' would be left out; expected that one "
                "stays.",
                count,
                source);
  const char line_end = content.find('\n') == std::string_view::npos ? '\r' : '\n';
  std::string out;
  out.reserve(content.size());
  std::size_t at = 0;
  if (format != TableFormat::kJsonLines) {
    // A mark before the header is not its first letter, which may be a quote.
    const std::size_t mark = content.starts_with("\xef\xbb\xbf") ? 3 : 0;
    at = record_end(content, mark, format, line_end);
    out += content.substr(0, at);
  } else if (content.starts_with("\xef\xbb\xbf")) {
    at = 3;
    out += content.substr(0, at);
  }
  auto next = rows.begin();
  for (std::size_t row = 0; row < count; ++row) {
    const std::size_t end = record_end(content, at, format, line_end);
    if (next != rows.end() && *next == row) {
      ++next;
    } else {
      out += content.substr(at, end - at);
    }
    at = end;
  }
  out += content.substr(at);
  DETENTE_DCHECK(next == rows.end() &&
                 Table::parse(out, source, format).rows() == count - rows.size());
  return out;
}

void copy_without_rows(const fs::path& from,
                       const fs::path& to,
                       std::span<const std::size_t> rows,
                       TableFormat format,
                       bool replace) {
  DETENTE_CHECK(!same_file(from, to),
                ErrorCode::kInvalidArgument,
                "[data::copy_without_rows] '{}' is the file itself; expected another one to write.",
                to.string());
  DETENTE_CHECK(lower_ascii(to.extension().string()) != ".gz",
                ErrorCode::kInvalidArgument,
                "[data::copy_without_rows] '{}' ends in .gz, but plain text is written; expected a "
                "name without it.",
                to.string());
  demand_new(to, replace);
  write_file_atomic(to, without_rows(read_file(from), rows, from.string(), format));
}

std::string copy_name(const fs::path& from) {
  const fs::path name = from.filename();
  return lower_ascii(name.extension().string()) == ".gz" ? name.stem().string() : name.string();
}

}  // namespace detente::data

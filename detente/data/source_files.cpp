// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/data/dropped_rows.h>
#include <detente/data/source_files.h>
#include <detente/text/printable.h>
#include <detente/text/unicode.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <utility>

namespace detente::data {

void SourceFiles::describe(FieldVisitor& visitor) {
  visitor.file("train",
               train,
               "Training file (TSV or CSV with a header line, or JSON lines, gzip or not; for "
               "images also idx, "
               "CIFAR-10 or a folder, for graphs a text of its own), relative to the recipe.");
  visitor.file("dev", dev, "Validation file with the same columns; or use split.");
  visitor.choice(
      "format",
      format,
      {{"auto", TableFormat::kAuto},
       {"tsv", TableFormat::kTsv},
       {"csv", TableFormat::kCsv},
       {"jsonl", TableFormat::kJsonLines}},
      "auto: by the file name's ending. tsv has no quoting; csv follows RFC 4180; jsonl has a JSON "
      "object a line.");
  visitor.integer(
      "max_rows", max_rows, {.min = 0, .max = 1e9}, "Use only the first n training rows; 0: all.");
  visitor.file("drop",
               drop,
               "Training rows to leave out: a text file with a row number a line, from 0, of the "
               "training file before the split (`detente value clean` writes one).");
}

void SourceFiles::describe_split(FieldVisitor& visitor) {
  visitor.section("split", "Hold rows of the training file out.", [&](FieldVisitor& section) {
    split.describe(section);
  });
}

void SourceFiles::describe_sources(FieldVisitor& visitor) {
  visitor.sections(
      "sources",
      sources.size(),
      [this](std::size_t n) { sources.resize(n); },
      [this](std::size_t i, FieldVisitor& section) { sources[i].describe(section); },
      "Files with tasks of their own, in place of train, dev, split and max_rows: a list of {name, "
      "train, dev, ...}; tasks say which one they are from (tasks[].source).");
}

void NamedFiles::describe(FieldVisitor& visitor) {
  visitor.text("name", name, "What tasks and messages call the source.");
  visitor.integer(
      "batch",
      batch,
      {.min = 0, .max = 1e9},
      "So many of its rows are in every step, beside train.batch_size rows of the sources "
      "without; 0: as data.sampler says.");
  files.describe(visitor);
  files.describe_split(visitor);
}

void SourceFiles::validate_sources(const std::string& where) const {
  for (const auto& [given, key] : {std::pair(!train.empty(), "train"),
                                   std::pair(!dev.empty(), "dev"),
                                   std::pair(split.any(), "split"),
                                   std::pair(max_rows > 0, "max_rows"),
                                   std::pair(!drop.empty(), "drop")}) {
    DETENTE_CHECK(!given,
                  ErrorCode::kInvalidArgument,
                  "{}: 'data.{}' and 'data.sources' are both there; expected '{}' in each source.",
                  where,
                  key,
                  key);
  }
  std::set<std::string> names;
  for (const NamedFiles& source : sources) {
    DETENTE_CHECK(!source.name.empty() && text::printable(source.name) == source.name,
                  ErrorCode::kInvalidArgument,
                  "{}: a source in 'data.sources' has {}; expected {{name, train, dev}}.",
                  where,
                  source.name.empty() ? "no 'name'" : "a control character in its 'name'");
    DETENTE_CHECK(names.insert(source.name).second,
                  ErrorCode::kInvalidArgument,
                  "{}: two of 'data.sources' are named '{}'.",
                  where,
                  source.name);
    source.files.validate(where + ": source '" + source.name + "'");
  }
}

void SourceFiles::validate(const std::string& where) const {
  if (!sources.empty()) {
    validate_sources(where);
    return;
  }
  DETENTE_CHECK(!train.empty(),
                ErrorCode::kInvalidArgument,
                "{}: 'data.train' is missing; name the training file.",
                where);
  split.validate(where);
  DETENTE_CHECK(!dev.empty() || split.has(Part::kDev) || has_own_parts(),
                ErrorCode::kInvalidArgument,
                "{}: 'data.dev' is missing; name the validation file, or hold rows of the training "
                "file out (data.split.dev: 0.1).",
                where);
  DETENTE_CHECK(dev.empty() || !split.has(Part::kDev),
                ErrorCode::kInvalidArgument,
                "{}: both 'data.dev' and 'data.split.{}' are given; expected one of them.",
                where,
                split.folds > 0        ? "folds"
                : split.column.empty() ? "dev"
                                       : "column");
}

bool SourceFiles::has(Part part) const {
  if (!sources.empty()) {
    return std::any_of(sources.begin(), sources.end(), [&](const NamedFiles& source) {
      return source.files.has(part);
    });
  }
  if (part == Part::kTrain) return !train.empty();
  return (part == Part::kDev && !dev.empty()) || split.has(part) || has_own_parts();
}

bool SourceFiles::has_rows(Part part) const {
  if (!sources.empty()) {
    return std::any_of(sources.begin(), sources.end(), [&](const NamedFiles& source) {
      return source.files.has_rows(part);
    });
  }
  if (!has(part)) return false;
  if (split.column.empty() || (part == Part::kDev && !dev.empty())) return true;
  return split.names(part, Table::read(file(part), format));
}

std::string SourceFiles::file(Part part) const {
  if (!sources.empty()) {
    std::string names;
    for (const NamedFiles& source : sources) {
      if (!source.files.has(part)) continue;
      names += (names.empty() ? "" : ", ") + source.files.file(part);
    }
    return names;
  }
  if (part == Part::kDev && !dev.empty()) return dev;
  if (has_own_parts()) return train;
  DETENTE_CHECK(part == Part::kTrain || has(part),
                ErrorCode::kInvalidArgument,
                "[data::SourceFiles] the recipe has no {} rows; expected data.split.{} above 0.",
                name_of(part),
                name_of(part));
  return train;
}

std::vector<std::string> SourceFiles::all_files() const {
  std::vector<std::string> names;
  for (const std::string& name : {train, dev, drop}) {
    if (!name.empty() && name != kStandardInput) names.push_back(name);
  }
  for (const NamedFiles& source : sources) {
    for (std::string& name : source.files.all_files()) names.push_back(std::move(name));
  }
  return names;
}

void SourceFiles::resolve_paths(const std::filesystem::path& folder) {
  for (std::string* path : {&train, &dev, &drop}) {
    if (!path->empty()) *path = absolute_path(*path, folder);
  }
  for (NamedFiles& source : sources) source.files.resolve_paths(folder);
}

namespace {

Table read_rows_of(const std::string& file, TableFormat format) {
  if (file != kStandardInput) return Table::read(file, format);
  format = format_to_read(file, format);
  return Table::parse(read_standard_input(), "standard input", format);
}

RowList all_rows(std::size_t count) {
  RowList rows(count);
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  return rows;
}

}  // namespace

TableFormat format_to_read(const std::string& file, TableFormat named) {
  if (named != TableFormat::kAuto) return named;
  DETENTE_CHECK(file != kStandardInput,
                ErrorCode::kInvalidArgument,
                "[data::SourceFiles] standard input has no ending that would name its format; "
                "expected --format tsv or --format csv (or jsonl) beside --data -.");
  return Table::format_of(file);
}

Table SourceFiles::read_whole_table(Part part) const {
  return given != nullptr ? *given : read_rows_of(file(part), format);
}

Table SourceFiles::read_table(Part part) const {
  if (!sources.empty()) {
    std::vector<NamedTable> tables;
    for (const NamedFiles& source : sources) {
      const std::string& name = source.name;
      const SourceFiles& files = source.files;
      // A split by column: the file may have rows for other parts alone.
      const bool has = of_source(name, [&] { return files.has_rows(part); });
      if (!has && (part == Part::kTest || !files.has(part))) continue;
      tables.push_back({name, of_source(name, [&] { return files.read_table(part); })});
    }
    DETENTE_CHECK(
        !tables.empty(),
        ErrorCode::kInvalidArgument,
        "[data::SourceFiles] no source of the recipe has {} rows; expected split.{} above 0 "
        "in one of 'data.sources'.",
        name_of(part),
        name_of(part));
    return Table::joined(tables);
  }
  Table table = read_whole_table(part);
  const RowList rows = chosen_rows(part, table);
  return rows.size() == table.rows() ? table : table.select(rows);
}

bool SourceFiles::is_split(Part part) const {
  return split.any() && (part != Part::kDev || dev.empty());
}

RowList SourceFiles::limited(Part part, RowList rows, std::size_t count) const {
  if (part != Part::kTrain) return rows;
  const auto limit = static_cast<std::size_t>(max_rows);
  if (limit > 0 && limit < rows.size()) rows.resize(limit);
  if (drop.empty()) return rows;
  const RowList dropped = read_dropped_rows(drop, count);
  std::erase_if(rows, [&](std::size_t row) {
    return std::binary_search(dropped.begin(), dropped.end(), row);
  });
  DETENTE_CHECK(!rows.empty(),
                ErrorCode::kData,
                "[data::SourceFiles] '{}' (data.drop) leaves no training row of '{}'; expected at "
                "least one.",
                drop,
                train);
  return rows;
}

RowList SourceFiles::picked_rows(std::size_t count) const {
  DETENTE_CHECK(!expected_rows || *expected_rows == count,
                ErrorCode::kData,
                "[data::SourceFiles] '{}' has {} rows, and the list beside it {}; expected one for "
                "each. Name a column that says which belong together (key or row).",
                dev,
                count,
                expected_rows.value_or(0));
  for (const std::size_t row : *picked) {
    DETENTE_CHECK(row < count,
                  ErrorCode::kData,
                  "[data::SourceFiles] row {} of '{}' is asked for (the first is 0), which has {}.",
                  row,
                  dev,
                  count);
  }
  return *picked;
}

RowList SourceFiles::chosen_rows(Part part, const Table& table) const {
  if (picked) return picked_rows(table.rows());
  if (!sources.empty()) return all_rows(table.rows());
  if (is_split(part)) return limited(part, split.rows(part, table), table.rows());
  return limited(part, all_rows(table.rows()), table.rows());
}

RowList SourceFiles::chosen_rows(Part part, std::size_t count) const {
  if (picked) return picked_rows(count);
  if (!is_split(part)) return limited(part, all_rows(count), count);
  DETENTE_CHECK(
      split.group.empty() && split.time.empty() && split.column.empty(),
      ErrorCode::kInvalidArgument,
      "[data::SourceFiles] data.split goes by a column, and these examples are no rows of "
      "a table; expected shares or folds.");
  return limited(part, split.rows(part, count), count);
}

std::string absolute_path(const std::string& path, const std::filesystem::path& folder) {
  std::error_code error;
  const std::filesystem::path whole = std::filesystem::weakly_canonical(folder / path, error);
  DETENTE_CHECK(!error,
                ErrorCode::kIo,
                "[data::absolute_path] the system refuses '{}': {}.",
                path,
                error.message());
  // Recipes and logs are text, and have to hold it.
  DETENTE_CHECK(
      text::find_invalid_utf8(whole.string()) == std::string::npos,
      ErrorCode::kInvalidArgument,
      "[data::absolute_path] the path '{}' is not valid UTF-8; rename the file or folder.",
      whole.string());
  return whole.string();
}

SourceFiles one_file(const std::string& path, TableFormat format, const std::string& source) {
  SourceFiles files;
  files.dev = path;
  files.format = format;
  if (source.empty()) return files;
  SourceFiles named;
  named.format = format;
  named.sources.push_back({source, files});
  return named;
}

}  // namespace detente::data

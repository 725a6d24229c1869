// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/data/source_files.h>
#include <detente/text/unicode.h>

#include <numeric>

namespace detente::data {

void SourceFiles::describe(FieldVisitor& visitor) {
  visitor.file("train",
               train,
               "Training file (TSV or CSV with a header line, gzip or not; for images also idx, "
               "CIFAR-10 or a folder, for graphs a text of its own), relative to the recipe.");
  visitor.file("dev", dev, "Validation file with the same columns; or use split.");
  visitor.choice(
      "format",
      format,
      {{"auto", TableFormat::kAuto}, {"tsv", TableFormat::kTsv}, {"csv", TableFormat::kCsv}},
      "auto: by the file name's ending. tsv has no quoting; csv follows RFC 4180.");
  visitor.integer(
      "max_rows", max_rows, {.min = 0, .max = 1e9}, "Use only the first n training rows; 0: all.");
}

void SourceFiles::describe_split(FieldVisitor& visitor) {
  visitor.section("split", "Hold rows of the training file out.", [&](FieldVisitor& section) {
    split.describe(section);
  });
}

void SourceFiles::validate(const std::string& where) const {
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
  if (part == Part::kTrain) return !train.empty();
  return (part == Part::kDev && !dev.empty()) || split.has(part) || has_own_parts();
}

bool SourceFiles::has_rows(Part part) const {
  if (!has(part)) return false;
  if (split.column.empty() || (part == Part::kDev && !dev.empty())) return true;
  return split.names(part, Table::read(file(part), format));
}

std::string SourceFiles::file(Part part) const {
  if (part == Part::kDev && !dev.empty()) return dev;
  if (has_own_parts()) return train;
  DETENTE_CHECK(part == Part::kTrain || has(part),
                ErrorCode::kInvalidArgument,
                "[data::SourceFiles] the recipe has no {} rows; expected data.split.{} above 0.",
                name_of(part),
                name_of(part));
  return train;
}

namespace {

Table read_rows_of(const std::string& file, TableFormat format) {
  if (file != kStandardInput) return Table::read(file, format);
  DETENTE_CHECK(format != TableFormat::kAuto,
                ErrorCode::kInvalidArgument,
                "[data::SourceFiles] standard input has no ending that would name its format; "
                "expected --format tsv or --format csv beside --data -.");
  return Table::parse(read_standard_input(), "standard input", format);
}

RowList all_rows(std::size_t count) {
  RowList rows(count);
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  return rows;
}

}  // namespace

Table SourceFiles::read_whole_table(Part part) const {
  return given != nullptr ? *given : read_rows_of(file(part), format);
}

Table SourceFiles::read_table(Part part) const {
  Table table = read_whole_table(part);
  const RowList rows = chosen_rows(part, table);
  return rows.size() == table.rows() ? table : table.select(rows);
}

bool SourceFiles::is_split(Part part) const {
  return split.any() && (part != Part::kDev || dev.empty());
}

RowList SourceFiles::limited(Part part, RowList rows) const {
  const auto limit = static_cast<std::size_t>(max_rows);
  if (part == Part::kTrain && limit > 0 && limit < rows.size()) rows.resize(limit);
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
  if (is_split(part)) return limited(part, split.rows(part, table));
  return limited(part, all_rows(table.rows()));
}

RowList SourceFiles::chosen_rows(Part part, std::size_t count) const {
  if (picked) return picked_rows(count);
  if (!is_split(part)) return limited(part, all_rows(count));
  DETENTE_CHECK(
      split.group.empty() && split.time.empty() && split.column.empty(),
      ErrorCode::kInvalidArgument,
      "[data::SourceFiles] data.split goes by a column, and these examples are no rows of "
      "a table; expected shares or folds.");
  return limited(part, split.rows(part, count));
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

SourceFiles one_file(const std::string& path, TableFormat format) {
  SourceFiles files;
  files.dev = path;
  files.format = format;
  return files;
}

}  // namespace detente::data

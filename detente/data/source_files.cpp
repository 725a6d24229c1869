// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/rng.h>
#include <detente/data/source_files.h>
#include <detente/text/unicode.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace detente::data {

const char* name_of(Part part) {
  switch (part) {
    case Part::kTrain:
      return "train";
    case Part::kDev:
      return "dev";
    case Part::kTest:
      return "test";
  }
  return "train";
}

RowList Split::rows(Part part, std::size_t count) const {
  const auto share_of = [&](double share) {
    if (share <= 0) return std::size_t{0};
    const auto rows = static_cast<std::size_t>(std::llround(share * static_cast<double>(count)));
    return std::max<std::size_t>(rows, 1);
  };
  const std::size_t test_rows = share_of(test);
  const std::size_t dev_rows = share_of(dev);
  DETENTE_CHECK(test_rows + dev_rows < count,
                ErrorCode::kData,
                "[data::Split] dev {} and test {} of {} rows leave none for training; expected at "
                "least one. Give more rows or smaller shares.",
                number_text(dev),
                number_text(test),
                count);
  RowList order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  Rng rng = Rng(static_cast<std::uint64_t>(seed)).fork(0x73706c6974);
  rng.shuffle(order);
  std::size_t begin = 0;
  std::size_t end = test_rows;
  if (part == Part::kDev) {
    begin = test_rows;
    end = test_rows + dev_rows;
  } else if (part == Part::kTrain) {
    begin = test_rows + dev_rows;
    end = count;
  }
  RowList rows(order.begin() + static_cast<std::ptrdiff_t>(begin),
               order.begin() + static_cast<std::ptrdiff_t>(end));
  std::sort(rows.begin(), rows.end());
  return rows;
}

void SourceFiles::describe(FieldVisitor& visitor) {
  visitor.file("train",
               train,
               "Training file (TSV or CSV with a header line, gzip or not; for graphs a text of "
               "its own), relative to the recipe.");
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
  constexpr NumberRule kShare{.min = 0, .max = 1, .max_open = true};
  visitor.section("split", "Hold rows of the training file out.", [&](FieldVisitor& section) {
    section.number("dev", split.dev, kShare, "Share of rows for validation, in place of data.dev.");
    section.number(
        "test", split.test, kShare, "Share of rows nobody sees before `detente eval --part test`.");
    section.integer("seed", split.seed, {.min = 0, .max = 9e15}, "Decides which rows.");
  });
}

void SourceFiles::validate(const std::string& where) const {
  DETENTE_CHECK(!train.empty(),
                ErrorCode::kInvalidArgument,
                "{}: 'data.train' is missing; name the training file.",
                where);
  DETENTE_CHECK(!dev.empty() || split.dev > 0 || has_own_parts(),
                ErrorCode::kInvalidArgument,
                "{}: 'data.dev' is missing; name the validation file, or hold rows of the training "
                "file out (data.split.dev: 0.1).",
                where);
  DETENTE_CHECK(dev.empty() || split.dev == 0,
                ErrorCode::kInvalidArgument,
                "{}: both 'data.dev' and 'data.split.dev' are given; expected one of them.",
                where);
  DETENTE_CHECK(split.dev + split.test < 1,
                ErrorCode::kInvalidArgument,
                "{}: 'data.split' holds out {} and {} of the rows; expected less than 1 together.",
                where,
                number_text(split.dev),
                number_text(split.test));
}

std::string SourceFiles::file(Part part) const {
  if (part == Part::kDev && !dev.empty()) return dev;
  if (has_own_parts()) return train;
  const double share = part == Part::kDev ? split.dev : split.test;
  DETENTE_CHECK(part == Part::kTrain || share > 0,
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

}  // namespace

Table SourceFiles::read_table(Part part) const {
  Table table = read_rows_of(file(part), format);
  const RowList rows = chosen_rows(part, table.rows());
  return rows.size() == table.rows() ? table : table.select(rows);
}

RowList SourceFiles::chosen_rows(Part part, std::size_t count) const {
  RowList rows;
  if (split.any() && (part != Part::kDev || dev.empty())) {
    rows = split.rows(part, count);
  } else {
    rows.resize(count);
    std::iota(rows.begin(), rows.end(), std::size_t{0});
  }
  const auto limit = static_cast<std::size_t>(max_rows);
  if (part == Part::kTrain && limit > 0 && limit < rows.size()) rows.resize(limit);
  return rows;
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

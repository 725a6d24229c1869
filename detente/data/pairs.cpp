// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/fields.h>
#include <detente/core/suggest.h>
#include <detente/data/encoding_cache.h>
#include <detente/data/pairs.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace detente::data {
namespace {

std::size_t rows_taken(const Table& table, const PairOptions& options) {
  return options.max_rows == 0 ? table.rows() : std::min(options.max_rows, table.rows());
}

std::vector<std::string_view> first_texts(const Table& table,
                                          const std::string& column,
                                          std::size_t rows) {
  auto texts = table.text_column(column);
  texts.resize(rows);
  return texts;
}

std::vector<double> class_ids(const Table& table, const TargetColumn& target) {
  if (target.class_names.empty()) return table.numeric_column(target.column);
  const auto& names = target.class_names;
  const auto cells = table.text_column(target.column);
  std::vector<double> ids(cells.size(), std::numeric_limits<double>::quiet_NaN());
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (cells[i].empty()) continue;
    const auto found = std::find(names.begin(), names.end(), cells[i]);
    DETENTE_CHECK(found != names.end(),
                  ErrorCode::kData,
                  "[data::load_pairs] line {} of '{}', column '{}': '{}' is no class of task '{}'; "
                  "expected one of: {}.{}",
                  table.line(i),
                  table.source(),
                  target.column,
                  cells[i],
                  target.task,
                  join_names(names),
                  did_you_mean(cells[i], names));
    ids[i] = static_cast<double>(found - names.begin());
  }
  return ids;
}

void check_value(double value, const TargetColumn& target, const Table& table, std::size_t row) {
  if (target.kind == TaskKind::kRegression || std::isnan(value)) return;
  const auto refuse = [&](const std::string& expected) {
    fail(ErrorCode::kData,
         "[data::load_pairs] line {} of '{}', column '{}': {} cannot be a target of the {} task "
         "'{}'; expected {}.",
         table.line(row),
         table.source(),
         target.column,
         number_text(value),
         name_of(target.kind),
         target.task,
         expected);
  };
  if (target.kind == TaskKind::kBinary) {
    if (value != 0.0 && value != 1.0) refuse("0 or 1 (or a threshold that makes it so)");
    return;
  }
  const bool whole = value >= 0.0 && value == std::floor(value);
  if (!whole) refuse("a whole number >= 0");
  if (target.classes > 0 && value >= static_cast<double>(target.classes)) {
    refuse(fmt::format("a class id below {}", target.classes));
  }
}

Target load_target(const Table& table,
                   const TargetColumn& column,
                   std::size_t rows,
                   std::vector<std::string>& warnings) {
  DETENTE_CHECK(!column.threshold || column.kind == TaskKind::kBinary,
                ErrorCode::kInvalidArgument,
                "[data::load_pairs] task '{}' is a {} task with a threshold; expected a threshold "
                "only for binary tasks.",
                column.task,
                name_of(column.kind));
  Target target{column.task, column.kind, {}, 0};
  target.values = column.kind == TaskKind::kClasses ? class_ids(table, column)
                                                    : table.numeric_column(column.column);
  target.values.resize(rows);
  double first = std::numeric_limits<double>::quiet_NaN();
  bool constant = true;
  for (std::size_t i = 0; i < rows; ++i) {
    double& value = target.values[i];
    if (std::isnan(value)) {
      ++target.missing;
      continue;
    }
    if (column.threshold) value = value >= *column.threshold ? 1.0 : 0.0;
    check_value(value, column, table, i);
    if (std::isnan(first)) first = value;
    constant = constant && value == first;
  }
  DETENTE_CHECK(target.missing < rows,
                ErrorCode::kData,
                "[data::load_pairs] task '{}' has no target: column '{}' of '{}' is missing in all "
                "{} rows; expected at least one number.",
                column.task,
                column.column,
                table.source(),
                rows);
  if (constant) {
    warnings.push_back(
        fmt::format("Task '{}': every target in column '{}' of '{}' is {}; there is "
                    "nothing to learn and correlations are undefined.",
                    column.task,
                    column.column,
                    table.source(),
                    number_text(first)));
  }
  return target;
}

// Through the cache when there is one. A cache that cannot be written is worth a warning only.
EncodedTexts encode_cached(std::span<const std::string_view> texts,
                           const PairOptions& options,
                           const text::Tokenizer& tokenizer,
                           PairData& data) {
  if (options.cache.empty()) return encode_texts(texts, tokenizer, options.max_length);
  const std::uint64_t key = encoding_key(texts, tokenizer, options.max_length);
  const auto path = encoding_path(options.cache, key);
  if (auto cached = read_encoding(path, key); cached && cached->ids.size() == texts.size()) {
    data.from_cache = true;
    return std::move(*cached);
  }
  EncodedTexts encoded = encode_texts(texts, tokenizer, options.max_length);
  try {
    write_encoding(path, key, encoded);
  } catch (const Error& error) {
    data.warnings.push_back(std::string("The encoded texts were not cached: ") + error.what());
  }
  return encoded;
}

void fill_features(const text::IdfTable* idf, PairData& data) {
  data.feature_names = text::lexical_feature_names();
  const std::size_t lexical = data.feature_names.size();
  if (idf != nullptr) {
    data.feature_names.push_back("idf_overlap");
    data.feature_names.push_back("tfidf_cosine");
  }
  data.features = Matrix(data.size(), data.feature_names.size());
  for (std::size_t i = 0; i < data.size(); ++i) {
    const auto values = text::lexical_features(data.text_a[i], data.text_b[i]);
    std::copy(values.begin(), values.end(), &data.features(i, 0));
    if (idf != nullptr) {
      data.features(i, lexical) = idf->overlap(data.ids_a[i], data.ids_b[i]);
      data.features(i, lexical + 1) = idf->cosine(data.ids_a[i], data.ids_b[i]);
    }
  }
}

}  // namespace

const Target& PairData::target(std::string_view task) const {
  std::vector<std::string> names;
  for (const auto& entry : targets) {
    if (entry.task == task) return entry;
    names.push_back(entry.task);
  }
  fail(ErrorCode::kInvalidArgument,
       "[data::PairData] there is no task '{}'; expected one of: {}.{}",
       task,
       join_names(names),
       did_you_mean(task, names));
}

PairData load_pairs(const Table& table,
                    const PairOptions& options,
                    const text::Tokenizer& tokenizer) {
  const bool pairs = !options.text_b.empty();
  DETENTE_CHECK(pairs || !options.lexical,
                ErrorCode::kInvalidArgument,
                "[data::load_pairs] lexical features compare two sentences, but there is one text "
                "column; expected text_b. Name it or switch the features off.");
  DETENTE_CHECK(options.idf == nullptr || options.idf->size() == tokenizer.size(),
                ErrorCode::kShape,
                "[data::load_pairs] the idf table holds {} tokens; expected {} as the tokenizer. "
                "Fit it with this tokenizer.",
                options.idf == nullptr ? 0 : options.idf->size(),
                tokenizer.size());
  DETENTE_CHECK(options.idf == nullptr || options.fit_idf == nullptr,
                ErrorCode::kInvalidArgument,
                "[data::load_pairs] both idf and fit_idf are given; expected one of them. Leave "
                "out idf for training sentences and fit_idf for others.");
  const std::size_t rows = rows_taken(table, options);
  PairData data;
  auto texts = first_texts(table, options.text_a, rows);
  data.text_a.assign(texts.begin(), texts.end());
  if (pairs) {
    const auto second = first_texts(table, options.text_b, rows);
    data.text_b.assign(second.begin(), second.end());
    texts.insert(texts.end(), second.begin(), second.end());
  }
  for (const auto& column : options.targets) {
    data.targets.push_back(load_target(table, column, rows, data.warnings));
  }

  EncodedTexts encoded = encode_cached(texts, options, tokenizer, data);
  if (options.fit_idf != nullptr) {
    *options.fit_idf = text::IdfTable::fit(encoded.ids, tokenizer.size());
  }
  const auto middle = encoded.ids.begin() + static_cast<std::ptrdiff_t>(rows);
  data.ids_a.assign(std::make_move_iterator(encoded.ids.begin()), std::make_move_iterator(middle));
  data.ids_b.assign(std::make_move_iterator(middle), std::make_move_iterator(encoded.ids.end()));
  data.truncated = encoded.truncated;
  for (const auto* side : {&data.ids_a, &data.ids_b}) {
    for (const auto& ids : *side) {
      data.tokens += ids.size();
      data.unknown +=
          static_cast<std::size_t>(std::count(ids.begin(), ids.end(), tokenizer.special().unk));
    }
  }
  std::size_t blank = 0;
  for (const auto text : texts) {
    if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) ++blank;
  }
  if (blank > 0) {
    data.warnings.push_back(
        fmt::format("{} of the {} sentences of '{}' are empty and stand as one unknown token.",
                    blank,
                    texts.size(),
                    table.source()));
  }
  if (options.lexical) {
    fill_features(options.fit_idf != nullptr ? options.fit_idf : options.idf, data);
  }
  return data;
}

std::vector<std::string_view> training_texts(const Table& table, const PairOptions& options) {
  const std::size_t rows = rows_taken(table, options);
  auto texts = first_texts(table, options.text_a, rows);
  if (!options.text_b.empty()) {
    const auto second = first_texts(table, options.text_b, rows);
    texts.insert(texts.end(), second.begin(), second.end());
  }
  return texts;
}

}  // namespace detente::data

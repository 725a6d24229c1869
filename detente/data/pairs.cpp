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

const Target& PairData::target(std::string_view task) const { return find_target(targets, task); }

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
    data.targets.push_back(read_target(table, column, rows, data.warnings));
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

// SPDX-License-Identifier: Apache-2.0
// Sentences or sentence pairs with targets, encoded and ready for batches.
#pragma once

#include <detente/core/matrix.h>
#include <detente/data/table.h>
#include <detente/data/targets.h>
#include <detente/text/lexical.h>
#include <detente/text/tokenizer.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace detente::data {

struct PairOptions {
  std::string text_a = "sentence1";
  std::string text_b;  // empty: single sentences
  std::vector<TargetColumn> targets;
  std::size_t max_length = 64;  // tokens kept per sentence
  std::size_t max_rows = 0;     // the first n rows; 0 = all
  bool lexical = false;         // pairs only: fill `features`
  // With `lexical`: adds idf_overlap and tfidf_cosine. Not owned; must fit the tokenizer.
  const text::IdfTable* idf = nullptr;
  // In place of `idf`, for training sentences: receives their document frequencies, which then
  // serve as `idf`. Not owned.
  text::IdfTable* fit_idf = nullptr;
  // Folder for encoded ids; empty = no cache. It is made when it is missing.
  std::filesystem::path cache;
};

struct PairData {
  std::vector<std::string> text_a, text_b;              // NFC is not applied; as in the file
  std::vector<std::vector<std::int32_t>> ids_a, ids_b;  // never empty: an empty text is [UNK]
  std::vector<Target> targets;                          // in the order of the options
  std::vector<std::string> feature_names;               // columns of `features`
  Matrix features;                                      // rows × features, 0 × 0 without
  std::size_t truncated = 0;                            // sentences cut to max_length
  std::size_t unknown = 0;                              // [UNK] among `tokens`
  std::size_t tokens = 0;
  bool from_cache = false;
  std::vector<std::string> warnings;  // one sentence each, for the user

  std::size_t size() const { return ids_a.size(); }
  bool has_pairs() const { return !ids_b.empty(); }
  const Target& target(std::string_view task) const;  // throws kInvalidArgument
};

// Throws kData: missing column, no target of a task present (naming the task), a binary target that
// is not 0 or 1, a class id that is not a whole number in range or not a known name (with file and
// line). A constant target, unreadable cache and sentences that encode to nothing are warnings.
PairData load_pairs(const Table& table,
                    const PairOptions& options,
                    const text::Tokenizer& tokenizer);

// The texts a tokenizer is trained on: both columns of the rows that load_pairs would take.
std::vector<std::string_view> training_texts(const Table& table, const PairOptions& options);

}  // namespace detente::data

// SPDX-License-Identifier: Apache-2.0
// Three ids per character: the symbol itself, the pair with its left neighbour and the pair with
// its right one. A model that adds the three embeddings reads short character n-grams, which in
// Korean carry stems and endings, without a morphological analyser and without long sequences.
//
// Words are split at blanks and punctuation, with the boundary sign "▁" between them and around
// the sentence; the outer boundaries are neighbours but no tokens. Vocabulary entries: "가" a
// symbol, "<나가" the pair 나가 seen from 가, "가다>" the pair 가다 seen from 가. Rare entries
// share the buckets "#0", "#1", ... by the hash of their text (FNV-1a, 32 bits), so that a rare
// pair still finds itself in the other sentence; without buckets they are [UNK].
#pragma once

#include <detente/text/syllable.h>
#include <detente/text/tokenizer.h>

#include <span>
#include <string_view>

namespace detente::text {

class SyllablePairTokenizer final : public Tokenizer {
 public:
  // The vocabulary must be one of build_syllable_pair_vocabulary with as many buckets.
  SyllablePairTokenizer(Vocabulary vocabulary, const SyllableOptions& options, std::size_t buckets);

  const char* kind() const override { return "syllable_pairs"; }
  std::size_t ids_per_token() const override { return 3; }
  std::vector<std::int32_t> encode(std::string_view text) const override;
  Json settings() const override;

 private:
  std::int32_t id_of(std::string_view entry) const;

  SyllableOptions options_;
  std::size_t buckets_;
  std::int32_t first_bucket_;
};

// Special tokens, the buckets, then entries that occur in at least `min_count` texts, those in most
// texts first (ties by text), at most `max_size` in all.
Vocabulary build_syllable_pair_vocabulary(std::span<const std::string_view> texts,
                                          const SyllableOptions& options,
                                          std::size_t buckets,
                                          std::size_t min_count,
                                          std::size_t max_size);

}  // namespace detente::text

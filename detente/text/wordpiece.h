// SPDX-License-Identifier: Apache-2.0
// WordPiece with BERT's rules: NFC, controls removed, words split at blanks, at every punctuation
// sign and around every CJK ideograph (never inside Hangul); then the longest vocabulary entry from
// the left, continuations written with "##". A word of more than 100 characters, or one with a
// rest that no entry fits, is one [UNK].
//
// Difference from BERT's code: with strip_accents Hangul syllables stay whole (theirs fall apart
// into jamo, which no Korean vocabulary holds).
#pragma once

#include <detente/text/tokenizer.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace detente::text {

struct WordpieceOptions {
  bool lower_case = false;
  bool strip_accents = false;
};

class WordpieceTokenizer final : public Tokenizer {
 public:
  WordpieceTokenizer(Vocabulary vocabulary, const WordpieceOptions& options)
      : Tokenizer(std::move(vocabulary)), options_(options) {}

  const char* kind() const override { return "wordpiece"; }
  std::vector<std::int32_t> encode(std::string_view text) const override;
  Json settings() const override;

 private:
  WordpieceOptions options_;
};

// The words before they are cut into pieces.
std::vector<std::string> basic_tokenize(std::string_view text, const WordpieceOptions& options);

// A vocabulary learned from the texts: all characters that occur at least `min_count` times (as
// word starts and as continuations), then pieces made by joining the most frequent neighbouring
// pair again and again (ties: the pair that comes first as text) until `max_size` entries, special
// tokens included, or until no pair occurs `min_count` times.
Vocabulary train_wordpiece_vocabulary(std::span<const std::string_view> texts,
                                      const WordpieceOptions& options,
                                      std::size_t min_count,
                                      std::size_t max_size);

}  // namespace detente::text

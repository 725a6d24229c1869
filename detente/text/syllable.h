// SPDX-License-Identifier: Apache-2.0
// One symbol per code point after NFC: a Hangul syllable, a letter, a digit, a sign. The plain
// baseline for Korean, whose 11,172 syllables are far fewer than its words.
#pragma once

#include <detente/text/tokenizer.h>

#include <span>
#include <string_view>
#include <vector>

namespace detente::text {

struct SyllableOptions {
  bool lower_case = false;
  bool strip_accents = false;
  // A run of blanks between characters is one boundary symbol "▁"; otherwise blanks are dropped.
  bool keep_spaces = true;
};

inline constexpr char32_t kBoundary = U'\u2581';  // "▁", SentencePiece's sign for a blank

// The symbols of a text: NFC code points without controls, blanks folded into kBoundary between
// characters or dropped.
std::vector<char32_t> syllable_symbols(std::string_view text, const SyllableOptions& options);

class SyllableTokenizer final : public Tokenizer {
 public:
  SyllableTokenizer(Vocabulary vocabulary, const SyllableOptions& options)
      : Tokenizer(std::move(vocabulary)), options_(options) {}

  const char* kind() const override { return "syllable"; }
  std::vector<std::int32_t> encode(std::string_view text) const override;
  Json settings() const override;

 private:
  SyllableOptions options_;
};

// Symbols that occur at least `min_count` times, most frequent first (ties by code point), at most
// `max_size` entries with the special tokens.
Vocabulary build_syllable_vocabulary(std::span<const std::string_view> texts,
                                     const SyllableOptions& options,
                                     std::size_t min_count,
                                     std::size_t max_size);

}  // namespace detente::text

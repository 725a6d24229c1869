// SPDX-License-Identifier: Apache-2.0
// Vocabularies and sentences: flags, then the vocabulary's lines and two sentences between bytes 1.
#include <detente/text/lexical.h>
#include <detente/text/syllable.h>
#include <detente/text/syllable_pairs.h>
#include <detente/text/tokenizer.h>
#include <detente/text/unicode.h>
#include <detente/text/wordpiece.h>

#include <cmath>
#include <memory>

#include "fuzz.h"

using namespace detente;

namespace {

void check_ids(const text::Tokenizer& tokenizer, std::string_view sentence) {
  const auto ids = tokenizer.encode(sentence);
  fuzz::expect(ids.size() % tokenizer.ids_per_token() == 0, "whole positions");
  for (const std::int32_t id : ids) {
    fuzz::expect(id >= 0 && static_cast<std::size_t>(id) < tokenizer.size(), "ids are known");
  }
}

void check_features(std::string_view a, std::string_view b) {
  const auto there = text::lexical_features(a, b);
  const auto back = text::lexical_features(b, a);
  for (std::size_t i = 0; i < there.size(); ++i) {
    fuzz::expect(there[i] >= 0 && there[i] <= 1, "features lie in [0, 1]");
    fuzz::expect(std::abs(there[i] - back[i]) < 1e-12, "features are symmetric");
  }
}

}  // namespace

FUZZ(data, size) {
  if (size == 0) return;
  const std::uint8_t flags = data[0];
  std::string_view rest = fuzz::text_of(data + 1, size - 1);
  const std::string lines =
      "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n" + std::string(fuzz::take_until(rest, '\x01'));
  const std::string_view a = fuzz::take_until(rest, '\x01');
  const std::string_view b = rest;
  if (text::find_invalid_utf8(a) != std::string::npos) return;
  if (text::find_invalid_utf8(b) != std::string::npos) return;
  fuzz::survive([&] {
    const auto vocabulary = text::Vocabulary::read(fuzz::file_with("vocab.txt", lines));
    check_ids(text::WordpieceTokenizer(vocabulary, {(flags & 1) != 0, (flags & 2) != 0}), a);
    check_ids(text::SyllableTokenizer(vocabulary, {(flags & 1) != 0, (flags & 2) != 0}), b);
  });
  check_features(a, b);
  const std::string_view texts[] = {a, b};
  // Training a vocabulary takes milliseconds here: one kind for each input, and for a fourth of them.
  if (size % 4 != 0) return;
  static constexpr text::TokenizerOptions::Kind kKinds[] = {
      text::TokenizerOptions::Kind::kSyllable,
      text::TokenizerOptions::Kind::kSyllablePairs,
      text::TokenizerOptions::Kind::kWordpiece};
  fuzz::survive([&] {
    text::TokenizerOptions options;
    options.kind = kKinds[(flags >> 4) % 3];
    options.min_count = 1 + (flags >> 6);
    options.lower_case = (flags & 4) != 0;
    options.strip_accents = (flags & 8) != 0;
    const auto made = text::make_tokenizer(options, texts);
    check_ids(*made, a);
    check_ids(*made, b);
    const auto again =
        text::Vocabulary::read(fuzz::file_with("made.txt", made->vocabulary().to_text()));
    fuzz::expect(again.tokens() == made->vocabulary().tokens(), "vocabularies read back");
  });
}

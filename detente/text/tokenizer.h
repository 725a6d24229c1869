// SPDX-License-Identifier: Apache-2.0
// Text to token ids. A tokenizer never changes after it is made, so it may be shared by threads.
#pragma once

#include <detente/core/fields.h>
#include <detente/core/json.h>
#include <detente/text/vocabulary.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace detente::text {

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // The word that names it in recipes and files.
  virtual const char* kind() const = 0;
  // The ids of the text alone: no [CLS], no [SEP], no padding, no truncation. Special tokens cannot
  // be written in the text: "[SEP]" is read as five ordinary characters. `text` must be valid
  // UTF-8.
  virtual std::vector<std::int32_t> encode(std::string_view text) const = 0;
  // Ids that make up one position of a sequence; encode() gives them position by position.
  virtual std::size_t ids_per_token() const { return 1; }
  // What besides the vocabulary decides the ids; load_tokenizer reads it back.
  virtual Json settings() const = 0;

  const Vocabulary& vocabulary() const { return vocabulary_; }
  std::size_t size() const { return vocabulary_.size(); }
  const SpecialIds& special() const { return vocabulary_.special(); }

  // Writes vocab.txt and tokenizer_config.json into `folder`, which must exist; throws kIo. A
  // WordPiece folder also opens with Hugging Face's AutoTokenizer.
  void save(const std::filesystem::path& folder) const;
  // A hash of kind, settings and vocabulary: equal prints, equal ids.
  std::uint64_t fingerprint() const;

 protected:
  explicit Tokenizer(Vocabulary vocabulary) : vocabulary_(std::move(vocabulary)) {}

 private:
  Vocabulary vocabulary_;
};

// Reads what save() wrote; throws kIo or kData.
std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& folder);

struct TokenizerOptions {
  enum class Kind { kSyllable, kSyllablePairs, kWordpiece };
  Kind kind = Kind::kSyllable;
  std::string vocab;             // wordpiece: path of a vocab.txt; empty = train one on the texts
  std::int64_t min_count = 2;    // vocabularies made here: rarer symbols become [UNK]
  std::int64_t max_size = 8000;  // vocabularies made here: size with the special tokens
  bool lower_case = false;
  bool strip_accents = false;
  bool keep_spaces = true;      // syllable: a run of blanks is one symbol
  std::int64_t buckets = 4096;  // syllable_pairs: rare entries share so many ids; 0: they are [UNK]

  void describe(FieldVisitor& visitor);
};

// `texts` are the training sentences, used only when a vocabulary has to be made (then kData when
// they hold nothing). A vocabulary file that cannot be used throws kIo or kData.
std::unique_ptr<Tokenizer> make_tokenizer(const TokenizerOptions& options,
                                          std::span<const std::string_view> texts);

}  // namespace detente::text

// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/fnv.h>
#include <detente/text/syllable.h>
#include <detente/text/syllable_pairs.h>
#include <detente/text/tokenizer.h>
#include <detente/text/wordpiece.h>

#include <algorithm>

namespace detente::text {
namespace {

constexpr const char* kConfigName = "tokenizer_config.json";
constexpr const char* kVocabularyName = "vocab.txt";

bool read_flag(const Json& json, const char* key, const std::filesystem::path& path) {
  const auto entry = json.find(key);
  DETENTE_CHECK(entry != json.end() && entry->is_boolean(),
                ErrorCode::kData,
                "[text::load_tokenizer] '{}' has no '{}' that is true or false; expected a file "
                "written by detente.",
                path.string(),
                key);
  return entry->get<bool>();
}

}  // namespace

void Tokenizer::save(const std::filesystem::path& folder) const {
  Json config = Json::object();
  config["kind"] = kind();
  config.update(settings());
  write_own_file(folder / kVocabularyName, vocabulary_.to_text());
  write_own_file(folder / kConfigName, config.dump(2) + "\n");
}

std::uint64_t Tokenizer::fingerprint() const {
  std::uint64_t hash = fnv1a(kind());
  hash = fnv1a(settings().dump(), hash);
  return fnv1a(vocabulary_.to_text(), hash);
}

std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / kConfigName;
  const Json config = Json::parse(read_file(path), nullptr, /*allow_exceptions=*/false);
  const auto kind = config.is_object() ? config.find("kind") : config.end();
  DETENTE_CHECK(
      config.is_object() && kind != config.end() && kind->is_string(),
      ErrorCode::kData,
      "[text::load_tokenizer] '{}' does not name a tokenizer; expected a JSON object with "
      "a \"kind\" of syllable, syllable_pairs or wordpiece.",
      path.string());
  if (*kind == "syllable") {
    const SyllableOptions options{.lower_case = read_flag(config, "do_lower_case", path),
                                  .strip_accents = read_flag(config, "strip_accents", path),
                                  .keep_spaces = read_flag(config, "keep_spaces", path)};
    return std::make_unique<SyllableTokenizer>(Vocabulary::read(folder / kVocabularyName), options);
  }
  if (*kind == "syllable_pairs") {
    const SyllableOptions options{.lower_case = read_flag(config, "do_lower_case", path),
                                  .strip_accents = read_flag(config, "strip_accents", path)};
    const auto buckets = config.find("buckets");
    DETENTE_CHECK(buckets != config.end() && buckets->is_number_unsigned(),
                  ErrorCode::kData,
                  "[text::load_tokenizer] '{}' has no 'buckets' that is a whole number; expected a "
                  "file written by detente.",
                  path.string());
    return std::make_unique<SyllablePairTokenizer>(
        Vocabulary::read(folder / kVocabularyName), options, buckets->get<std::size_t>());
  }
  if (*kind == "wordpiece") {
    const WordpieceOptions options{.lower_case = read_flag(config, "do_lower_case", path),
                                   .strip_accents = read_flag(config, "strip_accents", path)};
    return std::make_unique<WordpieceTokenizer>(Vocabulary::read(folder / kVocabularyName),
                                                options);
  }
  fail(ErrorCode::kData,
       "[text::load_tokenizer] '{}' names the tokenizer '{}'; expected syllable, syllable_pairs or "
       "wordpiece.",
       path.string(),
       kind->get<std::string>());
}

void TokenizerOptions::describe(FieldVisitor& visitor) {
  visitor.choice("kind",
                 kind,
                 {{"syllable", Kind::kSyllable},
                  {"syllable_pairs", Kind::kSyllablePairs},
                  {"wordpiece", Kind::kWordpiece}},
                 "syllable: one token per character; syllable_pairs: the character with its two "
                 "neighbouring pairs; wordpiece: BERT's subwords.");
  visitor.file("vocab",
               vocab,
               "wordpiece: a vocab.txt in BERT's form; empty trains one on the training texts.");
  visitor.integer("min_count",
                  min_count,
                  {.min = 1},
                  "Vocabularies made here: symbols that occur less often become [UNK].");
  visitor.integer("max_size",
                  max_size,
                  {.min = 6, .max = 1e6},
                  "Vocabularies made here: the most entries, special tokens included.");
  visitor.flag("lower_case", lower_case, "Fold capital letters.");
  visitor.flag("strip_accents", strip_accents, "Remove accents; Hangul stays whole.");
  visitor.flag("keep_spaces", keep_spaces, "syllable: a run of blanks is one token.");
  visitor.integer("buckets",
                  buckets,
                  {.min = 0, .max = 1e6},
                  "syllable_pairs: rare symbols and pairs share so many ids; 0: they are [UNK].");
}

std::unique_ptr<Tokenizer> make_tokenizer(const TokenizerOptions& options,
                                          std::span<const std::string_view> texts) {
  TokenizerOptions checked = options;
  validate_fields([&](FieldVisitor& v) { checked.describe(v); }, "[text::make_tokenizer] option");
  const bool from_file =
      options.kind == TokenizerOptions::Kind::kWordpiece && !options.vocab.empty();
  DETENTE_CHECK(options.kind == TokenizerOptions::Kind::kWordpiece || options.vocab.empty(),
                ErrorCode::kInvalidArgument,
                "[text::make_tokenizer] option 'vocab' is '{}', but a syllable tokenizer makes its "
                "own vocabulary. Remove it, or choose kind wordpiece.",
                options.vocab);
  const auto min_count = static_cast<std::size_t>(options.min_count);
  const auto max_size = static_cast<std::size_t>(options.max_size);
  std::unique_ptr<Tokenizer> tokenizer;
  if (options.kind == TokenizerOptions::Kind::kSyllable) {
    const SyllableOptions syllable{options.lower_case, options.strip_accents, options.keep_spaces};
    tokenizer = std::make_unique<SyllableTokenizer>(
        build_syllable_vocabulary(texts, syllable, min_count, max_size), syllable);
  } else if (options.kind == TokenizerOptions::Kind::kSyllablePairs) {
    const SyllableOptions syllable{options.lower_case, options.strip_accents, true};
    const auto buckets = static_cast<std::size_t>(options.buckets);
    tokenizer = std::make_unique<SyllablePairTokenizer>(
        build_syllable_pair_vocabulary(texts, syllable, buckets, min_count, max_size),
        syllable,
        buckets);
  } else {
    const WordpieceOptions wordpiece{options.lower_case, options.strip_accents};
    tokenizer = std::make_unique<WordpieceTokenizer>(
        from_file ? Vocabulary::read(options.vocab)
                  : train_wordpiece_vocabulary(texts, wordpiece, min_count, max_size),
        wordpiece);
  }
  DETENTE_CHECK(from_file || tokenizer->size() > Vocabulary().size(),
                ErrorCode::kData,
                "[text::make_tokenizer] the {} training texts hold no symbol that occurs {} times; "
                "expected text to build a vocabulary from. Lower min_count or check the columns.",
                texts.size(),
                options.min_count);
  return tokenizer;
}

}  // namespace detente::text

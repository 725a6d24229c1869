// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/text/syllable_pairs.h>
#include <detente/text/unicode.h>

#include <algorithm>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace detente::text {
namespace {

// The symbols with boundaries between words, around punctuation signs and at both ends.
std::vector<char32_t> bounded_symbols(std::string_view text, const SyllableOptions& options) {
  SyllableOptions keep = options;
  keep.keep_spaces = true;
  std::vector<char32_t> symbols = {kBoundary};
  const auto boundary = [&] {
    if (symbols.back() != kBoundary) symbols.push_back(kBoundary);
  };
  for (const char32_t code : syllable_symbols(text, keep)) {
    const bool sign = is_punctuation(code);
    if (code == kBoundary || sign) boundary();
    if (code == kBoundary) continue;
    symbols.push_back(code);
    if (sign) boundary();
  }
  boundary();
  return symbols;
}

// Calls visit(entry) three times per token, in the order of the ids.
template <class Visit>
void for_each_entry(std::string_view text, const SyllableOptions& options, const Visit& visit) {
  const std::vector<char32_t> symbols = bounded_symbols(text, options);
  std::string entry;
  for (std::size_t i = 1; i + 1 < symbols.size(); ++i) {
    entry.clear();
    append_utf8(entry, symbols[i]);
    visit(entry);
    entry = "<";
    append_utf8(entry, symbols[i - 1]);
    append_utf8(entry, symbols[i]);
    visit(entry);
    entry.clear();
    append_utf8(entry, symbols[i]);
    append_utf8(entry, symbols[i + 1]);
    entry += ">";
    visit(entry);
  }
}

std::uint32_t fnv1a_32(std::string_view bytes) {
  std::uint32_t hash = 2166136261U;
  for (const char byte : bytes) hash = (hash ^ static_cast<unsigned char>(byte)) * 16777619U;
  return hash;
}

}  // namespace

SyllablePairTokenizer::SyllablePairTokenizer(Vocabulary vocabulary,
                                             const SyllableOptions& options,
                                             std::size_t buckets)
    : Tokenizer(std::move(vocabulary)),
      options_(options),
      buckets_(buckets),
      first_bucket_(this->vocabulary().find("#0")) {
  const std::string last = "#" + std::to_string(buckets - 1);
  DETENTE_CHECK(buckets == 0 || (first_bucket_ >= 0 &&
                                 this->vocabulary().find(last) ==
                                     first_bucket_ + static_cast<std::int32_t>(buckets) - 1),
                ErrorCode::kData,
                "[text::SyllablePairTokenizer] the vocabulary has no {} buckets '#0' to '{}' in a "
                "row; expected one written by detente.",
                buckets,
                last);
}

std::int32_t SyllablePairTokenizer::id_of(std::string_view entry) const {
  const std::int32_t id = vocabulary().find(entry);
  if (id >= 0) return id;
  if (buckets_ == 0) return special().unk;
  return first_bucket_ + static_cast<std::int32_t>(fnv1a_32(entry) % buckets_);
}

std::vector<std::int32_t> SyllablePairTokenizer::encode(std::string_view text) const {
  std::vector<std::int32_t> ids;
  for_each_entry(text, options_, [&](const std::string& entry) { ids.push_back(id_of(entry)); });
  return ids;
}

Json SyllablePairTokenizer::settings() const {
  return {{"do_lower_case", options_.lower_case},
          {"strip_accents", options_.strip_accents},
          {"buckets", buckets_}};
}

Vocabulary build_syllable_pair_vocabulary(std::span<const std::string_view> texts,
                                          const SyllableOptions& options,
                                          std::size_t buckets,
                                          std::size_t min_count,
                                          std::size_t max_size) {
  std::unordered_map<std::string, std::size_t> counts;
  std::unordered_set<std::string> seen;
  for (const std::string_view text : texts) {
    seen.clear();
    for_each_entry(text, options, [&](const std::string& entry) { seen.insert(entry); });
    for (const auto& entry : seen) ++counts[entry];
  }
  std::vector<std::pair<std::string, std::size_t>> ranked;
  for (const auto& [entry, count] : counts) {
    // "#7" as a text of its own cannot be an entry: entries are one symbol or framed pairs.
    if (count >= min_count) ranked.emplace_back(entry, count);
  }
  std::sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  std::vector<std::string> tokens = Vocabulary().tokens();
  for (std::size_t i = 0; i < buckets; ++i) tokens.push_back("#" + std::to_string(i));
  for (const auto& [entry, count] : ranked) {
    if (tokens.size() >= max_size) break;
    tokens.push_back(entry);
  }
  return Vocabulary(std::move(tokens), "the vocabulary of syllable pairs");
}

}  // namespace detente::text

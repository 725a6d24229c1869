// SPDX-License-Identifier: Apache-2.0
#include <detente/text/syllable.h>
#include <detente/text/unicode.h>

#include <algorithm>
#include <unordered_map>
#include <utility>

namespace detente::text {

std::vector<char32_t> syllable_symbols(std::string_view text, const SyllableOptions& options) {
  std::string prepared = normalize_nfc(text);
  if (options.lower_case) prepared = lower_case(prepared);
  if (options.strip_accents) prepared = strip_accents(prepared);
  std::vector<char32_t> symbols;
  bool blank = false;
  for (const char32_t code : code_points(prepared)) {
    if (is_whitespace(code)) {
      blank = true;
    } else if (!is_control(code)) {
      if (blank && options.keep_spaces && !symbols.empty()) symbols.push_back(kBoundary);
      blank = false;
      symbols.push_back(code);
    }
  }
  return symbols;
}

std::vector<std::int32_t> SyllableTokenizer::encode(std::string_view text) const {
  std::vector<std::int32_t> ids;
  for (const char32_t code : syllable_symbols(text, options_)) {
    const std::int32_t id = vocabulary().find(to_utf8(code));
    ids.push_back(id >= 0 ? id : special().unk);
  }
  return ids;
}

Json SyllableTokenizer::settings() const {
  return {{"do_lower_case", options_.lower_case},
          {"strip_accents", options_.strip_accents},
          {"keep_spaces", options_.keep_spaces}};
}

Vocabulary build_syllable_vocabulary(std::span<const std::string_view> texts,
                                     const SyllableOptions& options,
                                     std::size_t min_count,
                                     std::size_t max_size) {
  std::unordered_map<char32_t, std::size_t> counts;
  for (const std::string_view text : texts) {
    for (const char32_t code : syllable_symbols(text, options)) ++counts[code];
  }
  std::vector<std::pair<char32_t, std::size_t>> ranked;
  for (const auto& entry : counts) {
    if (entry.second >= min_count) ranked.push_back(entry);
  }
  std::sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  std::vector<std::string> tokens = Vocabulary().tokens();
  for (const auto& [code, count] : ranked) {
    if (tokens.size() >= max_size) break;
    tokens.push_back(to_utf8(code));
  }
  return Vocabulary(std::move(tokens), "the syllable vocabulary");
}

}  // namespace detente::text

// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/text/lexical.h>
#include <detente/text/unicode.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <unordered_map>
#include <utility>

namespace detente::text {
namespace {

using Codes = std::vector<char32_t>;

// Size of the intersection of two sorted multisets.
template <class T>
std::size_t common(const std::vector<T>& a, const std::vector<T>& b) {
  std::size_t count = 0;
  for (auto i = a.begin(), j = b.begin(); i != a.end() && j != b.end();) {
    if (*i < *j) {
      ++i;
    } else if (*j < *i) {
      ++j;
    } else {
      ++count, ++i, ++j;
    }
  }
  return count;
}

double ratio(std::size_t part, std::size_t whole, bool both_empty) {
  if (both_empty) return 1.0;
  return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
}

template <class T>
double jaccard(const std::vector<T>& a, const std::vector<T>& b) {
  const std::size_t shared = common(a, b);
  return ratio(shared, a.size() + b.size() - shared, a.empty() && b.empty());
}

template <class T>
double containment(const std::vector<T>& a, const std::vector<T>& b) {
  return ratio(common(a, b), std::min(a.size(), b.size()), a.empty() && b.empty());
}

std::vector<Codes> grams(const Codes& codes, std::size_t n) {
  std::vector<Codes> list;
  for (std::size_t i = 0; i + n <= codes.size(); ++i) {
    list.emplace_back(codes.begin() + static_cast<std::ptrdiff_t>(i),
                      codes.begin() + static_cast<std::ptrdiff_t>(i + n));
  }
  std::sort(list.begin(), list.end());
  return list;
}

double gram_jaccard(const Codes& a, const Codes& b, std::size_t n) {
  // Texts too short for an n-gram are compared whole.
  if (a.size() < n || b.size() < n) return a == b ? 1.0 : 0.0;
  return jaccard(grams(a, n), grams(b, n));
}

Codes without_blanks(std::string_view text) {
  Codes codes;
  for (const char32_t code : code_points(text)) {
    if (!is_whitespace(code)) codes.push_back(code);
  }
  return codes;
}

std::vector<Codes> runs(const Codes& codes, bool (*belongs)(char32_t)) {
  std::vector<Codes> list;
  bool open = false;
  for (const char32_t code : codes) {
    if (belongs(code)) {
      if (!open) list.emplace_back();
      list.back().push_back(code);
      open = true;
    } else {
      open = false;
    }
  }
  std::sort(list.begin(), list.end());
  return list;
}

bool is_word_character(char32_t code) { return !is_whitespace(code) && !is_punctuation(code); }

std::vector<Codes> stems(std::vector<Codes> words) {
  for (auto& word : words) {
    if (word.size() > 2) word.erase(word.begin() + 2, word.end());
  }
  std::sort(words.begin(), words.end());
  return words;
}

// 64 cells of a row of the usual table at a time (Hyyrö, "Bit-parallel LCS-length computation
// revisited", 2004): a 0 in `row` is a place where the row's values step up.
std::size_t longest_common_subsequence(const Codes& a, const Codes& b) {
  using Word = std::uint64_t;
  constexpr std::size_t kBits = 64;
  const std::size_t words = b.size() / kBits + 1;
  const auto set = [](std::vector<Word>& bits, std::size_t i) {
    bits[i / kBits] |= Word{1} << (i % kBits);
  };
  struct Places {
    std::vector<std::size_t> list;
    std::vector<Word> bits;  // of letters so frequent that the list would be longer
  };
  std::unordered_map<char32_t, Places> places;
  for (std::size_t i = 0; i < b.size(); ++i) places[b[i]].list.push_back(i);
  for (auto& [letter, at] : places) {
    if (at.list.size() < words) continue;
    at.bits.assign(words, 0);
    for (const std::size_t i : at.list) set(at.bits, i);
  }
  std::vector<Word> row(words, ~Word{0});
  std::vector<Word> sparse(words, 0);
  for (const char32_t x : a) {
    const auto found = places.find(x);
    if (found == places.end()) continue;
    const Places& at = found->second;
    const bool dense = !at.bits.empty();
    if (!dense) {
      for (const std::size_t i : at.list) set(sparse, i);
    }
    const std::vector<Word>& matches = dense ? at.bits : sparse;
    Word carry = 0;
    for (std::size_t w = 0; w < words; ++w) {
      const Word steps = row[w] & matches[w];
      const Word half = row[w] + steps;
      const Word sum = half + carry;
      carry = (half < steps || sum < half) ? 1 : 0;
      row[w] = sum | (row[w] & ~matches[w]);
    }
    if (!dense) {
      for (const std::size_t i : at.list) sparse[i / kBits] = 0;
    }
  }
  std::size_t length = 0;
  for (std::size_t i = 0; i < b.size(); ++i) length += (row[i / kBits] >> (i % kBits) & 1U) == 0;
  return length;
}

// Token counts, sorted by id.
std::vector<std::pair<std::int32_t, double>> term_counts(std::span<const std::int32_t> ids) {
  std::vector<std::int32_t> sorted(ids.begin(), ids.end());
  std::sort(sorted.begin(), sorted.end());
  std::vector<std::pair<std::int32_t, double>> counts;
  for (const std::int32_t id : sorted) {
    if (counts.empty() || counts.back().first != id) counts.emplace_back(id, 0.0);
    counts.back().second += 1.0;
  }
  return counts;
}

// Calls visit(id, count in a, count in b) for every id of either.
template <class Visit>
void merge_counts(std::span<const std::int32_t> a, std::span<const std::int32_t> b, Visit visit) {
  const auto left = term_counts(a);
  const auto right = term_counts(b);
  auto i = left.begin();
  auto j = right.begin();
  while (i != left.end() || j != right.end()) {
    if (j == right.end() || (i != left.end() && i->first < j->first)) {
      visit(i->first, i->second, 0.0);
      ++i;
    } else if (i == left.end() || j->first < i->first) {
      visit(j->first, 0.0, j->second);
      ++j;
    } else {
      visit(i->first, i->second, j->second);
      ++i, ++j;
    }
  }
}

}  // namespace

const std::vector<std::string>& lexical_feature_names() {
  static const std::vector<std::string> names = {"bigram_jaccard",
                                                 "unigram_jaccard",
                                                 "trigram_jaccard",
                                                 "jamo_jaccard",
                                                 "word_jaccard",
                                                 "stem_jaccard",
                                                 "containment",
                                                 "subsequence",
                                                 "length_ratio",
                                                 "number_jaccard"};
  return names;
}

std::vector<double> lexical_features(std::string_view a, std::string_view b) {
  const std::string text_a = normalize_nfc(a);
  const std::string text_b = normalize_nfc(b);
  const Codes codes_a = without_blanks(text_a);
  const Codes codes_b = without_blanks(text_b);
  const auto words_a = runs(code_points(text_a), is_word_character);
  const auto words_b = runs(code_points(text_b), is_word_character);
  const bool short_text = std::min(codes_a.size(), codes_b.size()) < 2;
  return {
      gram_jaccard(codes_a, codes_b, 2),
      gram_jaccard(codes_a, codes_b, 1),
      gram_jaccard(codes_a, codes_b, 3),
      gram_jaccard(without_blanks(normalize_nfd(text_a)), without_blanks(normalize_nfd(text_b)), 3),
      jaccard(words_a, words_b),
      jaccard(stems(words_a), stems(words_b)),
      short_text ? static_cast<double>(codes_a == codes_b)
                 : containment(grams(codes_a, 2), grams(codes_b, 2)),
      ratio(longest_common_subsequence(codes_a, codes_b),
            std::max(codes_a.size(), codes_b.size()),
            codes_a.empty() && codes_b.empty()),
      ratio(std::min(codes_a.size(), codes_b.size()),
            std::max(codes_a.size(), codes_b.size()),
            codes_a.empty() && codes_b.empty()),
      jaccard(runs(code_points(text_a), is_digit), runs(code_points(text_b), is_digit))};
}

double bigram_jaccard(std::string_view a, std::string_view b) {
  return gram_jaccard(without_blanks(normalize_nfc(a)), without_blanks(normalize_nfc(b)), 2);
}

IdfTable IdfTable::fit(std::span<const std::vector<std::int32_t>> sentences,
                       std::size_t vocabulary_size) {
  std::vector<double> document_frequency(vocabulary_size, 0.0);
  for (const auto& sentence : sentences) {
    for (const auto& [id, count] : term_counts(sentence)) {
      DETENTE_CHECK(id >= 0 && static_cast<std::size_t>(id) < vocabulary_size,
                    ErrorCode::kShape,
                    "[text::IdfTable] token id {} does not fit a vocabulary of {}; expected ids of "
                    "the same tokenizer.",
                    id,
                    vocabulary_size);
      document_frequency[static_cast<std::size_t>(id)] += 1.0;
    }
  }
  IdfTable table;
  const double n = static_cast<double>(sentences.size());
  for (const double df : document_frequency) {
    table.idf_.push_back(std::log((1.0 + n) / (1.0 + df)) + 1.0);
  }
  return table;
}

double IdfTable::overlap(std::span<const std::int32_t> a, std::span<const std::int32_t> b) const {
  double shared = 0.0;
  double all = 0.0;
  merge_counts(a, b, [&](std::int32_t id, double x, double y) {
    shared += idf(id) * std::min(x, y);
    all += idf(id) * std::max(x, y);
  });
  return all > 0.0 ? shared / all : 1.0;
}

double IdfTable::cosine(std::span<const std::int32_t> a, std::span<const std::int32_t> b) const {
  double dot = 0.0;
  double norm_a = 0.0;
  double norm_b = 0.0;
  merge_counts(a, b, [&](std::int32_t id, double x, double y) {
    const double square = idf(id) * idf(id);
    dot += square * x * y;
    norm_a += square * x * x;
    norm_b += square * y * y;
  });
  if (norm_a == 0.0 || norm_b == 0.0) return norm_a == norm_b ? 1.0 : 0.0;
  return std::min(1.0, dot / std::sqrt(norm_a * norm_b));
}

Json IdfTable::to_json() const { return idf_; }

IdfTable IdfTable::from_json(const Json& json) {
  DETENTE_CHECK(json.is_array(),
                ErrorCode::kData,
                "[text::IdfTable] expected a JSON list of numbers, got {}.",
                json.type_name());
  IdfTable table;
  for (const auto& value : json) {
    DETENTE_CHECK(value.is_number() && value.get<double>() > 0.0,
                  ErrorCode::kData,
                  "[text::IdfTable] entry {} is {}; expected a number > 0.",
                  table.idf_.size(),
                  value.dump());
    table.idf_.push_back(value.get<double>());
  }
  return table;
}

}  // namespace detente::text

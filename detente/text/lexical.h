// SPDX-License-Identifier: Apache-2.0
// How much two sentences look alike without understanding them: the floor every trained model
// must beat, and extra inputs for a model that asks for them.
#pragma once

#include <detente/core/json.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace detente::text {

// The features' names, in the order of lexical_features. Each value lies in [0, 1], is symmetric in
// the two sentences and is 1 for equal sentences.
//   bigram_jaccard    multisets of character pairs, blanks dropped, |A ∩ B| / |A ∪ B|
//   unigram_jaccard   the same of single characters
//   trigram_jaccard   the same of triples
//   jamo_jaccard      the same of triples of jamo: "했다" and "한다" share most of theirs
//   word_jaccard      the same of words (split at blanks and punctuation)
//   stem_jaccard      the same of the words' first two characters, a crude Korean stem
//   containment       character pairs, |A ∩ B| / min(|A|, |B|)
//   subsequence       longest common subsequence of characters over the longer length
//   length_ratio      shorter over longer length in characters
//   number_jaccard    the numbers (runs of digits); 1 when neither sentence has any
const std::vector<std::string>& lexical_feature_names();
std::vector<double> lexical_features(std::string_view a, std::string_view b);

// The first of them alone: the untrained baseline of reports.
double bigram_jaccard(std::string_view a, std::string_view b);

// How rare each token is: idf(t) = ln((1 + n) / (1 + df(t))) + 1 over n sentences.
class IdfTable {
 public:
  IdfTable() = default;
  // `sentences` are token ids below `vocabulary_size`.
  static IdfTable fit(std::span<const std::vector<std::int32_t>> sentences,
                      std::size_t vocabulary_size);

  double idf(std::int32_t id) const { return idf_.at(static_cast<std::size_t>(id)); }
  std::size_t size() const { return idf_.size(); }
  const std::vector<double>& values() const { return idf_; }

  // Multiset Jaccard with each token counted idf times. 1 when both are empty.
  double overlap(std::span<const std::int32_t> a, std::span<const std::int32_t> b) const;
  // Cosine of the tf·idf vectors. 1 when both are empty, 0 when one is.
  double cosine(std::span<const std::int32_t> a, std::span<const std::int32_t> b) const;

  // A list of numbers; from_json throws kData when it is anything else.
  Json to_json() const;
  static IdfTable from_json(const Json& json);

 private:
  std::vector<double> idf_;
};

}  // namespace detente::text

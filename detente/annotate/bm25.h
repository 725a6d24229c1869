// SPDX-License-Identifier: Apache-2.0
// BM25 over texts in memory, exact (Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond",
// 2009, eq. 3.15 with the idf of Lucene, which is never negative):
//
//   score(q, d) = sum over terms t of q of  ln(1 + (N - n_t + 0.5) / (n_t + 0.5))
//                                           · f_td (k1 + 1) / (f_td + k1 (1 - b + b |d| / avgdl))
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace detente::annotate {

// Terms of a text: NFC, small letters, runs of letters and digits. Of scripts that write words without blanks, or glue
// particles to them (Han, kana, Hangul), overlapping pairs of characters; a single one is a term itself.
std::vector<std::string> search_terms(std::string_view text);

class Bm25 {
 public:
  explicit Bm25(std::span<const std::string> texts, double k1 = 1.2, double b = 0.75);

  std::size_t size() const { return lengths_.size(); }
  // A score per text; a term that the query has twice counts twice.
  std::vector<double> scores(std::string_view query) const;

 private:
  struct Posting {
    std::size_t text = 0;
    double count = 0;
  };
  double k1_;
  double b_;
  double mean_length_ = 0;
  std::vector<double> lengths_;
  std::unordered_map<std::string, std::vector<Posting>> postings_;
};

}  // namespace detente::annotate

// SPDX-License-Identifier: Apache-2.0
#include <detente/annotate/bm25.h>
#include <detente/annotate/retriever.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

namespace detente::annotate {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(SearchTerms, AreWordsAndPairsOfSyllables) {
  EXPECT_THAT(search_terms("The CAT, the cat's 3rd"),
              ElementsAre("the", "cat", "the", "cat", "s", "3rd"));
  EXPECT_THAT(search_terms("휴가는 날 iPhone15를"),
              ElementsAre("휴가", "가는", "날", "iphone15", "를"));
  EXPECT_THAT(search_terms(" \t.,\n"), IsEmpty());
}

// The formula, document by document.
double by_definition(const std::vector<std::vector<std::string>>& texts,
                     const std::vector<std::string>& query,
                     std::size_t d) {
  double mean = 0;
  for (const auto& text : texts)
    mean += static_cast<double>(text.size()) / static_cast<double>(texts.size());
  double score = 0;
  for (const std::string& term : query) {
    const auto count = [&](const std::vector<std::string>& text) {
      return static_cast<double>(std::count(text.begin(), text.end(), term));
    };
    double having = 0;
    for (const auto& text : texts) having += count(text) > 0 ? 1 : 0;
    const double n = static_cast<double>(texts.size());
    const double idf = std::log(1 + (n - having + 0.5) / (having + 0.5));
    const double f = count(texts[d]);
    const double length = static_cast<double>(texts[d].size());
    score += idf * f * (1.2 + 1) / (f + 1.2 * (1 - 0.75 + 0.75 * length / mean));
  }
  return score;
}

TEST(Bm25, IsTheFormula) {
  std::mt19937 random(7);
  const std::vector<std::string> words = {"a", "b", "c", "d", "e", "f"};
  for (int turn = 0; turn < 50; ++turn) {
    std::vector<std::vector<std::string>> terms(1 + random() % 6);
    std::vector<std::string> texts;
    terms[0].push_back("a");  // not all of them empty
    for (auto& list : terms) {
      for (std::size_t i = random() % 9; i > 0; --i) list.push_back(words[random() % words.size()]);
      std::string text;
      for (const std::string& word : list) text += word + " ";
      texts.push_back(text);
    }
    std::vector<std::string> query;
    std::string question;
    for (std::size_t i = random() % 5; i > 0; --i) {
      query.push_back(words[random() % words.size()]);
      question += query.back() + ", ";
    }
    const std::vector<double> scores = Bm25(texts).scores(question);
    for (std::size_t d = 0; d < texts.size(); ++d) {
      EXPECT_NEAR(scores[d], by_definition(terms, query, d), 1e-12);
    }
  }
  EXPECT_THAT(Bm25(std::vector<std::string>{}).scores("a"), IsEmpty());
  EXPECT_THAT(Bm25(std::vector<std::string>{"", " "}).scores("a"), ElementsAre(0, 0));
}

TEST(BestHits, AreTheGreatestInOrder) {
  const auto ids = [](const std::vector<Hit>& hits) {
    std::vector<std::size_t> list;
    for (const Hit& hit : hits) list.push_back(hit.passage);
    return list;
  };
  EXPECT_THAT(ids(best_hits({1, 3, 0, 3, 2}, 3)), ElementsAre(1, 3, 4));
  EXPECT_THAT(ids(best_hits({1, 3, 0, 3, 2}, 9)), ElementsAre(1, 3, 4, 0));
  EXPECT_THAT(ids(best_hits({1, std::nan("")}, 9)), ElementsAre(0));
  EXPECT_THAT(ids(best_hits({}, 3)), IsEmpty());
}

}  // namespace
}  // namespace detente::annotate

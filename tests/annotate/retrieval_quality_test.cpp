// SPDX-License-Identifier: Apache-2.0
#include <detente/annotate/retrieval_quality.h>
#include <detente/core/error.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/error_of.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace detente::annotate {
namespace {

using test::error_of;
using testing::HasSubstr;

using Names = std::vector<std::string>;
using Set = std::set<std::string>;

TEST(RetrievalQuality, MeasuresAreTheirFormulas) {
  const Names ranked = {"b", "a", "d", "c"};
  EXPECT_DOUBLE_EQ(recall_at(1, ranked, Set{"a"}), 0);
  EXPECT_DOUBLE_EQ(recall_at(2, ranked, Set{"a"}), 1);
  EXPECT_DOUBLE_EQ(recall_at(2, ranked, Set{"a", "c"}), 0.5);
  EXPECT_DOUBLE_EQ(recall_at(10, ranked, Set{"a", "c"}), 1);
  EXPECT_DOUBLE_EQ(recall_at(5, ranked, Set{"z"}), 0);
  // One relevant at place i: 1 / log2(i + 1).
  EXPECT_DOUBLE_EQ(ndcg_at(10, ranked, Set{"b"}), 1);
  EXPECT_DOUBLE_EQ(ndcg_at(10, ranked, Set{"a"}), 1 / std::log2(3.0));
  EXPECT_DOUBLE_EQ(ndcg_at(10, ranked, Set{"c"}), 1 / std::log2(5.0));
  EXPECT_DOUBLE_EQ(ndcg_at(3, ranked, Set{"c"}), 0);
  EXPECT_DOUBLE_EQ(ndcg_at(10, ranked, Set{"a", "d"}),
                   (1 / std::log2(3.0) + 1 / std::log2(4.0)) / (1 + 1 / std::log2(3.0)));
  EXPECT_DOUBLE_EQ(ndcg_at(10, ranked, Set{}), 0);
  EXPECT_DOUBLE_EQ(recall_at(10, ranked, Set{}), 0);
  EXPECT_DOUBLE_EQ(ndcg_at(10, Names{}, Set{"a"}), 0);
}

// Whatever the ranking: within [0, 1], recall grows with k, a relevant one moved forward never costs,
// and the relevant first is the best there is.
TEST(RetrievalQuality, MeasuresKeepTheirLaws) {
  std::mt19937 random(3);
  for (int turn = 0; turn < 200; ++turn) {
    Names ranked;
    for (std::size_t i = 0; i < 1 + random() % 15; ++i) ranked.push_back("f" + std::to_string(i));
    std::shuffle(ranked.begin(), ranked.end(), random);
    Set relevant;
    for (std::size_t i = 0; i < 1 + random() % 6; ++i) {
      relevant.insert("f" + std::to_string(random() % 15));
    }
    double before = 0;
    for (const std::size_t k : {1, 2, 5, 10, 20}) {
      const double recall = recall_at(k, ranked, relevant);
      EXPECT_GE(recall, before);
      EXPECT_LE(recall, 1);
      before = recall;
    }
    const double ndcg = ndcg_at(10, ranked, relevant);
    Names better = ranked;
    for (std::size_t i = 1; i < better.size(); ++i) {
      if (relevant.contains(better[i]) && !relevant.contains(better[i - 1])) {
        std::swap(better[i], better[i - 1]);
        break;
      }
    }
    EXPECT_GE(ndcg_at(10, better, relevant), ndcg);
    Names best(relevant.begin(), relevant.end());
    for (const auto& one : ranked) {
      if (!relevant.contains(one)) best.push_back(one);
    }
    EXPECT_DOUBLE_EQ(ndcg_at(10, best, relevant), 1);
    EXPECT_LE(ndcg, 1);
  }
}

Documents letters() {
  Documents documents;
  for (const auto& [file, text] : std::vector<std::pair<std::string, std::string>>{
           {"a.txt", "apple pear"}, {"a.txt", "plum"}, {"b.txt", "plum plum"}, {"c.txt", "fig"}}) {
    documents.passages.push_back({file, 1, 0, text});
  }
  return documents;
}

data::Table judged(const std::string& rows) {
  return data::Table::parse("query,file\n" + rows, "judged.csv", data::TableFormat::kCsv);
}

TEST(RetrievalQuality, AFileStandsWhereItsBestPassageDoes) {
  const Documents documents = letters();
  const auto queries =
      judged_queries(judged("plum,b.txt\npear,a.txt\nplum,a.txt\nkiwi,c.txt\n"), documents);
  ASSERT_EQ(queries.size(), 3U);  // in the order of their first rows
  EXPECT_EQ(queries[0].files, (Set{"a.txt", "b.txt"}));
  const auto retriever = word_retriever(documents);
  std::size_t asked = 0;
  const auto quality = retrieval_quality(queries, documents, *retriever, [&](std::size_t done) {
    asked = done;
    return true;
  });
  EXPECT_EQ(asked, 3U);
  EXPECT_EQ(quality.queries, 3U);
  // plum: both of two; pear: the one; kiwi: nothing is found.
  EXPECT_DOUBLE_EQ(quality.recall.at(1).mean, (0.5 + 1 + 0) / 3);
  EXPECT_DOUBLE_EQ(quality.recall.at(5).mean, (1.0 + 1 + 0) / 3);
  EXPECT_DOUBLE_EQ(quality.ndcg10.mean, (1.0 + 1 + 0) / 3);
  const double deviation = std::sqrt((2.0 / 9 + 4.0 / 9) / 2);
  // Student's t with two degrees of freedom at 0.975.
  EXPECT_NEAR(quality.ndcg10.half_width, 4.302652729911275 * deviation / std::sqrt(3.0), 1e-9);
  const auto stopped =
      retrieval_quality(queries, documents, *retriever, [](std::size_t) { return false; });
  EXPECT_EQ(stopped.queries, 1U);
  EXPECT_TRUE(std::isnan(stopped.ndcg10.half_width));
}

TEST(RetrievalQuality, JudgementsThatCannotBeRightAreNamedWithTheirLine) {
  const Documents documents = letters();
  EXPECT_THAT(
      error_of([&] { judged_queries(judged("plum,b.txt\npear,d.txt\n"), documents); }).what(),
      HasSubstr("line 3: 'file' is 'd.txt'"));
  EXPECT_THAT(error_of([&] { judged_queries(judged("\" \",b.txt\n"), documents); }).what(),
              HasSubstr("line 2: 'query' is empty"));
  EXPECT_THAT(error_of([&] {
                judged_queries(data::Table::parse(
                                   "question,file\nx,a.txt\n", "q.csv", data::TableFormat::kCsv),
                               documents);
              }).what(),
              HasSubstr("query"));
}

}  // namespace
}  // namespace detente::annotate

// SPDX-License-Identifier: Apache-2.0
#include <detente/annotate/vote.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace detente::annotate {
namespace {

constexpr std::size_t kNone = 99;

Vote vote(const std::vector<std::size_t>& labels, const std::vector<double>& logprobs = {}) {
  std::vector<Ballot> ballots;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    Ballot ballot;
    if (labels[i] != kNone) ballot.label = labels[i];
    if (i < logprobs.size() && logprobs[i] < 0) ballot.logprob = logprobs[i];
    ballots.push_back(ballot);
  }
  return count_votes(ballots);
}

TEST(Vote, IsForTheMostFrequentOfAnyOrder) {
  std::vector<std::size_t> labels = {0, 1, 1, 2, 2, 2, kNone, 0};
  std::sort(labels.begin(), labels.end());
  do {
    const Vote found = vote(labels);
    ASSERT_EQ(found.label, 2u);
    ASSERT_EQ(found.share, 3.0 / 8);
  } while (std::next_permutation(labels.begin(), labels.end()));
}

TEST(Vote, OfATieIsForTheLikelierElseForTheFirst) {
  EXPECT_EQ(vote({1, 0, 0, 1}).label, 1u);
  EXPECT_EQ(vote({1, 0, 0, 1}, {-5, -1, -1, -5}).label, 0u);
  EXPECT_EQ(vote({1, 0, 0, 1}, {-1, -1, -1, -1}).label, 1u);
  EXPECT_EQ(vote({1, 0, 0, 1}, {-5, -1, -1}).label, 1u);         // one is not known
  EXPECT_EQ(vote({1, 0, 0, 1, 2}, {-5, -1, -1, -5}).label, 0u);  // not one of the tied
  EXPECT_EQ(vote({1, 0, 0}, {-0.1, -9, -9}).label, 0u);          // no tie
}

TEST(Vote, OfNobodyIsForNothing) {
  EXPECT_FALSE(vote({}).label.has_value());
  EXPECT_FALSE(vote({kNone, kNone}).label.has_value());
  EXPECT_EQ(vote({kNone, kNone}).share, 0);
  EXPECT_EQ(vote({3}).share, 1);
  EXPECT_EQ(vote({kNone, 3}).share, 0.5);
}

}  // namespace
}  // namespace detente::annotate

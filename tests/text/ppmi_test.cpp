// SPDX-License-Identifier: Apache-2.0
#include <detente/text/ppmi.h>
#include <gtest/gtest.h>

#include <cmath>

namespace detente::text {
namespace {

using Sentences = std::vector<std::vector<std::int32_t>>;

double cosine(const Matrix& m, std::size_t a, std::size_t b) {
  double ab = 0;
  double aa = 0;
  double bb = 0;
  for (std::size_t j = 0; j < m.cols(); ++j) {
    ab += m(a, j) * m(b, j);
    aa += m(a, j) * m(a, j);
    bb += m(b, j) * m(b, j);
  }
  return ab / std::sqrt(aa * bb);
}

// Tokens 0 and 1 stand in the same places, 2 and 3 in others; 4 to 7 are the places.
Sentences synonyms() {
  Sentences sentences;
  for (int i = 0; i < 50; ++i) {
    sentences.push_back({4, i % 2, 5});
    sentences.push_back({6, 2 + i % 2, 7});
  }
  return sentences;
}

TEST(Ppmi, PutsTokensOfTheSameCompanyTogether) {
  Rng rng(1);
  const Matrix embedding = ppmi_embedding(synonyms(), 9, {.width = 4, .window = 2}, rng);
  EXPECT_GT(cosine(embedding, 0, 1), 0.99);
  EXPECT_GT(cosine(embedding, 2, 3), 0.99);
  EXPECT_LT(std::abs(cosine(embedding, 0, 2)), 0.1);
}

TEST(Ppmi, GivesEveryKnownRowTheNormOfItsWidth) {
  Rng rng(2);
  const Matrix embedding = ppmi_embedding(synonyms(), 9, {.width = 4, .window = 2}, rng);
  for (std::size_t i = 0; i < 8; ++i) {
    double sum = 0;
    for (std::size_t j = 0; j < 4; ++j) sum += embedding(i, j) * embedding(i, j);
    EXPECT_NEAR(sum, 4.0, 1e-9) << i;
  }
}

TEST(Ppmi, RepeatsWithTheSameSeed) {
  Rng a(3);
  Rng b(3);
  const Matrix first = ppmi_embedding(synonyms(), 9, {.width = 4}, a);
  const Matrix second = ppmi_embedding(synonyms(), 9, {.width = 4}, b);
  for (std::size_t i = 0; i < 9; ++i) {
    for (std::size_t j = 0; j < 4; ++j) EXPECT_EQ(first(i, j), second(i, j));
  }
}

// The Gram matrix of U S^½ before scaling is U S Uᵀ = M for a symmetric positive M, so the cosines
// of a full-width embedding are those of the rows of M^½ — checked on a matrix known in closed
// form: two tokens that only ever meet each other have PPMI log 2 off the diagonal.
TEST(Ppmi, MatchesTheClosedFormOfTwoTokens) {
  Rng rng(4);
  const Matrix embedding = ppmi_embedding(Sentences(10, {0, 1}), 2, {.width = 2}, rng);
  // M = log 2 · [[0, 1], [1, 0]] has singular vectors e0, e1 with equal values: orthogonal rows.
  EXPECT_NEAR(cosine(embedding, 0, 1), 0.0, 1e-5);
}

TEST(Ppmi, UsesOnlyTheFirstIdOfATokenAsContext) {
  Rng rng(5);
  // Two ids per token; ids 2 and 3 ride along as second ids of two different tokens whose
  // neighbours' first ids are the same: their rows agree.
  Sentences sentences;
  for (int i = 0; i < 20; ++i) {
    sentences.push_back({4, 8, 0, 2, 5, 8});
    sentences.push_back({4, 8, 1, 3, 5, 8});
    sentences.push_back({6, 8, 7, 8});
  }
  const Matrix embedding =
      ppmi_embedding(sentences, 9, {.width = 3, .window = 1, .ids_per_token = 2}, rng);
  EXPECT_GT(cosine(embedding, 2, 3), 0.999);
}

TEST(Ppmi, SurvivesAVocabularySmallerThanTheWidthAndEmptyText) {
  Rng rng(6);
  const Matrix small = ppmi_embedding(Sentences{{0, 1, 0}}, 3, {.width = 8}, rng);
  const Matrix empty = ppmi_embedding(Sentences{{}, {1}}, 3, {.width = 2}, rng);
  for (std::size_t i = 0; i < 3; ++i) {
    for (std::size_t j = 0; j < 8; ++j) EXPECT_TRUE(std::isfinite(small(i, j)));
    for (std::size_t j = 0; j < 2; ++j) EXPECT_TRUE(std::isfinite(empty(i, j)));
  }
}

}  // namespace
}  // namespace detente::text

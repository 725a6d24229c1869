// SPDX-License-Identifier: Apache-2.0
#include <detente/core/rng.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace detente {
namespace {

// Draws per statistical test. Bounds are six standard errors: a fixed seed makes each test exact,
// and a new generator would fail one with probability below 1e-8.
constexpr int kDraws = 200000;

TEST(Rng, IsXoshiro256StarStar) {
  // State {1, 2, 3, 4}: the first outputs of the authors' reference implementation, by hand:
  // rotl(2 * 5, 7) * 9 = 11520, then with s1 = 0 the output is 0.
  Rng rng;
  rng.set_state({1, 2, 3, 4});
  EXPECT_EQ(rng(), 11520u);
  EXPECT_EQ(rng(), 0u);
  EXPECT_EQ(rng(), 1509978240u);
  EXPECT_EQ(rng(), 1215971899390074240u);
}

TEST(Rng, SeedsThroughSplitmix64) {
  // The first output of splitmix64 for seed 0 (authors' reference).
  EXPECT_EQ(Rng(0).state()[0], 0xe220a8397b1dcdafULL);
}

TEST(Rng, RepeatsWithTheSeedAndDiffersWithAnother) {
  Rng a(3);
  Rng b(3);
  Rng c(4);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(a(), b());
  EXPECT_NE(Rng(3)(), c());
}

TEST(Rng, ContinuesFromASavedState) {
  Rng a(5);
  for (int i = 0; i < 17; ++i) a.normal();
  Rng b;
  b.set_state(a.state());
  for (int i = 0; i < 100; ++i) EXPECT_EQ(a.normal(), b.normal());
}

TEST(Rng, DrawsUniformNumbersInTheHalfOpenInterval) {
  Rng rng(6);
  double sum = 0;
  double squares = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double x = rng.uniform();
    ASSERT_GE(x, 0.0);
    ASSERT_LT(x, 1.0);
    sum += x;
    squares += x * x;
  }
  EXPECT_NEAR(sum / kDraws, 0.5, 6 * std::sqrt(1.0 / 12 / kDraws));
  EXPECT_NEAR(squares / kDraws, 1.0 / 3, 6 * std::sqrt(4.0 / 45 / kDraws));
}

TEST(Rng, DrawsNormalNumbers) {
  Rng rng(7);
  double sum = 0, squares = 0, fourth = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double x = rng.normal();
    sum += x;
    squares += x * x;
    fourth += x * x * x * x;
  }
  EXPECT_NEAR(sum / kDraws, 0.0, 6 * std::sqrt(1.0 / kDraws));
  EXPECT_NEAR(squares / kDraws, 1.0, 6 * std::sqrt(2.0 / kDraws));
  EXPECT_NEAR(fourth / kDraws, 3.0, 6 * std::sqrt(96.0 / kDraws));
}

TEST(Rng, DrawsBelowABoundWithoutBias) {
  Rng rng(8);
  std::vector<int> counts(7);
  for (int i = 0; i < kDraws; ++i) ++counts[rng.below(7)];
  const double p = 1.0 / 7;
  for (const int count : counts) {
    EXPECT_NEAR(count, kDraws * p, 6 * std::sqrt(kDraws * p * (1 - p)));
  }
  EXPECT_EQ(rng.below(1), 0u);
}

TEST(Rng, ShufflesAllOrdersAlike) {
  Rng rng(9);
  std::vector<int> counts(6);
  for (int i = 0; i < kDraws; ++i) {
    std::vector<int> v = {0, 1, 2};
    rng.shuffle(v);
    ++counts[static_cast<std::size_t>(v[0] * 2 + (v[1] > v[2] ? 1 : 0))];
  }
  const double p = 1.0 / 6;
  for (const int count : counts) {
    EXPECT_NEAR(count, kDraws * p, 6 * std::sqrt(kDraws * p * (1 - p)));
  }
}

TEST(Rng, ForksIndependentStreamsWithoutMoving) {
  const Rng parent(10);
  const auto before = parent.state();
  EXPECT_NE(parent.fork(1).state(), parent.fork(2).state());
  EXPECT_EQ(parent.fork(1).state(), parent.fork(1).state());
  EXPECT_EQ(parent.state(), before);
}

}  // namespace
}  // namespace detente

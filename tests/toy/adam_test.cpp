// SPDX-License-Identifier: Apache-2.0
#include <detente/toy/adam.h>
#include <gtest/gtest.h>

#include <cmath>

namespace detente::toy {
namespace {

// m̂ = g and √v̂ = |g| in the first step, whatever the gradient's size.
TEST(Adam, FirstStepHasTheLengthOfTheLearningRate) {
  for (const double g : {1e-3, 1.0, -1e6}) {
    Adam adam(0.01);
    Vec2 x = {1, 2};
    adam.step(x, {g, 0});
    EXPECT_NEAR(x.x1, 1 - 0.01 * g / (std::abs(g) + 1e-8), 1e-15);
    EXPECT_EQ(x.x2, 2);
  }
}

// Two steps by hand: m = 0.9 (0.1 a) + 0.1 b, v = 0.999 (0.001 a²) + 0.001 b².
TEST(Adam, SecondStepFollowsTheFormula) {
  const double a = 2.0;
  const double b = -0.5;
  Adam adam(0.1);
  Vec2 x;
  adam.step(x, {a, 0});
  const double before = x.x1;
  adam.step(x, {b, 0});
  const double mean = (0.09 * a + 0.1 * b) / (1 - 0.81);
  const double square = (0.000999 * a * a + 0.001 * b * b) / (1 - 0.998001);
  EXPECT_NEAR(x.x1 - before, -0.1 * mean / (std::sqrt(square) + 1e-8), 1e-12);
}

TEST(Adam, FindsTheMinimumOfAParabola) {
  Adam adam(0.01);
  Vec2 x = {3, -4};
  for (int i = 0; i < 20000; ++i) adam.step(x, {2 * (x.x1 - 1), 20 * (x.x2 + 2)});
  EXPECT_NEAR(x.x1, 1, 1e-6);
  EXPECT_NEAR(x.x2, -2, 1e-6);
}

}  // namespace
}  // namespace detente::toy

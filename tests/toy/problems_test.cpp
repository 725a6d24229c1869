// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/rng.h>
#include <detente/toy/problems.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace detente::toy {
namespace {

using ::testing::HasSubstr;

constexpr double kDifference = 1e-6;  // step of a central difference
constexpr double kGradient = 1e-7;    // its error, relative, where the function is smooth
constexpr double kExact = 1e-12;

double norm(Vec2 g) { return std::hypot(g.x1, g.x2); }

void expect_gradients_match(const ToyProblem& problem, Vec2 x) {
  const Evaluation at = problem.evaluate(x);
  for (std::size_t i = 0; i < 2; ++i) {
    const auto loss = [&](double d1, double d2) {
      return problem.evaluate({x.x1 + d1, x.x2 + d2}).losses[i];
    };
    const double slope1 = (loss(kDifference, 0) - loss(-kDifference, 0)) / (2 * kDifference);
    const double slope2 = (loss(0, kDifference) - loss(0, -kDifference)) / (2 * kDifference);
    const double scale = 1 + norm(at.gradients[i]) * norm(at.gradients[i]);
    EXPECT_NEAR(at.gradients[i].x1, slope1, kGradient * scale)
        << problem.name << " " << i << " at " << x.x1 << ", " << x.x2;
    EXPECT_NEAR(at.gradients[i].x2, slope2, kGradient * scale)
        << problem.name << " " << i << " at " << x.x1 << ", " << x.x2;
  }
}

TEST(ToyProblems, HaveTheGradientsOfTheirLosses) {
  Rng rng(11);
  for (const auto& problem : problems()) {
    for (int i = 0; i < 2000; ++i) {
      const Box& view = problem.view;
      const Vec2 x = {view.low.x1 + (view.high.x1 - view.low.x1) * rng.uniform(),
                      view.low.x2 + (view.high.x2 - view.low.x2) * rng.uniform()};
      const Evaluation at = problem.evaluate(x);
      // Not across a kink: c1, c2 at x2 = 0 and the bottoms of the valleys.
      if (std::abs(x.x2) < 1e-3 || norm(at.gradients[0]) > 100 || norm(at.gradients[1]) > 100) {
        continue;
      }
      expect_gradients_match(problem, x);
    }
  }
}

TEST(CagradToy, HasItsTabulatedMinimum) {
  const ToyProblem& problem = find_problem("cagrad");
  const Evaluation at = problem.evaluate({0.0, -8.355});
  EXPECT_NEAR(at.losses[0], -15.0916, 1e-4);
  EXPECT_NEAR(at.losses[1], -15.0916, 1e-4);
  EXPECT_NEAR(at.gradients[0].x1 + at.gradients[1].x1, 0, kExact);
  EXPECT_NEAR(at.gradients[0].x2 + at.gradients[1].x2, 0, 1e-4);
}

TEST(CagradToy, CountsBothOneSidedDerivativesAtZero) {
  const ToyProblem& problem = find_problem("cagrad");
  const Evaluation at = problem.evaluate({0.0, 0.0});
  const Evaluation above = problem.evaluate({0.0, 1e-9});
  const Evaluation below = problem.evaluate({0.0, -1e-9});
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(at.losses[i], 0.0);
    EXPECT_NEAR(at.gradients[i].x2, above.gradients[i].x2 + below.gradients[i].x2, 1e-6);
  }
  // f1 = ln 3.5 + 6 and q1 = (49 + 6.4)/10 - 20, each with slope 1/2 and -1/2.
  EXPECT_NEAR(at.gradients[0].x2, 0.5 * (std::log(3.5) + 6) - 0.5 * (5.54 - 20), kExact);
}

// The printed formula of f2 has the other sign of tanh; at x2 = 3 they differ by 2 tanh 3 inside
// the logarithm.
TEST(CagradToy, FollowsTheCodeNotThePrint) {
  const Evaluation at = find_problem("cagrad").evaluate({0.0, 3.0});
  EXPECT_NEAR(at.losses[1], std::tanh(1.5) * (std::log(3.5 - std::tanh(3.0)) + 6), kExact);
}

TEST(CagradToy, IsSymmetricInTheLowerHalf) {
  const ToyProblem& problem = find_problem("cagrad");
  const Evaluation right = problem.evaluate({3.0, -5.0});
  const Evaluation left = problem.evaluate({-3.0, -5.0});
  EXPECT_DOUBLE_EQ(right.losses[0], left.losses[1]);
  EXPECT_DOUBLE_EQ(right.gradients[0].x1, -left.gradients[1].x1);
}

TEST(CagradToy, HasAParetoSetOfParetoStationaryPoints) {
  const ToyProblem& problem = find_problem("cagrad");
  ASSERT_GT(problem.pareto_set.size(), 10U);
  EXPECT_EQ(problem.pareto_set.front().x1, -7);
  EXPECT_EQ(problem.pareto_set.back().x1, 7);
  for (const Vec2 x : problem.pareto_set) {
    EXPECT_LT(min_norm(problem.evaluate(x)), 1e-9);
    EXPECT_GT(x.x2, -8.45);
    EXPECT_LT(x.x2, -8.35);
  }
  EXPECT_GT(min_norm(problem.evaluate({0.0, -7.0})), 0.01);
}

TEST(ToyProblems, HaveFlatFloorsInTheirValleys) {
  const Evaluation cagrad = find_problem("cagrad").evaluate({-7 + 2 * std::tanh(2.0), 2.0});
  EXPECT_NEAR(cagrad.losses[0], std::tanh(1.0) * (std::log(5e-6) + 6), kExact);
  EXPECT_EQ(cagrad.gradients[0].x1, 0);
  const ToyProblem& problem = find_problem("pcgrad");
  for (const Vec2 x : problem.pareto_set) {
    // The first point lies on the brink of the floor.
    const Evaluation at = problem.evaluate({x.x1, x.x2 + 1e-6});
    EXPECT_DOUBLE_EQ(at.losses[0], 20 * std::log(5e-6));
    EXPECT_DOUBLE_EQ(at.losses[1], 25 * std::log(5e-6));
    EXPECT_EQ(min_norm(at), 0);
  }
}

// Tabulated at the start of the PCGrad paper's run.
TEST(PcgradToy, StartsInConflict) {
  const ToyProblem& problem = find_problem("pcgrad");
  const Evaluation at = problem.evaluate(problem.starts.at(0));
  EXPECT_NEAR(at.losses[1], 29.43, 0.005);
  const auto [a, b] = at.gradients;
  const double cosine = (a.x1 * b.x1 + a.x2 * b.x2) / (norm(a) * norm(b));
  const double similarity = 2 * norm(a) * norm(b) / (norm(a) * norm(a) + norm(b) * norm(b));
  EXPECT_NEAR(std::abs(cosine), 0.999, 0.001);
  EXPECT_NEAR(similarity, 0.53, 0.005);
}

TEST(MinNorm, IsTheDistanceOfASegmentFromTheOrigin) {
  const auto of = [](Vec2 a, Vec2 b) { return min_norm({{}, {a, b}}); };
  EXPECT_DOUBLE_EQ(of({1, 1}, {1, -1}), 1);  // inside the segment
  EXPECT_DOUBLE_EQ(of({3, 4}, {6, 8}), 5);   // its nearer end
  EXPECT_DOUBLE_EQ(of({6, 8}, {3, 4}), 5);
  EXPECT_DOUBLE_EQ(of({2, 0}, {-7, 0}), 0);  // opposed
  EXPECT_DOUBLE_EQ(of({2, 0}, {2, 0}), 2);   // equal
  EXPECT_DOUBLE_EQ(of({0, 0}, {5, 1}), 0);
}

TEST(FindProblem, SuggestsTheNearestName) {
  try {
    find_problem("cagrat");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.what(), HasSubstr("expected one of: cagrad, pcgrad. Did you mean 'cagrad'?"));
  }
}

TEST(ToyProblems, AreAtLeastOneWithTheirShift) {
  Rng rng(12);
  for (const auto& problem : problems()) {
    for (int i = 0; i < 20'000; ++i) {
      const Vec2 x = {40.0 * rng.uniform() - 20.0, 40.0 * rng.uniform() - 20.0};
      const Evaluation at = problem.evaluate(x);
      for (std::size_t k = 0; k < 2; ++k) EXPECT_GE(at.losses[k] + problem.shift[k], 1.0 - 1e-12);
    }
  }
  // Where a logarithm of the second problem rests on its floor.
  const ToyProblem& problem = find_problem("pcgrad");
  EXPECT_NEAR(problem.evaluate({-2, 9}).losses[1] + problem.shift[1], 1.0, 1e-12);
}

}  // namespace
}  // namespace detente::toy

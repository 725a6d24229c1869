// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/dibs.h>
#include <gtest/gtest.h>

#include "tests/support/problems.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

// The rule in coordinates.
std::vector<double> bargain(const Matrix& jacobian, const DibsOptions& options) {
  const std::size_t p = jacobian.cols();
  std::vector<double> x(p, 0.0);
  for (std::int64_t step = 0; step < options.steps; ++step) {
    std::vector<double> move(p, 0.0);
    for (std::size_t i = 0; i < jacobian.rows(); ++i) {
      auto wish = row_of(jacobian, i);
      const double norm = norm_of(wish);
      for (double& w : wish) w /= norm;
      auto gap = x;
      for (std::size_t q = 0; q < p; ++q) gap[q] -= wish[q];
      for (std::size_t q = 0; q < p; ++q) move[q] += norm_of(gap) * wish[q];
    }
    for (std::size_t q = 0; q < p; ++q) {
      x[q] += options.rate / static_cast<double>(options.steps) * move[q];
    }
    const double length = norm_of(x);
    if (length <= 1) continue;
    for (double& value : x) value /= length;
    break;
  }
  for (double& value : x) value *= options.radius;
  return x;
}

TEST(Dibs, AgreesWithTheRuleInCoordinates) {
  Rng rng(921);
  for (const Family family : {Family::kGaussian,
                              Family::kConflicting,
                              Family::kAligned,
                              Family::kRankDeficient,
                              Family::kBadlyScaled}) {
    for (const std::size_t k : {1, 2, 5, 17, 64}) {
      for (const DibsOptions& options :
           {DibsOptions{}, DibsOptions{.radius = 3, .rate = 0.01, .steps = 7}}) {
        const Matrix jacobian = problem_of(family, k, rng);
        const auto d = direction_of(jacobian, dibs(gram_of(jacobian), options).weights);
        const auto expected = bargain(jacobian, options);
        for (std::size_t q = 0; q < d.size(); ++q) {
          EXPECT_NEAR(d[q], expected[q], kAccumulated * options.radius) << "k=" << k;
        }
      }
    }
  }
}

TEST(Dibs, ApproachesTheWishOfASingleTask) {
  const Matrix gram = gram_of(matrix_of({{3, 4}}));
  const double expected = 2.0 * (1 - std::pow(1 - 1.0 / 6, 6)) / 5;  // along g, of norm 5
  EXPECT_NEAR(dibs(gram, {.radius = 2, .steps = 6}).weights[0], expected, kRounding);
}

TEST(Dibs, NeverExceedsTheRadius) {
  Rng rng(922);
  for (const auto& [family, name] : families()) {
    for (const double rate : {0.1, 1.0, 50.0}) {
      const Matrix jacobian = problem_of(family, 9, rng);
      const auto d = direction_of(jacobian, dibs(gram_of(jacobian), {.rate = rate}).weights);
      EXPECT_LE(norm_of(d), 1 + kAccumulated) << name;
    }
  }
}

TEST(Dibs, GivesTheSumOfUnitGradientsInOneSmallStep) {
  Rng rng(923);
  const Matrix jacobian = problem_of(Family::kGaussian, 4, rng);
  const auto w = dibs(gram_of(jacobian), {.rate = 0.01, .steps = 1}).weights;
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_NEAR(w[i] * norm_of(row_of(jacobian, i)), 0.01, kRounding);
  }
}

TEST(Dibs, StandsStillBetweenOppositeGradients) {
  const Matrix jacobian = matrix_of({{2, 1}, {-6, -3}});
  for (const double x : direction_of(jacobian, dibs(gram_of(jacobian)).weights)) {
    EXPECT_NEAR(x, 0.0, kRounding);
  }
}

}  // namespace
}  // namespace detente::balance

// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/fairgrad.h>
#include <detente/balance/nash_mtl.h>
#include <detente/core/error.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/support/problems.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

TEST(Fairgrad, SolvesItsEquationOnHundredsOfProblems) {
  Rng rng(701);
  for (const Family family : {Family::kGaussian,
                              Family::kConflicting,
                              Family::kAligned,
                              Family::kCollinear,
                              Family::kDuplicated}) {
    for (const std::size_t k : {2, 3, 5, 8, 16, 40}) {
      for (const double alpha : {0.3, 0.5, 1.0, 2.0, 5.0}) {
        SCOPED_TRACE(testing::Message()
                     << static_cast<int>(family) << " k=" << k << " alpha=" << alpha);
        const Matrix gram = gram_of(problem_of(family, k, rng));
        const Result result = fairgrad(gram, {.alpha = alpha});
        EXPECT_EQ(result.stop, StopReason::kConverged) << result.message;
        const auto inner = times(gram, result.weights);
        for (std::size_t i = 0; i < k; ++i) {
          EXPECT_NEAR(inner[i] * std::pow(result.weights[i], 1 / alpha), 1.0, kCertificate);
        }
      }
    }
  }
}

TEST(Fairgrad, IsNashForAlphaOne) {
  Rng rng(702);
  const Matrix gram = gram_of(problem_of(Family::kConflicting, 6, rng));
  const auto fair = fairgrad(gram).weights;
  const auto nash = nash_mtl(gram).weights;
  for (int i = 0; i < 6; ++i) EXPECT_NEAR(fair[i], nash[i], kAccumulated * nash[i]);
}

TEST(Fairgrad, TendsToEqualWeightsForSmallAlpha) {
  // For α → 0 the k-th root makes all weights 1.
  Rng rng(703);
  const Matrix gram = gram_of(problem_of(Family::kAligned, 4, rng));
  double spread_small = 0, spread_one = 0;
  for (const double alpha : {0.1, 1.0}) {
    const auto w = fairgrad(gram, {.alpha = alpha}).weights;
    const auto [low, high] = std::minmax_element(w.begin(), w.end());
    (alpha < 1 ? spread_small : spread_one) = *high / *low;
  }
  EXPECT_LT(spread_small, spread_one);
  EXPECT_LT(spread_small, 1.6);
}

TEST(Fairgrad, EqualizesImprovementsForLargeAlpha) {
  Rng rng(704);
  const Matrix gram = gram_of(problem_of(Family::kGaussian, 5, rng));
  const auto inner = times(gram, fairgrad(gram, {.alpha = 10}).weights);
  const auto [low, high] = std::minmax_element(inner.begin(), inner.end());
  const auto one = times(gram, fairgrad(gram).weights);
  const auto [low_one, high_one] = std::minmax_element(one.begin(), one.end());
  EXPECT_LT(*high / *low, std::sqrt(*high_one / *low_one));
}

TEST(Fairgrad, ScalesByItsDegree) {
  Rng rng(705);
  const Matrix jacobian = problem_of(Family::kGaussian, 5, rng);
  for (const double alpha : {0.5, 2.0}) {
    const auto d = direction_of(jacobian, fairgrad(gram_of(jacobian), {.alpha = alpha}).weights);
    for (const double s : {1e-6, 1e6}) {
      const Matrix larger = scaled(jacobian, s);
      const auto e = direction_of(larger, fairgrad(gram_of(larger), {.alpha = alpha}).weights);
      const double factor = std::pow(s, (1 - alpha) / (1 + alpha));
      for (std::size_t p = 0; p < d.size(); ++p) {
        EXPECT_NEAR(e[p] / factor, d[p], kCertificate * norm_of(d));
      }
    }
  }
}

TEST(Fairgrad, FollowsTheClosedFormForIdenticalRows) {
  const double alpha = 2.0;
  const Matrix jacobian = matrix_of({{3, 4}, {3, 4}, {3, 4}});
  const auto d = direction_of(jacobian, fairgrad(gram_of(jacobian), {.alpha = alpha}).weights);
  const double factor = std::pow(3.0, 1 / (1 + alpha)) * std::pow(5.0, -2 * alpha / (1 + alpha));
  EXPECT_NEAR(d[0], 3 * factor, kAccumulated);
  EXPECT_NEAR(d[1], 4 * factor, kAccumulated);
}

TEST(Fairgrad, RefusesIllegalFairness) {
  const Matrix gram = gram_of(matrix_of({{1, 0}, {0, 1}}));
  for (const double alpha : {0.0, -1.0, 100.0}) {
    EXPECT_THROW(fairgrad(gram, {.alpha = alpha}), Error) << alpha;
  }
}

}  // namespace
}  // namespace detente::balance

// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/mgda.h>
#include <detente/core/error.h>
#include <gtest/gtest.h>

#include "tests/support/methods.h"
#include "tests/support/problems.h"
#include "tests/support/slow_solvers.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

// The optimality condition, recomputed: every row's inner product reaches ‖d‖², relative to the
// norms that are multiplied.
void expect_optimal(const Matrix& gram, const std::vector<double>& w) {
  const auto inner = times(gram, w);
  const double value = dot(w, inner);
  double mean_norm = 0;
  for (std::size_t i = 0; i < w.size(); ++i) mean_norm += w[i] * std::sqrt(gram(i, i));
  expect_on_simplex(w);
  for (std::size_t i = 0; i < w.size(); ++i) {
    EXPECT_GE(inner[i], value - kCertificate * std::sqrt(gram(i, i)) * mean_norm) << "row " << i;
  }
}

TEST(Mgda, IsOptimalOnHundredsOfProblems) {
  Rng rng(101);
  for (const auto& [family, name] : families()) {
    for (const std::size_t k : {2, 3, 4, 5, 8, 16, 33, 64}) {
      for (int round = 0; round < 8; ++round) {
        SCOPED_TRACE(testing::Message() << name << " k=" << k << " round " << round);
        const Matrix gram = gram_of(problem_of(family, k, rng));
        const Result result = mgda(gram);
        expect_optimal(gram, result.weights);
        EXPECT_LE(result.certificate, kCertificate);
        EXPECT_EQ(result.stop, StopReason::kConverged);
      }
    }
  }
}

TEST(Mgda, AgreesWithTheEnumerationOfFaces) {
  Rng rng(102);
  for (const auto& [family, name] : families()) {
    if (family == Family::kBadlyScaled) continue;  // beyond the enumeration's plain elimination
    for (const std::size_t k : {2, 3, 5, 7}) {
      SCOPED_TRACE(testing::Message() << name << " k=" << k);
      const Matrix gram = gram_of(problem_of(family, k, rng));
      const auto w = mgda(gram).weights;
      double smallest = std::numeric_limits<double>::infinity();
      for (std::size_t i = 0; i < k; ++i) smallest = std::min(smallest, gram(i, i));
      EXPECT_NEAR(dot(w, times(gram, w)), min_norm_by_enumeration(gram), kCertificate * smallest);
    }
  }
}

TEST(Mgda, AgreesWithProjectedGradient) {
  Rng rng(103);
  for (const std::size_t k : {10, 30}) {
    const Matrix gram = gram_of(problem_of(Family::kAligned, k, rng));
    const Eigen::MatrixXd g = eigen_of(gram);
    const Eigen::VectorXd reference = minimize_on_simplex(
        g.rows(),
        [&](const Eigen::VectorXd& w) { return 0.5 * w.dot(g * w); },
        [&](const Eigen::VectorXd& w) { return Eigen::VectorXd(g * w); },
        20000);
    const Eigen::VectorXd w = eigen_of(mgda(gram).weights);
    EXPECT_NEAR((w - reference).lpNorm<Eigen::Infinity>(), 0.0, kReference);
  }
}

TEST(Mgda, FollowsTheClosedFormForTwoTasks) {
  Rng rng(104);
  for (int round = 0; round < 200; ++round) {
    const Matrix gram = gram_of(random_jacobian(2, 3, rng));
    const double g11 = gram(0, 0), g12 = gram(0, 1), g22 = gram(1, 1);
    const double w1 = std::clamp((g22 - g12) / (g11 + g22 - 2 * g12), 0.0, 1.0);
    EXPECT_NEAR(mgda(gram).weights[0], w1, kRounding);
  }
}

TEST(Mgda, KeepsADominatedTaskAtExactlyZero) {
  // The published solver leaves 0.1 % on it.
  const auto w = mgda(gram_of(matrix_of({{1, 0}, {3, 0.1}}))).weights;
  EXPECT_EQ(w[0], 1.0);
  EXPECT_EQ(w[1], 0.0);
}

TEST(Mgda, ReachesZeroForOppositeGradients) {
  const Result result = mgda(gram_of(matrix_of({{2, 0}, {-1, 0}})));
  EXPECT_NEAR(result.weights[0], 1.0 / 3, kRounding);
  EXPECT_FALSE(result.message.empty());
}

TEST(Mgda, FindsZeroInsideASimplexOfGradients) {
  const Matrix jacobian = matrix_of({{1, 0}, {-0.5, 0.8}, {-0.5, -0.8}, {5, 5}});
  const auto w = mgda(gram_of(jacobian)).weights;
  EXPECT_NEAR(norm_of(direction_of(jacobian, w)), 0.0, kRounding);
}

TEST(Mgda, GivesAllWeightToAZeroGradient) {
  const Result result = mgda(gram_of(matrix_of({{1, 2}, {0, 0}, {3, 1}})));
  EXPECT_EQ(result.weights, (std::vector<double>{0, 1, 0}));
  EXPECT_EQ(result.stop, StopReason::kDegenerate);
  EXPECT_FALSE(result.message.empty());
}

TEST(Mgda, IsUniformWhenAllGradientsAreZero) {
  EXPECT_EQ(mgda(Matrix(4, 4)).weights, std::vector<double>(4, 0.25));
}

TEST(Mgda, SurvivesNormsTwentyFourOrdersApart) {
  const Matrix gram = gram_of(matrix_of({{1e12, 0}, {0, 1e-12}}));
  const auto w = mgda(gram).weights;
  EXPECT_NEAR(w[0] / 1e-48, 1.0, kRounding);
  EXPECT_EQ(w[1], 1.0);
}

TEST(Mgda, IsUnchangedByExtremeScales) {
  Rng rng(105);
  const Matrix jacobian = problem_of(Family::kConflicting, 6, rng);
  const auto w = mgda(gram_of(jacobian)).weights;
  for (const double s : {1e-150, 1e-30, 1e-6, 1e6, 1e30, 1e150}) {
    const auto scaled_w = mgda(gram_of(scaled(jacobian, s))).weights;
    for (std::size_t i = 0; i < w.size(); ++i) EXPECT_NEAR(scaled_w[i], w[i], kRounding) << s;
  }
}

TEST(Mgda, NormalizesByTheGradientNorm) {
  Rng rng(106);
  const Matrix jacobian = problem_of(Family::kGaussian, 5, rng);
  std::vector<double> inverse(5);
  for (std::size_t i = 0; i < 5; ++i) inverse[i] = 1.0 / norm_of(row_of(jacobian, i));
  const auto direct = mgda(gram_of(scaled_rows(jacobian, inverse))).weights;
  const auto w = mgda(gram_of(jacobian), {.normalizer = MgdaOptions::Normalizer::kL2}).weights;
  for (std::size_t i = 0; i < 5; ++i) EXPECT_NEAR(w[i], direct[i], kRounding);
}

TEST(Mgda, NormalizesByLossAndByBoth) {
  Rng rng(107);
  const Matrix jacobian = problem_of(Family::kGaussian, 4, rng);
  const std::vector<double> losses = {0.5, 2.0, 7.0, 1e-3};
  std::vector<double> by_loss(4), by_both(4);
  for (std::size_t i = 0; i < 4; ++i) {
    by_loss[i] = 1.0 / losses[i];
    by_both[i] = by_loss[i] / norm_of(row_of(jacobian, i));
  }
  const Matrix gram = gram_of(jacobian);
  const auto loss = mgda(gram, {.normalizer = MgdaOptions::Normalizer::kLoss}, losses).weights;
  const auto both = mgda(gram, {.normalizer = MgdaOptions::Normalizer::kLossPlus}, losses).weights;
  const auto loss_direct = mgda(gram_of(scaled_rows(jacobian, by_loss))).weights;
  const auto both_direct = mgda(gram_of(scaled_rows(jacobian, by_both))).weights;
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_NEAR(loss[i], loss_direct[i], kRounding);
    EXPECT_NEAR(both[i], both_direct[i], kRounding);
  }
}

TEST(Mgda, RefusesLossNormalizersWithoutPositiveLosses) {
  const Matrix gram = gram_of(matrix_of({{1, 0}, {0, 1}}));
  const MgdaOptions options{.normalizer = MgdaOptions::Normalizer::kLoss};
  EXPECT_THROW(mgda(gram, options), Error);
  const std::vector<double> losses = {1.0, 0.0};
  try {
    mgda(gram, options, losses);
    FAIL() << "a loss of zero was accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNumeric);
    EXPECT_NE(std::string(error.what()).find("task 1"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace detente::balance

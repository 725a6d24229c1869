// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/config.h>
#include <detente/core/error.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/problems.h"
#include "tests/support/slow_solvers.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

TEST(Config, HasTheSamePositiveCosineWithEveryIndependentGradient) {
  Rng rng(901);
  for (const Family family : {Family::kGaussian, Family::kConflicting, Family::kBadlyScaled}) {
    for (const std::size_t k : {2, 3, 6, 12}) {
      const Matrix jacobian = problem_of(family, k, rng);
      const auto d = direction_of(jacobian, config(gram_of(jacobian)).weights);
      const Eigen::MatrixXd rows = eigen_of(jacobian).rowwise().normalized();
      const Eigen::VectorXd cosines = rows * eigen_of(d).normalized();
      const Eigen::MatrixXd c = rows * rows.transpose();
      const double expected = 1 / std::sqrt(c.ldlt().solve(Eigen::VectorXd::Ones(c.rows())).sum());
      for (Eigen::Index i = 0; i < cosines.size(); ++i) {
        EXPECT_NEAR(cosines[i], expected, kCertificate) << static_cast<int>(family) << " k=" << k;
      }
    }
  }
}

TEST(Config, AgreesWithLeastSquaresOnTheGradients) {
  // The paper's definition on U itself: û = U⁺1/‖U⁺1‖, d = Σ⟨g_i, û⟩ û.
  Rng rng(902);
  for (const Family family : {Family::kGaussian, Family::kRankDeficient}) {
    const Matrix jacobian = problem_of(family, 7, rng);
    const Eigen::MatrixXd rows = eigen_of(jacobian);
    const Eigen::VectorXd u = rows.rowwise()
                                  .normalized()
                                  .completeOrthogonalDecomposition()
                                  .solve(Eigen::VectorXd::Ones(7))
                                  .normalized();
    const Eigen::VectorXd expected = (rows * u).sum() * u;
    const Eigen::VectorXd d = eigen_of(direction_of(jacobian, config(gram_of(jacobian)).weights));
    EXPECT_NEAR((d - expected).norm(), 0.0, kCertificate * expected.norm());
  }
}

TEST(Config, MatchesThePublishedCounterexampleOfImtlG) {
  const Matrix gram = gram_of(matrix_of({{1, 0, 0}, {0, 1, 0}, {0.07, 0.07, 0.01}}));
  const auto weights = config(gram).weights;
  EXPECT_NEAR(weights[0], 3.348, kLimit);
  EXPECT_NEAR(weights[1], 3.348, kLimit);
  EXPECT_NEAR(weights[2], -46.20, 10 * kLimit);
}

TEST(Config, MultipliesIdenticalRowsByTheirNumber) {
  const Matrix jacobian = matrix_of({{1, 2}, {1, 2}, {1, 2}});
  const auto d = direction_of(jacobian, config(gram_of(jacobian)).weights);
  EXPECT_NEAR(d[0], 3.0, kAccumulated);
  EXPECT_NEAR(d[1], 6.0, kAccumulated);
}

TEST(Config, SaysWhenNoEqualAngleExists) {
  const Result result = config(gram_of(matrix_of({{1, 0}, {-1, 0}})));
  EXPECT_EQ(result.stop, StopReason::kDegenerate);
  EXPECT_EQ(result.weights, std::vector<double>(2, 0.0));
}

}  // namespace
}  // namespace detente::balance

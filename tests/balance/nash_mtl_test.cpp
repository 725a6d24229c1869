// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/nash_mtl.h>
#include <detente/core/error.h>
#include <gtest/gtest.h>

#include "tests/support/problems.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

TEST(NashMtl, SolvesTheBargainOnHundredsOfProblems) {
  Rng rng(601);
  for (const Family family : {Family::kGaussian,
                              Family::kConflicting,
                              Family::kAligned,
                              Family::kCollinear,
                              Family::kBadlyScaled,
                              Family::kDuplicated}) {
    for (const std::size_t k : {2, 3, 4, 5, 8, 16, 32, 64}) {
      for (int round = 0; round < 8; ++round) {
        SCOPED_TRACE(testing::Message() << static_cast<int>(family) << " k=" << k);
        const Matrix gram = gram_of(problem_of(family, k, rng));
        const Result result = nash_mtl(gram);
        EXPECT_EQ(result.stop, StopReason::kConverged) << result.message;
        EXPECT_LE(result.certificate, kAccumulated);
        const auto inner = times(gram, result.weights);
        for (std::size_t i = 0; i < k; ++i) {
          EXPECT_GT(result.weights[i], 0.0);
          // Relative to the terms: badly scaled rows cancel in the product.
          double size = 1;
          for (std::size_t j = 0; j < k; ++j) {
            size += result.weights[i] * std::abs(gram(i, j)) * result.weights[j];
          }
          EXPECT_NEAR(inner[i] * result.weights[i], 1.0, kCertificate * size) << i;
        }
      }
    }
  }
}

TEST(NashMtl, HasTheLengthSqrtK) {
  Rng rng(602);
  for (const double scale : {1e-6, 1.0, 1e6}) {
    const Matrix gram = gram_of(scaled(problem_of(Family::kGaussian, 7, rng), scale));
    const auto weights = nash_mtl(gram).weights;
    EXPECT_NEAR(dot(weights, times(gram, weights)), 7.0, kCertificate);
  }
}

TEST(NashMtl, GivesTheUnitGradientForOneTask) {
  EXPECT_NEAR(nash_mtl(gram_of(matrix_of({{3, 4}}))).weights[0], 0.2, kRounding);
}

TEST(NashMtl, GivesSqrtKForIdenticalRows) {
  const Matrix jacobian = matrix_of({{3, 4}, {3, 4}, {3, 4}, {3, 4}});
  const auto d = direction_of(jacobian, nash_mtl(gram_of(jacobian)).weights);
  EXPECT_NEAR(d[0], 2 * 0.6, kAccumulated);
  EXPECT_NEAR(d[1], 2 * 0.8, kAccumulated);
}

TEST(NashMtl, InvertsTheNormsOfOrthogonalRows) {
  const auto weights = nash_mtl(gram_of(matrix_of({{1e6, 0}, {0, 1e-6}}))).weights;
  EXPECT_NEAR(weights[0] * 1e6, 1.0, kAccumulated);
  EXPECT_NEAR(weights[1] * 1e-6, 1.0, kAccumulated);
}

TEST(NashMtl, SaysWhenThereIsNoAgreement) {
  for (const auto& rows : std::vector<std::vector<std::vector<double>>>{
           {{1, 2}, {-1, -2}}, {{1, 0}, {-0.5, 0.8}, {-0.5, -0.8}}}) {
    const Matrix jacobian = matrix_of(rows);
    const Result result = nash_mtl(gram_of(jacobian));
    EXPECT_EQ(result.stop, StopReason::kDegenerate);
    EXPECT_NE(result.message.find("Pareto"), std::string::npos);
    EXPECT_NEAR(norm_of(direction_of(jacobian, result.weights)), 0.0, kRounding);
  }
}

TEST(NashMtl, LeavesZeroRowsOut) {
  const auto weights = nash_mtl(gram_of(matrix_of({{1, 2}, {0, 0}, {-1, 1}}))).weights;
  const auto without = nash_mtl(gram_of(matrix_of({{1, 2}, {-1, 1}}))).weights;
  EXPECT_NEAR(weights[0], without[0], kRounding);
  EXPECT_EQ(weights[1], 0.0);
  EXPECT_NEAR(weights[2], without[1], kRounding);
}

}  // namespace
}  // namespace detente::balance

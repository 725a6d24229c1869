// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/aligned_mtl.h>
#include <detente/core/error.h>
#include <gtest/gtest.h>

#include <utility>

#include "tests/support/problems.h"
#include "tests/support/slow_solvers.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

// B G B for B with B p = w for every unit preference p.
Eigen::MatrixXd aligned_gram(const Matrix& gram, AlignedMtlOptions options) {
  const auto k = static_cast<Eigen::Index>(gram.rows());
  Eigen::MatrixXd b(k, k);
  for (Eigen::Index i = 0; i < k; ++i) {
    options.preference.assign(gram.rows(), 0.0);
    options.preference[static_cast<std::size_t>(i)] = 1.0;
    b.col(i) = eigen_of(aligned_mtl(gram, options).weights);
  }
  return b.transpose() * eigen_of(gram) * b;
}

TEST(AlignedMtl, MakesAllSingularValuesEqual) {
  Rng rng(1001);
  for (const std::size_t k : {2, 3, 6, 12}) {
    const Matrix gram = gram_of(problem_of(Family::kConflicting, k, rng));
    const Eigen::VectorXd values =
        Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd>(eigen_of(gram)).eigenvalues();
    const auto size = static_cast<Eigen::Index>(k);
    const double median = 0.5 * (values[(size - 1) / 2] + values[size / 2]);
    using Scale = AlignedMtlOptions::Scale;
    for (const auto& [scale, sigma2] : std::vector<std::pair<Scale, double>>{
             {Scale::kMin, values[0]}, {Scale::kMedian, median}, {Scale::kRmse, values.mean()}}) {
      const Eigen::MatrixXd aligned = aligned_gram(gram, {.scale = scale});
      EXPECT_NEAR((aligned - sigma2 * Eigen::MatrixXd::Identity(size, size)).norm(),
                  0.0,
                  kCertificate * values[size - 1]);
    }
  }
}

TEST(AlignedMtl, AlignsWithinTheSpanOfDependentGradients) {
  Rng rng(1002);
  const Matrix gram = gram_of(problem_of(Family::kRankDeficient, 6, rng));
  const Eigen::VectorXd values =
      Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd>(aligned_gram(gram, {})).eigenvalues();
  // Rank 4 of 6: two vanish, four are equal.
  EXPECT_NEAR(values[1] / values[5], 0.0, kCertificate);
  EXPECT_NEAR(values[2] / values[5], 1.0, kCertificate);
}

TEST(AlignedMtl, KeepsOrthogonalEqualGradients) {
  Matrix gram(3, 3);
  for (int i = 0; i < 3; ++i) gram(i, i) = 4.0;
  const auto weights = aligned_mtl(gram, {.preference = {1, 2, 3}}).weights;
  for (int i = 0; i < 3; ++i) EXPECT_NEAR(weights[i], i + 1.0, kRounding);
}

}  // namespace
}  // namespace detente::balance

// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/linear_program.h>
#include <detente/core/rng.h>
#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "tests/support/tolerances.h"

namespace detente::balance::internal {
namespace {

using namespace detente::test;

// The best vertex of {x in Δ, Ax >= 0}: n - 1 of the constraints hold with equality there. NaN when
// there is none.
double best_vertex(const std::vector<double>& c, const std::vector<double>& a) {
  const auto n = static_cast<Eigen::Index>(c.size());
  const auto m = static_cast<Eigen::Index>(a.size()) / n;
  Eigen::MatrixXd rows(m + n, n);
  for (Eigen::Index i = 0; i < m; ++i) {
    for (Eigen::Index j = 0; j < n; ++j) rows(i, j) = a[static_cast<std::size_t>(i * n + j)];
  }
  rows.bottomRows(n) = Eigen::MatrixXd::Identity(n, n);
  double best = std::numeric_limits<double>::quiet_NaN();
  for (unsigned bits = 0; bits < (1U << (m + n)); ++bits) {
    if (__builtin_popcount(bits) != n - 1) continue;
    Eigen::MatrixXd system(n, n);
    system.row(0).setOnes();
    for (Eigen::Index i = 0, next = 1; i < m + n; ++i) {
      if ((bits >> i) & 1U) system.row(next++) = rows.row(i);
    }
    const Eigen::FullPivLU<Eigen::MatrixXd> factor(system);
    if (!factor.isInvertible()) continue;
    const Eigen::VectorXd x = factor.solve(Eigen::VectorXd::Unit(n, 0));
    if ((rows * x).minCoeff() < -kAccumulated) continue;
    const double value = x.dot(Eigen::Map<const Eigen::VectorXd>(c.data(), n));
    if (std::isnan(best) || value > best) best = value;
  }
  return best;
}

double value_of(const std::vector<double>& c, const std::vector<double>& x) {
  return std::inner_product(c.begin(), c.end(), x.begin(), 0.0);
}

std::vector<double> random_numbers(std::size_t count, Rng& rng) {
  std::vector<double> values(count);
  for (double& v : values) v = rng.normal();
  return values;
}

TEST(SimplexProgram, FindsTheBestVertex) {
  Rng rng(901);
  SimplexProgram program;
  int infeasible = 0;
  for (const std::size_t n : {1, 2, 3, 4, 5}) {
    for (const std::size_t m : {0, 1, 2, 4, 6}) {
      for (int round = 0; round < 12; ++round) {
        SCOPED_TRACE(testing::Message() << "n=" << n << " m=" << m << " round " << round);
        const auto c = random_numbers(n, rng);
        const auto a = random_numbers(m * n, rng);
        const double best = best_vertex(c, a);
        ASSERT_EQ(program.solve(c, a), !std::isnan(best));
        if (std::isnan(best)) {
          ++infeasible;
          continue;
        }
        EXPECT_NEAR(value_of(c, program.x()), best, kAccumulated);
        EXPECT_LE(program.certificate(), kRounding);
      }
    }
  }
  EXPECT_GT(infeasible, 20);  // both kinds were seen
}

TEST(SimplexProgram, ProvesOptimalityOfLargePrograms) {
  Rng rng(902);
  SimplexProgram program;
  for (const std::size_t n : {8, 16, 33, 64}) {
    for (int round = 0; round < 10; ++round) {
      const auto c = random_numbers(n, rng);
      auto a = random_numbers(n * n, rng);
      for (std::size_t i = 0; i < n; ++i) a[i * n + i] += std::sqrt(static_cast<double>(n));
      ASSERT_TRUE(program.solve(c, a));
      EXPECT_LE(program.certificate(), kCertificate);
      // Weak duality by hand: no feasible x exceeds max_j (c + Aᵀy)_j with y >= 0.
      double bound = -std::numeric_limits<double>::infinity();
      for (std::size_t j = 0; j < n; ++j) {
        double sum = c[j];
        for (std::size_t i = 0; i < n; ++i) {
          ASSERT_GE(program.multipliers()[i], 0.0);
          sum += program.multipliers()[i] * a[i * n + j];
        }
        bound = std::max(bound, sum);
      }
      EXPECT_NEAR(value_of(c, program.x()), bound, kCertificate);
      for (std::size_t i = 0; i < n; ++i) {
        double slack = 0;
        for (std::size_t j = 0; j < n; ++j) slack += a[i * n + j] * program.x()[j];
        EXPECT_GE(slack, -kCertificate);
      }
    }
  }
}

TEST(SimplexProgram, EndsOnDegeneratePrograms) {
  // Every row several times, and an objective that is a row: ties everywhere.
  Rng rng(903);
  SimplexProgram program;
  for (const std::size_t n : {3, 6, 12}) {
    const auto row = random_numbers(n, rng);
    std::vector<double> a;
    for (std::size_t i = 0; i < 2 * n; ++i) a.insert(a.end(), row.begin(), row.end());
    ASSERT_TRUE(program.solve(row, a));
    EXPECT_NEAR(value_of(row, program.x()), *std::max_element(row.begin(), row.end()), kRounding);
    ASSERT_TRUE(program.solve(std::vector<double>(n, 0.0), a));
    EXPECT_GE(value_of(row, program.x()), -kRounding);
  }
}

TEST(SimplexProgram, SaysWhenNothingIsFeasible) {
  SimplexProgram program;
  EXPECT_FALSE(program.solve({1, 2}, {-1, -1}));
  EXPECT_FALSE(program.solve({1, 2}, {1, -1, -2, 1}));
  EXPECT_TRUE(program.solve({1, 2}, {1, -1, -1, 1}));
  EXPECT_NEAR(program.x()[0], 0.5, kRounding);
}

TEST(SimplexProgram, IgnoresTheScaleOfRowsAndObjective) {
  Rng rng(904);
  SimplexProgram program;
  const auto c = random_numbers(6, rng);
  auto a = random_numbers(24, rng);
  for (std::size_t i = 0; i < 4; ++i) a[i * 6 + i] += 3.0;
  ASSERT_TRUE(program.solve(c, a));
  const auto x = program.x();
  auto scaled_c = c;
  auto scaled_a = a;
  for (double& value : scaled_c) value *= 1e150;
  for (std::size_t i = 0; i < 24; ++i) scaled_a[i] *= std::pow(10.0, i / 6 * 60.0 - 120.0);
  ASSERT_TRUE(program.solve(scaled_c, scaled_a));
  for (std::size_t j = 0; j < 6; ++j) EXPECT_NEAR(program.x()[j], x[j], kRounding);
}

TEST(SimplexProgram, TakesVariablesInAnyUnit) {
  // In z_j = t_j x_j the program is one over the probability simplex.
  Rng rng(905);
  SimplexProgram program;
  for (int round = 0; round < 20; ++round) {
    constexpr std::size_t n = 8;
    const auto c = random_numbers(n, rng);
    auto a = random_numbers(n * n, rng);
    for (std::size_t i = 0; i < n; ++i) a[i * n + i] += 6.0;
    std::vector<double> t(n);
    for (double& size : t) size = std::pow(10.0, -3.0 * rng.uniform());
    ASSERT_TRUE(program.solve(c, a, t));
    EXPECT_LE(program.certificate(), kRounding);
    const auto x = program.x();
    auto z_c = c;
    auto z_a = a;
    for (std::size_t j = 0; j < n; ++j) z_c[j] /= t[j];
    for (std::size_t i = 0; i < n * n; ++i) z_a[i] /= t[i % n];
    ASSERT_TRUE(program.solve(z_c, z_a));
    for (std::size_t j = 0; j < n; ++j) EXPECT_NEAR(t[j] * x[j], program.x()[j], kAccumulated);
  }
}

}  // namespace
}  // namespace detente::balance::internal

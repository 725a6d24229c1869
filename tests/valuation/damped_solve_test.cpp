// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/nan.h>
#include <detente/core/rng.h>
#include <detente/valuation/damped_solve.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <cmath>
#include <string>
#include <vector>

#include "tests/support/error_of.h"

namespace detente::valuation {
namespace {

using testing::HasSubstr;

Eigen::MatrixXd with_eigenvalues(const std::vector<double>& values, std::uint64_t seed) {
  const auto n = static_cast<Eigen::Index>(values.size());
  Rng rng(seed);
  const Eigen::MatrixXd drawn = Eigen::MatrixXd::NullaryExpr(n, n, [&] { return rng.normal(); });
  const Eigen::MatrixXd basis = Eigen::HouseholderQR<Eigen::MatrixXd>(drawn).householderQ();
  const Eigen::VectorXd spectrum =
      Eigen::Map<const Eigen::VectorXd>(values.data(), static_cast<Eigen::Index>(values.size()));
  return basis * spectrum.asDiagonal() * basis.transpose();
}

Products products_of(const Eigen::MatrixXd& matrix) {
  return [matrix](std::span<const Vector> vectors) {
    std::vector<Vector> found;
    for (const Vector& v : vectors) {
      const Eigen::VectorXd one =
          matrix * Eigen::Map<const Eigen::VectorXd>(v.data(), static_cast<Eigen::Index>(v.size()));
      found.emplace_back(one.data(), one.data() + one.size());
    }
    return found;
  };
}

Vector inverse_product(const Eigen::MatrixXd& matrix, double damping, const Vector& b) {
  Eigen::MatrixXd whole = matrix;
  whole.diagonal().array() += damping;
  const Eigen::VectorXd x = whole.fullPivLu().solve(
      Eigen::Map<const Eigen::VectorXd>(b.data(), static_cast<Eigen::Index>(b.size())));
  return {x.data(), x.data() + x.size()};
}

void expect_near(const Vector& found, const Vector& expected, double tolerance) {
  ASSERT_EQ(found.size(), expected.size());
  double length = 0;
  for (const double one : expected) length += one * one;
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_NEAR(found[i], expected[i], tolerance * std::sqrt(length)) << i;
  }
}

const std::vector<double> kSpectrum = {0.0, 0.01, 0.3, 0.5, 1.0, 2.0, 2.5, 4.0, 5.0};

std::vector<Vector> three_rights() {
  Rng rng(4);
  std::vector<Vector> rights(3, Vector(kSpectrum.size()));
  for (Vector& one : rights) {
    for (double& number : one) number = rng.normal();
  }
  return rights;
}

TEST(DampedSolve, AllSolversFindTheInverse) {
  const Eigen::MatrixXd matrix = with_eigenvalues(kSpectrum, 1);
  const std::vector<Vector> rights = three_rights();
  const SolveOptions options{.damping = 0.05, .tolerance = 1e-9, .most = 5000};
  const double scale = 1.1 * largest_eigenvalue(products_of(matrix), kSpectrum.size(), 0);
  for (const auto& solutions : {solve_direct(products_of(matrix), rights, options),
                                solve_cg(products_of(matrix), rights, options),
                                solve_lissa(products_of(matrix), rights, scale, options)}) {
    for (std::size_t i = 0; i < rights.size(); ++i) {
      EXPECT_TRUE(solutions[i].reached);
      EXPECT_LE(solutions[i].residual, 1e-9);
      // An error in x is at most the residual over the smallest eigenvalue.
      expect_near(solutions[i].x, inverse_product(matrix, 0.05, rights[i]), 1e-7);
    }
  }
}

TEST(DampedSolve, CgNeedsAStepForEachDifferentEigenvalue) {
  const Eigen::MatrixXd matrix = with_eigenvalues({1, 1, 1, 1, 3, 3, 3, 7, 7, 7}, 2);
  const Vector b = {1, -2, 3, -4, 5, 6, -7, 8, 9, 1};
  const auto found =
      solve_cg(products_of(matrix), std::vector<Vector>{b}, {.damping = 0.5, .tolerance = 1e-10});
  EXPECT_TRUE(found[0].reached);
  EXPECT_EQ(found[0].steps, 3);
}

TEST(DampedSolve, WhatIsNotReachedIsSaidWithItsResidual) {
  const Eigen::MatrixXd matrix = with_eigenvalues(kSpectrum, 1);
  const std::vector<Vector> rights = three_rights();
  const SolveOptions options{.damping = 1e-3, .tolerance = 1e-12, .most = 2};
  for (const auto& solutions : {solve_cg(products_of(matrix), rights, options),
                                solve_lissa(products_of(matrix), rights, 5.5, options)}) {
    EXPECT_FALSE(solutions[1].reached);
    const Vector& x = solutions[1].x;
    const auto moved = products_of(matrix)(std::vector<Vector>{x})[0];
    double squares = 0;
    double length = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      squares += std::pow(rights[1][i] - moved[i] - 1e-3 * x[i], 2);
      length += std::pow(rights[1][i], 2);
    }
    EXPECT_NEAR(solutions[1].residual, std::sqrt(squares / length), 1e-12);
  }
}

TEST(DampedSolve, ZeroHasTheSolutionZero) {
  const Eigen::MatrixXd matrix = with_eigenvalues(kSpectrum, 1);
  const std::vector<Vector> rights = {Vector(9, 0.0), Vector(9, 1.0)};
  const SolveOptions options{.damping = 0.5};
  for (const auto& solutions : {solve_direct(products_of(matrix), rights, options),
                                solve_cg(products_of(matrix), rights, options),
                                solve_lissa(products_of(matrix), rights, 6, options)}) {
    EXPECT_TRUE(solutions[0].reached);
    EXPECT_EQ(solutions[0].residual, 0);
    EXPECT_EQ(solutions[0].x, Vector(9, 0.0));
    EXPECT_TRUE(solutions[1].reached);
  }
  const std::vector<Vector> zeros = {Vector(9, 0.0)};
  EXPECT_EQ(solve_direct(products_of(matrix), zeros, {})[0].x, Vector(9, 0.0));
  EXPECT_TRUE(solve_cg(products_of(matrix), {}, {}).empty());
}

TEST(DampedSolve, HugeAndTinyCurvaturesAreSolvedAlike) {
  for (const double unit : {1e-150, 1e-20, 1e20, 1e100}) {
    const Eigen::MatrixXd matrix = unit * with_eigenvalues({1, 2, 4, 8}, 3);
    const std::vector<Vector> rights = {{1, 2, 3, 4}};
    const SolveOptions options{.damping = 0.1 * unit};
    for (const auto& solutions : {solve_direct(products_of(matrix), rights, options),
                                  solve_cg(products_of(matrix), rights, options)}) {
      EXPECT_TRUE(solutions[0].reached) << unit;
      expect_near(solutions[0].x, inverse_product(matrix, 0.1 * unit, rights[0]), 1e-5);
    }
  }
}

TEST(DampedSolve, SingularWantsDamping) {
  const Eigen::MatrixXd matrix = Eigen::Vector3d(1, 2, 0).asDiagonal();
  const std::vector<Vector> rights = {{1, 1, 1}};
  for (const auto& solve : {solve_direct, solve_cg}) {
    EXPECT_THAT(test::error_of([&] { solve(products_of(matrix), rights, {}); }).what(),
                HasSubstr("larger damping"));
    EXPECT_THAT(
        test::error_of([&] { solve(products_of(Eigen::MatrixXd::Zero(3, 3)), rights, {}); }).what(),
        HasSubstr("larger damping"));
  }
  // Where the flat direction is not asked for, there is an answer.
  const auto found = solve_cg(products_of(matrix), std::vector<Vector>{{1, 1, 0}}, {});
  EXPECT_TRUE(found[0].reached);
  expect_near(found[0].x, {1, 0.5, 0}, 1e-6);
}

TEST(DampedSolve, DownwardsCurvatureIsNamedWithTheDampingItWants) {
  const Eigen::MatrixXd matrix = Eigen::Vector3d(1, 2, -0.5).asDiagonal();
  const std::vector<Vector> rights = {{0, 0, 1}};
  const std::string said =
      test::error_of([&] { solve_cg(products_of(matrix), rights, {}); }).what();
  EXPECT_THAT(said, HasSubstr("damping above 0.5"));
  EXPECT_THAT(test::error_of([&] { solve_direct(products_of(matrix), rights, {}); }).what(),
              HasSubstr("larger damping"));
  EXPECT_TRUE(solve_cg(products_of(matrix), rights, {.damping = 0.6})[0].reached);
}

TEST(DampedSolve, DivergingStepsAreNoticed) {
  const Eigen::MatrixXd matrix = with_eigenvalues(kSpectrum, 1);
  const std::vector<Vector> rights = three_rights();
  const SolveOptions options{.damping = 0.1, .most = 5000};
  // Half of 5.1 is where it turns.
  EXPECT_THAT(
      test::error_of([&] { solve_lissa(products_of(matrix), rights, 2.4, options); }).what(),
      HasSubstr("Use cg"));
  EXPECT_TRUE(solve_lissa(products_of(matrix), rights, 2.7, options)[0].reached);
}

TEST(DampedSolve, RefusesWhatIsNoNumber) {
  const auto nan = [](std::span<const Vector> vectors) {
    return std::vector<Vector>(vectors.size(), Vector(vectors[0].size(), kNan));
  };
  const auto shorter = [](std::span<const Vector> vectors) {
    return std::vector<Vector>(vectors.size(), Vector(1, 1.0));
  };
  const std::vector<Vector> rights = {{1, 2}};
  for (const auto& solve : {solve_direct, solve_cg}) {
    EXPECT_EQ(test::error_of([&] { solve(nan, rights, {}); }).code(), ErrorCode::kNumeric);
    EXPECT_EQ(test::error_of([&] { solve(shorter, rights, {}); }).code(), ErrorCode::kShape);
    EXPECT_EQ(test::error_of([&] {
                solve(nan, std::vector<Vector>{{1, kNan}}, {});
              }).code(),
              ErrorCode::kNumeric);
    EXPECT_EQ(test::error_of([&] { solve(nan, rights, {.damping = -1}); }).code(),
              ErrorCode::kInvalidArgument);
  }
  EXPECT_EQ(test::error_of([&] { largest_eigenvalue(nan, 2, 0); }).code(), ErrorCode::kNumeric);
}

TEST(DampedSolve, StoppingKeepsWhatWasReached) {
  const Eigen::MatrixXd matrix = with_eigenvalues(kSpectrum, 1);
  const std::vector<Vector> rights = three_rights();
  const SolveOptions options{.damping = 0.1,
                             .tolerance = 1e-9,
                             .progress = [](std::size_t done, std::size_t) { return done < 3; }};
  for (const auto& solutions : {solve_cg(products_of(matrix), rights, options),
                                solve_lissa(products_of(matrix), rights, 6, options)}) {
    EXPECT_EQ(solutions[0].steps, 3);
    EXPECT_FALSE(solutions[0].reached);
    EXPECT_GT(solutions[0].residual, options.tolerance);
  }
  // A part of the matrix solves nothing.
  const auto direct = solve_direct(products_of(matrix), rights, options);
  EXPECT_FALSE(direct[0].reached);
  EXPECT_TRUE(std::isnan(direct[0].residual));
  EXPECT_TRUE(std::isnan(direct[0].x[0]));
}

TEST(DampedSolve, EigenvaluesAreThoseOfTheMatrix) {
  const Eigen::MatrixXd matrix = with_eigenvalues(kSpectrum, 1);
  const double most = largest_eigenvalue(products_of(matrix), kSpectrum.size(), 0, 20);
  EXPECT_LE(most, 5.0 * (1 + 1e-12));
  EXPECT_GT(most, 4.9);
  EXPECT_NEAR(largest_eigenvalue(products_of(matrix), kSpectrum.size(), 0, 500), 5.0, 1e-9);
  const Eigen::MatrixXd diagonal = Eigen::Vector4d(1, 2, 3, 10).asDiagonal();
  EXPECT_NEAR(typical_eigenvalue(products_of(diagonal), 4, 7), 114.0 / 16.0, 1e-12);
  EXPECT_NEAR(typical_eigenvalue(products_of(1e200 * diagonal), 4, 7) / 1e200, 114.0 / 16.0, 1e-12);
  EXPECT_NEAR(typical_eigenvalue(products_of(matrix), kSpectrum.size(), 7, 20000),
              matrix.squaredNorm() / matrix.trace(),
              0.05);
  EXPECT_EQ(typical_eigenvalue(products_of(-diagonal), 4, 7), 0);
  EXPECT_EQ(largest_eigenvalue(products_of(Eigen::MatrixXd::Zero(3, 3)), 3, 0), 0);
}

}  // namespace
}  // namespace detente::valuation

// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/diagnostics.h>
#include <detente/balance/pcgrad.h>
#include <detente/core/error.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/problems.h"
#include "tests/support/slow_solvers.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

// L(θ) = ½ θᵀAθ + bᵀθ: constant Hessian, so every measure has a closed form.
struct Quadratic {
  Eigen::MatrixXd a;
  Eigen::VectorXd b;

  double loss(const Eigen::VectorXd& x) const { return 0.5 * x.dot(a * x) + b.dot(x); }
  Eigen::VectorXd gradient(const Eigen::VectorXd& x) const { return a * x + b; }
};

Eigen::VectorXd random_vector(Eigen::Index n, Rng& rng) {
  Eigen::VectorXd v(n);
  for (Eigen::Index i = 0; i < n; ++i) v[i] = rng.normal();
  return v;
}

// Convex, with a chosen spread of curvatures.
Quadratic random_quadratic(Eigen::Index n, double spread, Rng& rng) {
  Eigen::MatrixXd root(n, n);
  for (Eigen::Index i = 0; i < n; ++i) root.col(i) = random_vector(n, rng);
  const Eigen::MatrixXd q = root.householderQr().householderQ();
  Eigen::VectorXd values(n);
  for (Eigen::Index i = 0; i < n; ++i) values[i] = std::pow(spread, rng.uniform());
  return {q * values.asDiagonal() * q.transpose(), random_vector(n, rng)};
}

Matrix gram_of_pair(const Eigen::VectorXd& g, const Eigen::VectorXd& h) {
  return matrix_of({{g.dot(g), g.dot(h)}, {g.dot(h), h.dot(h)}});
}

TEST(Diagnostics, MeasuresAPairByHand) {
  const PairDiagnostics pair = diagnose_pair(gram_of(matrix_of({{1, 0}, {-3, 4}})), 0, 1);
  EXPECT_NEAR(pair.cosine, -0.6, kRounding);
  EXPECT_NEAR(pair.magnitude_similarity, 2.0 * 5 / (1 + 25), kRounding);
  // ‖g − h‖² = 32, ‖g + h‖² = 20.
  EXPECT_NEAR(pair.xi, (1 - 0.36) * 32 / 20, kRounding);
  EXPECT_TRUE(pair.conflicting);
  EXPECT_TRUE(pair.dominated);  // −0.6 <= −0.385
}

TEST(Diagnostics, KeepsRangesAtEveryScale) {
  Rng rng(1);
  for (const auto& [family, name] : families()) {
    for (const double s : {1e-100, 1.0, 1e100}) {
      for (const auto& pair : diagnose_pairs(gram_of(scaled(problem_of(family, 6, rng), s)))) {
        EXPECT_LE(std::abs(pair.cosine), 1.0) << name;
        EXPECT_GE(pair.magnitude_similarity, 0.0) << name;
        EXPECT_LE(pair.magnitude_similarity, 1.0) << name;
        EXPECT_GE(pair.xi, 0.0) << name;
      }
    }
  }
}

TEST(Diagnostics, CallsEqualNormsSimilar) {
  const Matrix gram = gram_of(matrix_of({{0, 2}, {2, 0}, {0.02, 0}}));
  const Matrix similar = magnitude_similarity(gram);
  EXPECT_EQ(similar(0, 1), 1.0);
  EXPECT_NEAR(similar(0, 2), 2 * 0.01 / 1.0001, kRounding);
  EXPECT_EQ(similar(2, 2), 1.0);
}

TEST(Diagnostics, FindsNothingInOppositeOrZeroGradientsToDivideBy) {
  const PairDiagnostics opposite = diagnose_pair(gram_of(matrix_of({{1, 2}, {-1, -2}})), 0, 1);
  EXPECT_NEAR(opposite.cosine, -1.0, kRounding);
  EXPECT_TRUE(opposite.dominated);
  const PairDiagnostics zero = diagnose_pair(gram_of(matrix_of({{1, 2}, {0, 0}})), 0, 1);
  EXPECT_EQ(zero.cosine, 0.0);
  EXPECT_EQ(zero.magnitude_similarity, 0.0);
  EXPECT_FALSE(zero.conflicting);
  EXPECT_FALSE(zero.dominated && zero.conflicting);
}

TEST(Diagnostics, CountsConflictingPairs) {
  const Matrix gram = gram_of(matrix_of({{1, 0}, {-1, 0.1}, {0.5, 0.5}}));
  // (0, 1) and (1, 2) conflict, (0, 2) does not.
  EXPECT_NEAR(conflict_fraction(gram), 2.0 / 3, kRounding);
  EXPECT_EQ(conflict_fraction(gram_of(matrix_of({{1, 0}}))), 0.0);
  const Matrix cosine = cosine_matrix(gram);
  EXPECT_LT(cosine(0, 1), 0.0);
  EXPECT_EQ(cosine(0, 1), cosine(1, 0));
  EXPECT_EQ(cosine(2, 2), 1.0);
}

TEST(Diagnostics, MeasuresTheCurvatureOfQuadraticsExactly) {
  Rng rng(2);
  for (int round = 0; round < 50; ++round) {
    const Quadratic total = random_quadratic(5, 100, rng);
    const Eigen::VectorXd x = random_vector(5, rng);
    const Eigen::VectorXd g = total.gradient(x);
    const double expected = g.dot(total.a * g);
    const double t = 0.3;
    const Eigen::VectorXd after = x - t * g;
    EXPECT_NEAR(curvature_from_gradients(g.squaredNorm(), g.dot(total.gradient(after)), t),
                expected,
                kAccumulated * expected);
    EXPECT_NEAR(curvature_from_losses(total.loss(x), total.loss(after), g.dot(after - x), t),
                expected,
                kCertificate * expected);
  }
}

TEST(Diagnostics, WeighsTheTwoCurvatureFormsAsTheirIntegralsDo) {
  // L = x⁴ from x = 1 with step t along g = 4: ∫₀¹ g² 12 (1 − 4ta)² da and its 2(1 − a) weighting.
  const double t = 0.1;
  const double g = 4.0;
  const double after = 1 - t * g;
  double plain = 0, weighted = 0;
  const int steps = 20000;
  for (int i = 0; i < steps; ++i) {
    const double a = (i + 0.5) / steps;
    const double hessian = 12 * std::pow(1 - t * g * a, 2);
    plain += g * g * hessian / steps;
    weighted += 2 * (1 - a) * g * g * hessian / steps;
  }
  EXPECT_NEAR(curvature_from_gradients(g * g, g * 4 * std::pow(after, 3), t), plain, kReference);
  EXPECT_NEAR(curvature_from_losses(1.0, std::pow(after, 4), -t * g * g, t), weighted, kReference);
}

TEST(Diagnostics, PredictsWherePcgradBeatsTheSum) {
  // Theorem 2 on quadratics over a grid of steps, including ones where it does not apply.
  Rng rng(3);
  int held = 0;
  for (int round = 0; round < 4000; ++round) {
    const Quadratic one = random_quadratic(2, 1e4, rng);
    const Quadratic two = random_quadratic(2, 1e4, rng);
    const Quadratic total{one.a + two.a, one.b + two.b};
    const double lipschitz =
        Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd>(total.a).eigenvalues().maxCoeff();
    const Eigen::VectorXd x = random_vector(2, rng);
    const Eigen::VectorXd g1 = one.gradient(x);
    const Eigen::VectorXd g2 = two.gradient(x);
    const Eigen::VectorXd g = g1 + g2;
    const Matrix gram = gram_of_pair(g1, g2);
    const PairDiagnostics pair = diagnose_pair(gram, 0, 1);
    const auto w = pcgrad(gram).weights;
    const Eigen::VectorXd d = w[0] * g1 + w[1] * g2;
    for (const double t : {1e-3, 1e-2, 0.1, 1.0, 10.0}) {
      const double curvature =
          curvature_from_gradients(g.squaredNorm(), g.dot(total.gradient(x - t * g)), t);
      if (!triad_conditions(pair, curvature, g.squaredNorm(), lipschitz, t).all()) continue;
      ++held;
      const double plain = total.loss(x - t * g);
      EXPECT_LE(total.loss(x - t * d), plain + kAccumulated * std::abs(plain));
    }
  }
  EXPECT_GT(held, 100);  // the conditions were met often enough to mean something
}

TEST(Diagnostics, RefusesImpossibleArguments) {
  EXPECT_THROW(diagnose_pair(Matrix(2, 2), 0, 2), Error);
  EXPECT_THROW(diagnose_pairs(Matrix(2, 3)), Error);
  EXPECT_THROW(curvature_from_gradients(1, 1, 0), Error);
  EXPECT_THROW(curvature_from_losses(1, 1, 1, -1), Error);
}

}  // namespace
}  // namespace detente::balance

// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/conicgrad.h>
#include <detente/balance/mgda.h>
#include <gtest/gtest.h>

#include "tests/support/problems.h"
#include "tests/support/slow_solvers.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

TEST(Conicgrad, IsCertifiedOnHundredsOfProblems) {
  Rng rng(961);
  for (const auto& [family, name] : families()) {
    for (const std::size_t k : {2, 3, 5, 8, 17, 33, 64}) {
      for (const double c : {0.0, 0.1, 0.5, 0.9, 0.999, 1.0}) {
        SCOPED_TRACE(testing::Message() << name << " k=" << k << " c=" << c);
        const Result result = conicgrad(gram_of(problem_of(family, k, rng)), {.c = c});
        EXPECT_LE(result.certificate, kCertificate);
      }
    }
  }
}

TEST(Conicgrad, StaysInTheConeWithTheLengthOfTheMean) {
  Rng rng(962);
  for (const Family family : {Family::kGaussian,
                              Family::kConflicting,
                              Family::kAligned,
                              Family::kBadlyScaled,
                              Family::kDuplicated}) {
    for (const std::size_t k : {2, 4, 9, 30}) {
      for (const double c : {0.05, 0.4, 0.8, 0.99}) {
        SCOPED_TRACE(testing::Message() << static_cast<int>(family) << " k=" << k << " c=" << c);
        const Matrix jacobian = problem_of(family, k, rng);
        const Result result = conicgrad(gram_of(jacobian), {.c = c});
        const auto d = direction_of(jacobian, result.weights);
        const auto mean = mean_gradient(jacobian);
        EXPECT_GE(dot(d, mean), c * dot(mean, mean) * (1 - kCertificate));
        EXPECT_GE(cosine(d, mean), c - kCertificate);
        EXPECT_LE(norm_of(d), norm_of(mean) * (1 + kCertificate));
        if (result.message.empty()) {
          EXPECT_NEAR(norm_of(d), norm_of(mean), kCertificate * norm_of(mean));
        }
      }
    }
  }
}

TEST(Conicgrad, AgreesWithProjectedGradientOnTheDual) {
  // The dual: minimise over the simplex what the best direction of the cap gains for given weights.
  Rng rng(963);
  for (const Family family : {Family::kGaussian, Family::kConflicting, Family::kAligned}) {
    for (const std::size_t k : {2, 3, 6, 12}) {
      for (const double c : {0.2, 0.6, 0.95}) {
        SCOPED_TRACE(testing::Message() << static_cast<int>(family) << " k=" << k << " c=" << c);
        const Matrix jacobian = problem_of(family, k, rng);
        const Eigen::MatrixXd j = eigen_of(jacobian);
        const Eigen::VectorXd mean = j.colwise().mean();
        const Eigen::VectorXd axis = mean.normalized();
        const auto best = [&](const Eigen::VectorXd& w) {
          const Eigen::VectorXd g = j.transpose() * w;
          if (g.dot(axis) >= c * g.norm()) return Eigen::VectorXd(mean.norm() * g.normalized());
          const Eigen::VectorXd across = g - g.dot(axis) * axis;
          return Eigen::VectorXd(mean.norm() *
                                 (c * axis + std::sqrt(1 - c * c) * across.normalized()));
        };
        const auto value = [&](const Eigen::VectorXd& w) { return w.dot(j * best(w)); };
        const auto slope = [&](const Eigen::VectorXd& w) { return Eigen::VectorXd(j * best(w)); };
        const Eigen::VectorXd w = minimize_on_simplex(j.rows(), value, slope, 20000);
        const Matrix gram = gram_of(jacobian);
        const double level = least(times(gram, conicgrad(gram, {.c = c}).weights));
        const double size = mean.norm() * j.norm();
        EXPECT_LE(level, value(w) + kAccumulated * size);
        EXPECT_GE(level, value(w) - kReference * size);
      }
    }
  }
}

TEST(Conicgrad, IsNotBeatenByRandomDirectionsInTheCone) {
  Rng rng(964);
  for (int round = 0; round < 40; ++round) {
    const std::size_t k = 2 + round % 5;
    const double c = 0.1 + 0.8 * rng.uniform();
    const Matrix jacobian = problem_of(Family::kConflicting, k, rng);
    const auto mean = mean_gradient(jacobian);
    const auto d = direction_of(jacobian, conicgrad(gram_of(jacobian), {.c = c}).weights);
    const auto gain = [&](const std::vector<double>& x) {
      double least = dot(row_of(jacobian, 0), x);
      for (std::size_t i = 1; i < k; ++i) least = std::min(least, dot(row_of(jacobian, i), x));
      return least;
    };
    for (int attempt = 0; attempt < 300; ++attempt) {
      auto other = d;
      const double spread = std::pow(10.0, -4 * rng.uniform());
      for (double& x : other) x += spread * norm_of(mean) * rng.normal();
      const double length = norm_of(other);
      for (double& x : other) x *= norm_of(mean) / length;
      if (cosine(other, mean) < c) continue;
      EXPECT_LE(gain(other), gain(d) + kAccumulated * norm_of(mean) * norm_of(mean));
    }
  }
}

TEST(Conicgrad, HasMgdasDirectionWhenCIsZero) {
  Rng rng(965);
  for (const Family family : {Family::kGaussian, Family::kConflicting, Family::kAligned}) {
    for (const std::size_t k : {2, 5, 20}) {
      const Matrix jacobian = problem_of(family, k, rng);
      const Matrix gram = gram_of(jacobian);
      const auto d = direction_of(jacobian, conicgrad(gram, {.c = 0}).weights);
      EXPECT_NEAR(cosine(d, direction_of(jacobian, mgda(gram).weights)), 1.0, kAccumulated);
      EXPECT_NEAR(norm_of(d), norm_of(mean_gradient(jacobian)), kAccumulated * norm_of(d));
    }
  }
}

TEST(Conicgrad, IsTheMeanWhenCIsOneAndNearItBefore) {
  Rng rng(966);
  const Matrix jacobian = problem_of(Family::kConflicting, 6, rng);
  const Matrix gram = gram_of(jacobian);
  EXPECT_EQ(conicgrad(gram, {.c = 1}).weights, std::vector<double>(6, 1.0 / 6.0));
  const auto near = direction_of(jacobian, conicgrad(gram, {.c = 1 - 1e-8}).weights);
  EXPECT_NEAR(cosine(near, mean_gradient(jacobian)), 1.0, kReference);
}

TEST(Conicgrad, TurnsAsFarAsTheAngleForTwoTasks) {
  // g₀ = (0, 1); the first task is the worse one of d = g₀ and gains by every turn towards (1, 0).
  const Matrix jacobian = matrix_of({{3, -1}, {-3, 3}});
  const Matrix gram = gram_of(jacobian);
  const double c = 0.99;
  const auto d = direction_of(jacobian, conicgrad(gram, {.c = c}).weights);
  EXPECT_NEAR(d[0], std::sqrt(1 - c * c), kAccumulated);
  EXPECT_NEAR(d[1], c, kAccumulated);
}

TEST(Conicgrad, ScalesWithTheGradients) {
  Rng rng(967);
  const Matrix jacobian = problem_of(Family::kBadlyScaled, 7, rng);
  const auto w = conicgrad(gram_of(jacobian), {.c = 0.7}).weights;
  for (const double s : {1e-6, 1e6}) {
    const auto v = conicgrad(gram_of(scaled(jacobian, s)), {.c = 0.7}).weights;
    double size = 0;
    for (const double x : w) size = std::max(size, std::abs(x));
    for (std::size_t i = 0; i < w.size(); ++i) EXPECT_NEAR(v[i], w[i], kCertificate * size);
  }
}

TEST(Conicgrad, StandsStillWhereTheMeanVanishes) {
  const Matrix jacobian = matrix_of({{1, 2}, {-1, -2}});
  const Result result = conicgrad(gram_of(jacobian));
  EXPECT_EQ(result.stop, StopReason::kDegenerate);
  for (const double x : direction_of(jacobian, result.weights)) EXPECT_NEAR(x, 0, kRounding);
}

TEST(Conicgrad, HarmsTheWorstTaskLeastWhenNoneCanBeSpared) {
  // Opposite rows, so the level is at most 0. g₀ = (2, 1)/3; turning towards (-1, 2) spares the
  // second.
  const Matrix jacobian = matrix_of({{3, 0}, {-1, 0}, {0, 1}});
  const double length = std::sqrt(5.0) / 3;
  const double c = 0.9;
  const Result narrow = conicgrad(gram_of(jacobian), {.c = c});
  const auto d = direction_of(jacobian, narrow.weights);
  const double s = std::sqrt(1 - c * c);
  EXPECT_NEAR(d[0], length * (2 * c - s) / std::sqrt(5.0), kAccumulated);
  EXPECT_NEAR(d[1], length * (c + 2 * s) / std::sqrt(5.0), kAccumulated);
  // A wide cone holds (0, 1), which harms none; the shortest such d is taken.
  const Result wide = conicgrad(gram_of(jacobian), {.c = 0.3});
  const auto e = direction_of(jacobian, wide.weights);
  EXPECT_NEAR(e[0], 0.0, kAccumulated);
  EXPECT_NEAR(e[1], 0.3 * 5.0 / 3.0, kAccumulated);
  EXPECT_FALSE(wide.message.empty());
}

}  // namespace
}  // namespace detente::balance

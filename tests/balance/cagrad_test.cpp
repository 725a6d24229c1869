// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/cagrad.h>
#include <detente/balance/mgda.h>
#include <detente/core/error.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/support/problems.h"
#include "tests/support/slow_solvers.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

// ‖a − b‖ <= bound, with the relative slack of an exact solver.
double distance(std::vector<double> a, const std::vector<double>& b) {
  for (std::size_t i = 0; i < a.size(); ++i) a[i] -= b[i];
  return norm_of(a);
}

TEST(Cagrad, IsOptimalOnHundredsOfProblems) {
  Rng rng(201);
  for (const auto& [family, name] : families()) {
    for (const std::size_t k : {2, 3, 4, 5, 8, 16, 33, 64}) {
      for (const double c : {0.2, 0.4, 0.9, 1.0, 3.0}) {
        SCOPED_TRACE(testing::Message() << name << " k=" << k << " c=" << c);
        const Matrix jacobian = problem_of(family, k, rng);
        const Matrix gram = gram_of(jacobian);
        const Result result = cagrad(gram, {.c = c});
        EXPECT_LE(result.certificate, kCertificate);
        const auto g0 = mean_gradient(jacobian);
        const auto d = direction_of(jacobian, result.weights);
        EXPECT_LE(distance(d, g0),
                  c * norm_of(g0) * (1 + kAccumulated) + kAccumulated * std::sqrt(gram(0, 0)));
      }
    }
  }
}

TEST(Cagrad, ClosesTheDualityGap) {
  // The dual value at the weights' own w against the primal value, both recomputed.
  Rng rng(202);
  for (const Family family : {Family::kGaussian,
                              Family::kConflicting,
                              Family::kAligned,
                              Family::kCollinear,
                              Family::kBadlyScaled}) {
    for (const std::size_t k : {2, 3, 4, 6, 10, 25, 50}) {
      for (const double c : {0.1, 0.5, 0.99, 2.0}) {
        SCOPED_TRACE(testing::Message() << static_cast<int>(family) << " k=" << k << " c=" << c);
        const Matrix gram = gram_of(problem_of(family, k, rng));
        const Result result = cagrad(gram, {.c = c});
        const double mean = 1.0 / static_cast<double>(k);
        std::vector<double> w = result.weights;
        double sum = 0;
        for (double& x : w) {
          x = std::max(0.0, x - mean);
          sum += x;
        }
        ASSERT_GT(sum, 0.0);
        double mean_norm = 0;
        for (std::size_t i = 0; i < k; ++i) {
          w[i] /= sum;
          mean_norm += w[i] * std::sqrt(gram(i, i));
        }
        const auto b = times(gram, std::vector<double>(k, mean));
        const double g0 = std::sqrt(dot(b, std::vector<double>(k, mean)));
        const double dual = dot(b, w) + c * g0 * std::sqrt(std::max(0.0, dot(w, times(gram, w))));
        const auto inner = times(gram, result.weights);
        for (std::size_t i = 0; i < k; ++i) {
          double scale = (1 + c) * g0 * mean_norm;
          for (std::size_t j = 0; j < k; ++j) scale += std::abs(gram(i, j) * result.weights[j]);
          EXPECT_GE(inner[i], dual - kCertificate * scale);
        }
      }
    }
  }
}

TEST(Cagrad, AgreesWithTheEnumerationOfFaces) {
  Rng rng(203);
  for (const Family family : {Family::kGaussian, Family::kConflicting, Family::kAligned}) {
    for (const std::size_t k : {1, 2, 3, 4, 6, 8}) {
      for (const double c : {0.05, 0.4, 0.8, 1.5, 20.0}) {
        SCOPED_TRACE(testing::Message() << static_cast<int>(family) << " k=" << k << " c=" << c);
        const Matrix gram = gram_of(problem_of(family, k, rng));
        const double value = least(times(gram, cagrad(gram, {.c = c}).weights));
        const double reference = cagrad_by_enumeration(gram, c);
        EXPECT_NEAR(value, reference, kCertificate * (1 + c) * gram(0, 0));
      }
    }
  }
}

TEST(Cagrad, AgreesWithProjectedGradientOnTheDual) {
  Rng rng(204);
  for (const std::size_t k : {12, 30}) {
    const Matrix gram = gram_of(problem_of(Family::kAligned, k, rng));
    const Eigen::MatrixXd g = eigen_of(gram);
    const Eigen::VectorXd b = g * Eigen::VectorXd::Constant(g.rows(), 1.0 / static_cast<double>(k));
    const double c = 0.6;
    const double r = c * std::sqrt(b.mean());
    const auto value = [&](const Eigen::VectorXd& w) {
      return b.dot(w) + r * std::sqrt(w.dot(g * w));
    };
    const auto slope = [&](const Eigen::VectorXd& w) {
      return Eigen::VectorXd(b + r / std::sqrt(w.dot(g * w)) * (g * w));
    };
    const Eigen::VectorXd reference = minimize_on_simplex(g.rows(), value, slope, 20000);
    const Eigen::VectorXd total =
        Eigen::VectorXd::Constant(g.rows(), 1.0 / static_cast<double>(k)) +
        r / std::sqrt(reference.dot(g * reference)) * reference;
    const Eigen::VectorXd w = eigen_of(cagrad(gram, {.c = c}).weights);
    EXPECT_NEAR((w - total).lpNorm<Eigen::Infinity>(), 0.0, kReference);
  }
}

TEST(Cagrad, AgreesWithGoldenSectionForTwoTasks) {
  Rng rng(205);
  for (int round = 0; round < 50; ++round) {
    const Matrix gram = gram_of(random_jacobian(2, 4, rng));
    const double c = 0.5;
    const double b1 = 0.5 * (gram(0, 0) + gram(0, 1));
    const double b2 = 0.5 * (gram(0, 1) + gram(1, 1));
    const double r = c * std::sqrt(0.5 * (b1 + b2));
    const auto f = [&](double w) {
      const double v = 1 - w;
      return w * b1 + v * b2 +
             r * std::sqrt(w * w * gram(0, 0) + 2 * w * v * gram(0, 1) + v * v * gram(1, 1));
    };
    double low = 0;
    double high = 1;
    const double ratio = 0.5 * (std::sqrt(5.0) - 1);
    for (int i = 0; i < 100; ++i) {
      const double a = high - ratio * (high - low);
      const double z = low + ratio * (high - low);
      (f(a) < f(z) ? high : low) = f(a) < f(z) ? z : a;
    }
    EXPECT_NEAR(least(times(gram, cagrad(gram, {.c = c}).weights)),
                f(0.5 * (low + high)),
                kCertificate * (gram(0, 0) + gram(1, 1)));
  }
}

TEST(Cagrad, GivesMeanWhenCIsZero) {
  Rng rng(206);
  for (const auto& [family, name] : families()) {
    const auto w = cagrad(gram_of(problem_of(family, 5, rng)), {.c = 0}).weights;
    EXPECT_EQ(w, std::vector<double>(5, 0.2)) << name;
  }
}

TEST(Cagrad, TendsToMgdaWhenCGrows) {
  Rng rng(207);
  for (int round = 0; round < 30; ++round) {
    const Matrix jacobian = problem_of(Family::kAligned, 2 + round % 7, rng);
    const Matrix gram = gram_of(jacobian);
    const auto least = direction_of(jacobian, mgda(gram).weights);
    const auto d = direction_of(jacobian, cagrad(gram, {.c = 1e6}).weights);
    EXPECT_GT(cosine(d, least), 1 - kReference);
  }
}

TEST(Cagrad, HarmsNoTaskWhenCIsAtLeastOne) {
  Rng rng(208);
  for (const auto& [family, name] : families()) {
    for (const double c : {1.0, 1.5, 10.0, 1e4}) {
      const Matrix gram = gram_of(problem_of(family, 7, rng));
      const auto w = cagrad(gram, {.c = c}).weights;
      const auto inner = times(gram, w);
      double size = 0;
      for (std::size_t i = 0; i < 7; ++i) size += std::abs(w[i]) * std::sqrt(gram(i, i));
      for (std::size_t i = 0; i < 7; ++i) {
        EXPECT_GE(inner[i], -kCertificate * std::sqrt(gram(i, i)) * size) << name << " c=" << c;
      }
    }
  }
}

TEST(Cagrad, StaysOnTheSphereWhenTasksCanImprove) {
  Rng rng(209);
  const Matrix jacobian = problem_of(Family::kAligned, 6, rng);
  const auto g0 = mean_gradient(jacobian);
  for (const double c : {0.1, 0.5, 2.0}) {
    const auto d = direction_of(jacobian, cagrad(gram_of(jacobian), {.c = c}).weights);
    EXPECT_NEAR(distance(d, g0), c * norm_of(g0), kAccumulated * norm_of(g0));
  }
}

TEST(Cagrad, MultipliesASingleGradientByOnePlusC) {
  const auto w = cagrad(gram_of(matrix_of({{3, 4}})), {.c = 0.4}).weights;
  EXPECT_NEAR(w[0], 1.4, kRounding);
}

TEST(Cagrad, MultipliesIdenticalGradientsByOnePlusC) {
  const Matrix jacobian = matrix_of({{1, 2}, {1, 2}, {1, 2}});
  const auto d = direction_of(jacobian, cagrad(gram_of(jacobian), {.c = 0.7}).weights);
  EXPECT_NEAR(d[0], 1.7, kRounding);
  EXPECT_NEAR(d[1], 3.4, kRounding);
}

TEST(Cagrad, StopsAtOppositeEqualGradients) {
  const Result result = cagrad(gram_of(matrix_of({{1, 2}, {-1, -2}})));
  EXPECT_EQ(result.stop, StopReason::kDegenerate);
  EXPECT_EQ(result.weights[0], result.weights[1]);
}

TEST(Cagrad, TakesTheNearestHarmlessDirectionWhenNoneImprovesAll) {
  // Rows 0 and 1 fix the first coordinate at 0; the ball reaches it, so the maximum is 0 and the
  // mean (0, 1/3) is itself the nearest answer.
  const Matrix jacobian = matrix_of({{1, 0}, {-1, 0}, {0, 1}});
  const auto d = direction_of(jacobian, cagrad(gram_of(jacobian), {.c = 0.4}).weights);
  EXPECT_NEAR(d[0], 0.0, kRounding);
  EXPECT_NEAR(d[1], 1.0 / 3, kRounding);
  // Unequal norms: the mean leans to row 0 and is moved back to the axis.
  const Matrix unequal = matrix_of({{1.1, 0}, {-1, 0}, {0, 1}});
  const Result result = cagrad(gram_of(unequal), {.c = 0.9});
  const auto e = direction_of(unequal, result.weights);
  EXPECT_NEAR(e[0], 0.0, kRounding);
  EXPECT_NEAR(e[1], 1.0 / 3, kRounding);
  EXPECT_LE(result.certificate, kCertificate);
  EXPECT_FALSE(result.message.empty());
}

TEST(Cagrad, ComesAsNearAsTheBallAllowsWhenHarmCannotBeAvoided) {
  // ⟨g, d⟩ of rows 0 and 1 have opposite signs and the ball does not reach the axis: both at once
  // are best where the first coordinate is least, g₀ − r e₁.
  const Matrix jacobian = matrix_of({{4, 0}, {-1, 0}, {0, 1}});
  const double c = 0.3;
  const auto g0 = mean_gradient(jacobian);
  const auto d = direction_of(jacobian, cagrad(gram_of(jacobian), {.c = c}).weights);
  EXPECT_NEAR(d[0], g0[0] - c * norm_of(g0), kRounding);
  EXPECT_NEAR(d[1], g0[1], kRounding);
}

TEST(Cagrad, LeavesZeroRowsOutOfTheMinimum) {
  Rng rng(210);
  const Matrix jacobian = problem_of(Family::kConflicting, 4, rng);
  const Matrix padded = with_row(jacobian, std::vector<double>(jacobian.cols(), 0.0));
  const Result result = cagrad(gram_of(padded), {.c = 0.5});
  const auto d = direction_of(padded, result.weights);
  const auto without = direction_of(jacobian, cagrad(gram_of(jacobian), {.c = 0.5}).weights);
  for (std::size_t p = 0; p < d.size(); ++p) EXPECT_NEAR(d[p], 0.8 * without[p], kAccumulated);
  EXPECT_FALSE(result.message.empty());
}

TEST(Cagrad, RescalesOnRequest) {
  Rng rng(211);
  const Matrix gram = gram_of(problem_of(Family::kGaussian, 3, rng));
  const double c = 0.5;
  const auto plain = cagrad(gram, {.c = c}).weights;
  const auto by_c = cagrad(gram, {.c = c, .rescale = CagradOptions::Rescale::kOnePlusC}).weights;
  const auto by_c2 = cagrad(gram, {.c = c, .rescale = CagradOptions::Rescale::kOnePlusC2}).weights;
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_NEAR(by_c[i] * 1.5, plain[i], kRounding);
    EXPECT_NEAR(by_c2[i] * 1.25, plain[i], kRounding);
  }
}

TEST(Cagrad, IsUnchangedByExtremeScales) {
  Rng rng(212);
  const Matrix jacobian = problem_of(Family::kConflicting, 6, rng);
  const auto w = cagrad(gram_of(jacobian)).weights;
  for (const double s : {1e-150, 1e-30, 1e-6, 1e6, 1e30, 1e150}) {
    const auto scaled_w = cagrad(gram_of(scaled(jacobian, s))).weights;
    for (std::size_t i = 0; i < w.size(); ++i) EXPECT_NEAR(scaled_w[i], w[i], kAccumulated) << s;
  }
}

TEST(Cagrad, RefusesIllegalRadii) {
  const Matrix gram = gram_of(matrix_of({{1, 0}, {0, 1}}));
  for (const double c :
       {-0.4, std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()}) {
    try {
      cagrad(gram, {.c = c});
      FAIL() << "c = " << c << " was accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      EXPECT_NE(std::string(error.what()).find("'c'"), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace detente::balance

// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/cagrad_fast.h>
#include <detente/core/error.h>
#include <gtest/gtest.h>

#include <numeric>

#include "tests/support/methods.h"
#include "tests/support/problems.h"
#include "tests/support/slow_solvers.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

TEST(CagradFast, IsCagradWhenEveryTaskIsAnObjective) {
  Rng rng(901);
  for (const auto& [family, name] : families()) {
    for (const std::size_t k : {1, 2, 4, 9}) {
      const Matrix gram = gram_of(problem_of(family, k, rng));
      for (const std::int64_t n : {static_cast<std::int64_t>(k), std::int64_t{100}}) {
        EXPECT_EQ(cagrad_fast(gram, {.n = n, .c = 0.7}).weights, cagrad(gram, {.c = 0.7}).weights)
            << name << " k=" << k;
      }
    }
  }
}

TEST(CagradFast, GivesTheMeanForEveryDrawWhenCIsZero) {
  Rng rng(902);
  const Matrix gram = gram_of(problem_of(Family::kGaussian, 9, rng));
  for (int draw = 0; draw < 20; ++draw) {
    for (const double w : cagrad_fast(gram, {.n = 4, .c = 0}, &rng).weights) {
      EXPECT_NEAR(w, 1.0 / 9.0, kRounding);
    }
  }
}

// The Gram matrix of the drawn objectives says as much as that of all tasks.
TEST(CagradFast, SolvesForObjectivesDrawnBeforehand) {
  for (const char* preset : {"paper", "official_code"}) {
    Rng problems(907);
    const Matrix gram = gram_of(problem_of(Family::kConflicting, 9, problems));
    auto method = make_cagrad_fast();
    set_field([&](FieldVisitor& v) { method->describe(v); }, "preset", preset, "[test]");
    Rng first(5);
    Result expected;
    method->solve({.tasks = 9, .gram = gram, .rng = &first}, expected);
    Rng second(5);
    const auto objectives = method->draw_objectives({.tasks = 9, .rng = &second});
    ASSERT_EQ(objectives.size(), 4u);
    const Matrix small = gram_of_objectives(objectives, gram);
    Result result;
    method->solve({.tasks = 9, .gram = small, .rng = &second, .objectives = 4}, result);
    for (std::size_t i = 0; i < 9; ++i) EXPECT_NEAR(result.weights[i], expected.weights[i], 1e-9);
    EXPECT_THROW(
        method->solve({.tasks = 9, .gram = small, .rng = &second, .objectives = 4}, result), Error)
        << "a draw is for one step";
  }
}

TEST(CagradFast, SkipsATaskPerStepLikeTheOfficialCode) {
  Rng rng(903);
  const Matrix gram = gram_of(problem_of(Family::kGaussian, 9, rng));
  std::vector<int> skipped(9, 0);
  for (int draw = 0; draw < 200; ++draw) {
    const auto w =
        cagrad_fast(gram, {.n = 4, .c = 0, .rest = CagradFastOptions::Rest::kSkipOne}, &rng)
            .weights;
    int zeros = 0;
    for (std::size_t i = 0; i < 9; ++i) {
      if (w[i] != 0) {
        EXPECT_NEAR(w[i], 1.0 / 9.0, kRounding);
        continue;
      }
      ++zeros;
      ++skipped[i];
    }
    EXPECT_EQ(zeros, 1);
  }
  for (const int times : skipped) EXPECT_GT(times, 0);
}

// The rows of the draw that a generator in this state gives, in the order of the definition.
Matrix grouped(const Matrix& jacobian, std::size_t n, Rng rng) {
  const std::size_t k = jacobian.rows();
  std::vector<std::size_t> order(k);
  std::iota(order.begin(), order.end(), std::size_t{0});
  rng.shuffle(order);
  Matrix rows(n, jacobian.cols());
  for (std::size_t i = 0; i < k; ++i) {
    const double part = i < n - 1 ? 1.0 : 1.0 / static_cast<double>(k - n + 1);
    for (std::size_t p = 0; p < rows.cols(); ++p) {
      rows(std::min(i, n - 1), p) += part * jacobian(order[i], p);
    }
  }
  return rows;
}

TEST(CagradFast, SolvesTheProblemOfItsDraw) {
  Rng rng(904);
  for (const Family family : {Family::kGaussian, Family::kConflicting, Family::kAligned}) {
    for (const std::size_t n : {1, 2, 4, 7}) {
      const std::size_t k = 12;
      const double c = 0.6;
      const Matrix jacobian = problem_of(family, k, rng);
      const Matrix rows = grouped(jacobian, n, rng);
      const Result result =
          cagrad_fast(gram_of(jacobian), {.n = static_cast<std::int64_t>(n), .c = c}, &rng);
      EXPECT_LE(result.certificate, kCertificate);
      const auto d = eigen_of(direction_of(jacobian, result.weights));

      const Eigen::MatrixXd m = eigen_of(rows);
      const Eigen::MatrixXd g = m * m.transpose();
      Eigen::VectorXd p = Eigen::VectorXd::Constant(g.rows(), 1.0 / k);
      p(g.rows() - 1) = static_cast<double>(k - n + 1) / k;
      const Eigen::VectorXd mean = m.transpose() * p;
      const Eigen::VectorXd b = g * p;
      const double r = c * mean.norm();
      const auto value = [&](const Eigen::VectorXd& w) {
        return b.dot(w) + r * std::sqrt(w.dot(g * w));
      };
      const auto slope = [&](const Eigen::VectorXd& w) {
        return Eigen::VectorXd(b + r / std::sqrt(w.dot(g * w)) * (g * w));
      };
      const Eigen::VectorXd w = minimize_on_simplex(g.rows(), value, slope, 20000);
      EXPECT_NEAR((m * d).minCoeff(), value(w), kReference * mean.norm() * m.norm()) << n;
      EXPECT_NEAR((d - mean).norm(), r, kAccumulated * mean.norm());
    }
  }
}

TEST(CagradFast, IsCertifiedOnHostileProblems) {
  Rng rng(905);
  for (const auto& [family, name] : families()) {
    for (const std::size_t k : {2, 3, 10, 33, 64}) {
      for (const std::int64_t n : {2, 4, 8}) {
        SCOPED_TRACE(testing::Message() << name << " k=" << k << " n=" << n);
        const Matrix gram = gram_of(problem_of(family, k, rng));
        EXPECT_LE(cagrad_fast(gram, {.n = n, .c = 0.5}, &rng).certificate, kCertificate);
      }
    }
  }
}

TEST(CagradFast, NeedsAGeneratorOnlyToDraw) {
  Rng rng(906);
  const Matrix gram = gram_of(problem_of(Family::kGaussian, 6, rng));
  EXPECT_THROW(cagrad_fast(gram, {.n = 4}), Error);
  EXPECT_NO_THROW(cagrad_fast(gram, {.n = 1}));
  EXPECT_NO_THROW(cagrad_fast(gram, {.n = 6}));
}

}  // namespace
}  // namespace detente::balance

// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/config.h>
#include <detente/balance/m_config.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/methods.h"
#include "tests/support/problems.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

std::vector<double> config_direction(const Matrix& jacobian) {
  return direction_of(jacobian, config(gram_of(jacobian)).weights);
}

std::vector<double> step_of_task(
    Method& method, const Matrix& jacobian, std::size_t task, std::size_t tasks, Result& result) {
  const std::vector<std::size_t> ids = {task};
  std::vector<double> d(jacobian.cols());
  method.direct({.tasks = 1, .ids = ids, .all_tasks = tasks},
                Rows<double>{jacobian.data() + task * d.size(), 1, d.size(), d.size()},
                d,
                result);
  return d;
}

TEST(MConfig, TakesTheSignsOfConfigsDirectionAtFirst) {
  Rng rng(901);
  const Matrix jacobian = problem_of(Family::kConflicting, 4, rng);
  const auto expected = config_direction(jacobian);
  const auto d = take_step(*make_with("m_config", {{"epsilon", "0"}}), jacobian);
  for (std::size_t p = 0; p < d.size(); ++p) {
    EXPECT_NEAR(d[p], expected[p] > 0 ? 1.0 : -1.0, kCertificate);
  }
}

TEST(MConfig, FollowsThePapersAlgorithmOnChangingGradients) {
  // The algorithm in plain words, on the momenta as a matrix.
  Rng rng(902);
  constexpr double kBeta1 = 0.9;
  constexpr double kBeta2 = 0.999;
  const auto method = make_m_config();
  Matrix momentum(3, 8);
  std::vector<double> product(8, 0.0);
  std::vector<double> second(8, 0.0);
  for (int t = 1; t <= 12; ++t) {
    const Matrix jacobian = random_jacobian(3, 8, rng);
    Matrix corrected(3, 8);
    for (std::size_t i = 0; i < 24; ++i) {
      momentum.data()[i] = kBeta1 * momentum.data()[i] + (1 - kBeta1) * jacobian.data()[i];
      corrected.data()[i] = momentum.data()[i] / (1 - std::pow(kBeta1, t));
    }
    const auto g = config_direction(corrected);
    const auto d = take_step(*method, jacobian);
    for (std::size_t p = 0; p < 8; ++p) {
      const double now = g[p] * (1 - std::pow(kBeta1, t));
      const double u = (now - kBeta1 * product[p]) / (1 - kBeta1);
      product[p] = now;
      second[p] = kBeta2 * second[p] + (1 - kBeta2) * u * u;
      const double expected = g[p] / (std::sqrt(second[p] / (1 - std::pow(kBeta2, t))) + 1e-8);
      EXPECT_NEAR(d[p], expected, kCertificate * std::max(1.0, std::abs(expected))) << "step " << t;
    }
  }
}

TEST(MConfig, WaitsUntilEveryTaskWasPresent) {
  Rng rng(903);
  const Matrix jacobian = random_jacobian(3, 6, rng);
  const auto method = make_with("m_config", {{"epsilon", "0"}});
  Result result;
  for (std::size_t task = 0; task < 2; ++task) {
    EXPECT_EQ(step_of_task(*method, jacobian, task, 3, result), std::vector<double>(6, 0.0));
    EXPECT_EQ(result.stop, StopReason::kDegenerate);
    EXPECT_FALSE(result.message.empty());
  }
  // With one gradient of each task the corrected momenta are the gradients.
  const auto d = step_of_task(*method, jacobian, 2, 3, result);
  const auto expected = config_direction(jacobian);
  for (std::size_t p = 0; p < 6; ++p) {
    EXPECT_NEAR(d[p], expected[p] > 0 ? 1.0 : -1.0, kCertificate);
  }
  EXPECT_EQ(result.stop, StopReason::kClosedForm);
}

TEST(MConfig, UsesTheMomentaOfAbsentTasks) {
  Rng rng(904);
  const Matrix jacobian = random_jacobian(2, 5, rng);
  const auto method = make_with("m_config", {{"beta1", "0"}, {"beta2", "0"}, {"epsilon", "0"}});
  Result result;
  take_step(*method, jacobian, {}, nullptr, result);
  Matrix changed = jacobian;
  for (std::size_t p = 0; p < 5; ++p) changed(0, p) = rng.normal();
  const auto d = step_of_task(*method, changed, 0, 2, result);
  const auto expected = config_direction(changed);
  for (std::size_t p = 0; p < 5; ++p) {
    EXPECT_NEAR(d[p], expected[p] > 0 ? 1.0 : -1.0, kCertificate);
  }
}

TEST(MConfig, DoesNotDependOnTheScaleOfTheGradients) {
  Rng rng(905);
  const auto a = make_with("m_config", {{"epsilon", "0"}});
  const auto b = make_with("m_config", {{"epsilon", "0"}});
  for (int step = 0; step < 5; ++step) {
    const Matrix jacobian = random_jacobian(3, 7, rng);
    const auto d = take_step(*a, jacobian);
    const auto same = take_step(*b, scaled(jacobian, 1e100));
    for (std::size_t p = 0; p < 7; ++p) {
      EXPECT_NEAR(d[p], same[p], kCertificate * std::max(1.0, std::abs(d[p])));
    }
  }
}

TEST(MConfig, GivesZeroForZeroGradients) {
  Result result;
  const auto d = take_step(
      *make_with("m_config", {{"epsilon", "0"}}), matrix_of({{0, 0}, {0, 0}}), {}, nullptr, result);
  EXPECT_EQ(d, (std::vector<double>{0, 0}));
  EXPECT_EQ(result.stop, StopReason::kDegenerate);
}

}  // namespace
}  // namespace detente::balance

// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/uw.h>
#include <detente/core/error.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

std::unique_ptr<Method> uw_with(const std::vector<std::pair<std::string, std::string>>& settings) {
  auto method = make_uw();
  for (const auto& [name, value] : settings) {
    set_field([&](FieldVisitor& v) { method->describe(v); }, name, value, "[test]");
  }
  return method;
}

std::vector<double> step(Method& method, const std::vector<double>& losses, int times = 1) {
  Result result;
  for (int i = 0; i < times; ++i) {
    method.solve({.tasks = losses.size(), .losses = losses}, result);
  }
  return result.weights;
}

TEST(Uw, StartsWithTheFactorsOfTheKinds) {
  const auto method = uw_with({{"kind", "[gaussian, classification, laplace]"}});
  EXPECT_EQ(step(*method, {1, 1, 1}), (std::vector<double>{0.5, 1, 1}));
}

TEST(Uw, ConvergesToHalfTheInverseLoss) {
  // At the optimum c e^{-s} L = ½ whatever c, and for Laplace e^{-s} L = 1.
  const auto method = uw_with({{"kind", "[gaussian, classification, laplace]"}});
  const std::vector<double> losses = {0.2, 1.7, 4.0};
  const auto w = step(*method, losses, 4000);
  EXPECT_NEAR(w[0] * losses[0], 0.5, kLimit);
  EXPECT_NEAR(w[1] * losses[1], 0.5, kLimit);
  EXPECT_NEAR(w[2] * losses[2], 1.0, kLimit);
}

TEST(Uw, MovesEachVarianceAgainstItsGradient) {
  // Adam's first step has the length of the learning rate and the sign of −½ + c e^{-s} L.
  const auto method = uw_with({{"lr", "0.1"}});
  step(*method, {3.0, 0.2});
  const auto s = method->state().at("values").get<std::vector<double>>();
  EXPECT_NEAR(s[0], 0.1, kReference);
  EXPECT_NEAR(s[1], -0.1, kReference);
}

TEST(Uw, FollowsAdamWithTheAnalyticGradient) {
  const auto method = make_uw();
  double s = 0, first = 0, second = 0;
  for (int i = 1; i <= 50; ++i) {
    const double loss = 1.5 + std::sin(i);
    const double weight = 0.5 * std::exp(-s);
    EXPECT_NEAR(step(*method, {loss})[0], weight, kReference) << "step " << i;
    // Central difference of the objective, not the formula under test.
    const auto objective = [&](double t) { return 0.5 * std::exp(-t) * loss + 0.5 * t; };
    const double h = 1e-5;
    const double gradient = (objective(s + h) - objective(s - h)) / (2 * h);
    first = 0.9 * first + 0.1 * gradient;
    second = 0.999 * second + 0.001 * gradient * gradient;
    s -= 0.025 * (first / (1 - std::pow(0.9, i))) /
         (std::sqrt(second / (1 - std::pow(0.999, i))) + 1e-8);
    EXPECT_NEAR(method->state().at("values").at(0).get<double>(), s, kReference);
  }
}

TEST(Uw, ClampsTheVarianceOfASolvedTask) {
  const auto method = uw_with({{"lr", "1"}, {"clamp", "3"}});
  const auto w = step(*method, {1e-12, 1.0}, 200);
  EXPECT_NEAR(w[0], 0.5 * std::exp(3.0), kRounding * w[0]);
}

TEST(Uw, StaysWhereItIsWithLearningRateZero) {
  const auto method = uw_with({{"lr", "0"}, {"init", "-0.5"}});
  const auto w = step(*method, {3.0, 0.1}, 10);
  EXPECT_NEAR(w[0], 0.5 * std::exp(0.5), kRounding);
  EXPECT_NEAR(w[1], 0.5 * std::exp(0.5), kRounding);
}

TEST(Uw, ExplainsNegativeLosses) {
  const auto method = make_uw();
  Result result;
  const std::vector<double> losses = {1.0, -0.3};
  const std::vector<std::string> names = {"sts", "rho"};
  try {
    method->solve({.tasks = 2, .losses = losses, .names = names}, result);
    FAIL() << "a negative loss was accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNumeric);
    EXPECT_NE(std::string(error.what()).find("'rho'"), std::string::npos) << error.what();
  }
}

TEST(Uw, RefusesKindsThatDoNotFitTheTasks) {
  const auto method = uw_with({{"kind", "[gaussian, laplace]"}});
  EXPECT_THROW(step(*method, {1, 1, 1}), Error);
  EXPECT_THROW(uw_with({{"kind", "gausian"}}), Error);
}

TEST(Uw, RefusesADamagedState) {
  const auto method = make_uw();
  step(*method, {1, 2});
  Json state = method->state();
  state["first"] = Json::array({1.0});
  EXPECT_THROW(method->load_state(state), Error);
}

}  // namespace
}  // namespace detente::balance

// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/excess_mtl.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/methods.h"
#include "tests/support/problems.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

TEST(ExcessMtl, AgreesWithHandCalculation) {
  const auto method = make_with("excess_mtl", {{"eta", "0.5"}});
  Result result;
  take_step(*method, matrix_of({{3, 4}, {1, 0}}), {}, nullptr, result);
  // S = (9, 16; 1, 0), e⁰ = (3 + 4, 1); the weights rest.
  EXPECT_NEAR(result.weights[0], 0.5, kRounding);
  const auto d = take_step(*method, matrix_of({{4, 3}, {0, 2}}), {}, nullptr, result);
  // S = (25, 25; 1, 4), e = ((16 + 9)/5, 4/2).
  const double a = std::exp(0.5 * 5.0 / 7.0);
  const double b = std::exp(0.5 * 2.0 / 1.0);
  EXPECT_NEAR(result.weights[0], a / (a + b), kRounding);
  EXPECT_NEAR(result.weights[1], b / (a + b), kRounding);
  EXPECT_NEAR(d[0], 4 * a / (a + b), kRounding);
  EXPECT_NEAR(d[1], (3 * a + 2 * b) / (a + b), kRounding);
}

TEST(ExcessMtl, AveragesItsYardstickOverTheWarmup) {
  const auto method = make_with("excess_mtl", {{"eta", "1"}, {"warmup", "2"}});
  Result result;
  take_step(*method, matrix_of({{2}, {1}}), {}, nullptr, result);
  take_step(*method, matrix_of({{0.5}, {1}}), {}, nullptr, result);
  EXPECT_NEAR(result.weights[0], 0.5, kRounding);
  take_step(*method, matrix_of({{1}, {3}}), {}, nullptr, result);
  const double e0 = (2 + 0.25 / std::sqrt(4.25)) / 2;
  const double e1 = (1 + 1 / std::sqrt(2.0)) / 2;
  const double a = 1 / std::sqrt(5.25) / e0 - 9 / std::sqrt(11.0) / e1;
  EXPECT_NEAR(result.weights[0] / result.weights[1], std::exp(a), kAccumulated);
}

TEST(ExcessMtl, TurnsFromTheTaskThatHasConverged) {
  // One task's gradients shrink as it converges, the other's do not.
  const auto method = make_with("excess_mtl", {{"eta", "0.1"}});
  Rng rng(701);
  Result result;
  for (int step = 0; step < 60; ++step) {
    Matrix jacobian = random_jacobian(2, 50, rng);
    const double size = std::pow(0.8, step);
    for (std::size_t p = 0; p < 50; ++p) jacobian(0, p) *= size;
    take_step(*method, jacobian, {}, nullptr, result);
  }
  EXPECT_LT(result.weights[0], 0.5 * result.weights[1]);
}

TEST(ExcessMtl, KeepsTheMeanWithoutAStep) {
  const auto method = make_with("excess_mtl", {{"eta", "0"}});
  Rng rng(702);
  Result result;
  for (int step = 0; step < 5; ++step) {
    take_step(*method, random_jacobian(4, 9, rng), {}, nullptr, result);
    for (const double w : result.weights) EXPECT_NEAR(w, 0.25, kRounding);
  }
}

TEST(ExcessMtl, WaitsForTheFirstGradientOfATask) {
  const auto method = make_with("excess_mtl", {{"eta", "1"}});
  Result result;
  take_step(*method, matrix_of({{1}, {0}}), {}, nullptr, result);
  take_step(*method, matrix_of({{0}, {5}}), {}, nullptr, result);
  EXPECT_NEAR(result.weights[0], 0.5, kRounding);
  // From here on task 1 has a yardstick: e/e⁰ = (25/√50)/5, and task 0 has e = 0.
  take_step(*method, matrix_of({{0}, {5}}), {}, nullptr, result);
  EXPECT_NEAR(result.weights[1] / result.weights[0], std::exp(1 / std::sqrt(2.0)), kAccumulated);
}

TEST(ExcessMtl, LeavesTheShareOfAbsentTasks) {
  const auto method = make_with("excess_mtl", {{"eta", "1"}});
  Result result;
  take_step(*method, matrix_of({{1}, {1}, {1}}), {}, nullptr, result);
  const Matrix two = matrix_of({{4}, {1}});
  const std::vector<std::size_t> ids = {0, 2};
  std::vector<double> d(1);
  for (int step = 0; step < 20; ++step) {
    method->direct(
        {.tasks = 2, .ids = ids, .all_tasks = 3}, Rows<double>{two.data(), 2, 1, 1}, d, result);
  }
  EXPECT_NEAR(result.weights[0] + result.weights[1], 1.0, kRounding);
  // A step without change for tasks 0 and 2 (no gradient) shows what task 1 has: 1/3 and its own
  // move of exp(e/e⁰) = exp(1/√2).
  take_step(*method, matrix_of({{0}, {1}, {0}}), {}, nullptr, result);
  const double moved = std::exp(1 / std::sqrt(2.0)) / 3;
  EXPECT_NEAR(result.weights[1], moved / (moved + 2.0 / 3), kAccumulated);
}

TEST(ExcessMtl, SumsToTheNumberOfTasksInTheOfficialCode) {
  const auto method = make_with("excess_mtl", {{"preset", "official_code"}});
  Rng rng(703);
  Result result;
  for (int step = 0; step < 3; ++step) {
    take_step(*method, random_jacobian(5, 4, rng), {}, nullptr, result);
    double sum = 0;
    for (const double w : result.weights) sum += w;
    EXPECT_NEAR(sum, 5.0, kRounding);
  }
  const auto mixed = make_with("excess_mtl", {{"preset", "official_code"}, {"scale", "mean"}});
  take_step(*mixed, matrix_of({{1}, {1}}), {}, nullptr, result);
  EXPECT_NEAR(result.weights[0], 0.5, kRounding);
}

TEST(ExcessMtl, SurvivesARatioWithoutBounds) {
  const auto method = make_with("excess_mtl", {{"eta", "1"}});
  Result result;
  take_step(*method, matrix_of({{1e-150}, {1}}), {}, nullptr, result);
  for (int step = 0; step < 3; ++step) {
    take_step(*method, matrix_of({{1e150}, {1}}), {}, nullptr, result);
    EXPECT_NEAR(result.weights[0], 1.0, kRounding);
  }
}

}  // namespace
}  // namespace detente::balance

// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/imtl.h>
#include <detente/balance/imtl_g.h>
#include <detente/balance/registry.h>
#include <gtest/gtest.h>

#include "tests/support/methods.h"
#include "tests/support/problems.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

TEST(Imtl, IsImtlGOnTheFirstStep) {
  Rng rng(931);
  for (const std::size_t k : {1, 2, 5, 20}) {
    const Matrix gram = gram_of(problem_of(Family::kAligned, k, rng));
    const auto method = make_imtl();
    EXPECT_EQ(solve_gram(*method, gram, std::vector<double>(k, 3.0)).weights, imtl_g(gram).weights);
  }
}

TEST(Imtl, KeepsTheDirectionOfImtlG) {
  Rng rng(932);
  const Matrix jacobian = problem_of(Family::kAligned, 5, rng);
  const Matrix gram = gram_of(jacobian);
  const auto method = make_with("imtl", {{"lr", "0.5"}});
  Result result;
  for (int i = 0; i < 6; ++i) result = solve_gram(*method, gram, {0.01, 0.1, 1, 10, 100});
  const auto d = direction_of(jacobian, result.weights);
  const auto expected = direction_of(jacobian, imtl_g(gram).weights);
  EXPECT_NEAR(cosine(d, expected), 1.0, kAccumulated);
  EXPECT_GT(std::abs(norm_of(d) / norm_of(expected) - 1), 0.01);
}

TEST(Imtl, SettlesAtImtlGOfTheLossesDividedByTheirValues) {
  Rng rng(933);
  const Matrix jacobian = problem_of(Family::kAligned, 4, rng);
  const std::vector<double> losses = {0.2, 1.5, 4.0, 30.0};
  const auto method = make_with("imtl", {{"lr", "0.05"}});
  Result result;
  for (int i = 0; i < 6000; ++i) result = solve_gram(*method, gram_of(jacobian), losses);
  std::vector<double> inverse(4);
  for (std::size_t i = 0; i < 4; ++i) inverse[i] = 1 / losses[i];
  const auto alpha = imtl_g(gram_of(scaled_rows(jacobian, inverse))).weights;
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_NEAR(result.weights[i], alpha[i] / losses[i], kLimit * std::abs(alpha[i]) / losses[i]);
  }
}

TEST(Imtl, LeavesTheStateOfAbsentTasksAlone) {
  Rng rng(934);
  const Matrix gram = gram_of(problem_of(Family::kAligned, 3, rng));
  const Matrix part = gram_of(problem_of(Family::kAligned, 2, rng));
  const auto method = make_imtl();
  solve_gram(*method, gram, {1, 2, 3});
  const Json before = method->state();
  const std::vector<std::size_t> ids = {0, 2};
  const std::vector<double> losses = {5, 6};
  Result result;
  method->solve({.tasks = 2, .gram = part, .losses = losses, .ids = ids, .all_tasks = 3}, result);
  const Json after = method->state();
  for (const char* key : {"values", "first", "second", "steps"}) {
    EXPECT_EQ(before.at(key).at(1), after.at(key).at(1)) << key;
    EXPECT_NE(before.at(key).at(0), after.at(key).at(0)) << key;
    EXPECT_NE(before.at(key).at(2), after.at(key).at(2)) << key;
  }
}

TEST(Imtl, RefusesNegativeLosses) {
  const auto method = make_imtl();
  try {
    solve_gram(*method, gram_of(matrix_of({{1, 0}, {0, 1}})), {1.0, -0.5});
    FAIL() << "a negative loss was accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNumeric);
    EXPECT_NE(std::string(error.what()).find("balance::imtl]"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace detente::balance

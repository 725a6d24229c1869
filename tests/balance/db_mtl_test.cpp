// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/db_mtl.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/methods.h"
#include "tests/support/problems.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

TEST(DbMtl, MakesAllTermsAsLongAsTheLongestLogGradient) {
  Rng rng(1001);
  const Matrix jacobian = random_jacobian(4, 9, rng);
  const std::vector<double> losses = {0.1, 2, 30, 0.5};
  const auto w = db_mtl(gram_of(jacobian), losses).weights;
  double longest = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    longest = std::max(longest, norm_of(row_of(jacobian, i)) / losses[i]);
  }
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_NEAR(w[i] * norm_of(row_of(jacobian, i)), longest, kAccumulated * longest);
  }
}

TEST(DbMtl, NeedsTheGramMatrixOnlyWithoutAverages) {
  EXPECT_EQ(make_db_mtl()->method_class(), MethodClass::kCoordinates);
  const auto method = make_with("db_mtl", {{"beta", "0"}});
  EXPECT_EQ(method->method_class(), MethodClass::kGramLoss);
  EXPECT_TRUE(method->uses_losses());
  Rng rng(1002);
  take_step(*method, random_jacobian(2, 3, rng), {1, 2});
  EXPECT_TRUE(method->state().is_null());
  EXPECT_TRUE(method->state_arrays().empty());
}

TEST(DbMtl, TendsToTheFormWithoutAveragesForSmallBeta) {
  Rng rng(1003);
  const auto a = make_with("db_mtl", {{"beta", "0"}});
  const auto b = make_with("db_mtl", {{"beta", "1e-13"}});
  for (int step = 0; step < 3; ++step) {
    const Matrix jacobian = random_jacobian(3, 6, rng);
    Result result_a, result_b;
    const auto d = take_step(*a, jacobian, {1, 2, 3}, nullptr, result_a);
    const auto same = take_step(*b, jacobian, {1, 2, 3}, nullptr, result_b);
    for (std::size_t p = 0; p < 6; ++p) EXPECT_NEAR(d[p], same[p], kAccumulated);
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_NEAR(result_a.weights[i], result_b.weights[i], kAccumulated);
    }
  }
}

TEST(DbMtl, AveragesTheLogGradients) {
  const auto method = make_with("db_mtl", {{"beta", "0.5"}, {"beta_decay", "1"}});
  take_step(*method, matrix_of({{2, 0}, {0, 3}}), {2, 1});
  Result result;
  const auto d = take_step(*method, matrix_of({{0, 4}, {0, 1}}), {1, 2}, nullptr, result);
  // ĥ = (½, 0; 0, 1.5), then with β = ¼: (1/8, 3; 0, 3/8 + 3/8).
  const double first = std::hypot(0.125, 3.0);
  const double alpha = first / 0.75;
  EXPECT_NEAR(d[0], 0.125, kRounding);
  EXPECT_NEAR(d[1], 3.0 + first, kRounding);
  EXPECT_NEAR(result.weights[0], 1.0, kRounding);
  EXPECT_NEAR(result.weights[1], alpha / 2, kRounding);
}

TEST(DbMtl, DoesNotDependOnTheScaleOfTheLosses) {
  Rng rng(1004);
  for (const char* beta : {"0", "0.9"}) {
    const auto a = make_with("db_mtl", {{"beta", beta}});
    const auto b = make_with("db_mtl", {{"beta", beta}});
    for (int step = 0; step < 4; ++step) {
      const Matrix jacobian = random_jacobian(3, 7, rng);
      const auto d = take_step(*a, jacobian, {1, 2, 3});
      const auto same = take_step(*b, scaled_rows(jacobian, {1e3, 1e-4, 7}), {1e3, 2e-4, 21});
      for (std::size_t p = 0; p < 7; ++p) EXPECT_NEAR(d[p], same[p], kAccumulated);
    }
  }
}

TEST(DbMtl, LeavesZeroGradientsOut) {
  for (const char* beta : {"0", "0.5"}) {
    Result result;
    const auto method = make_with("db_mtl", {{"beta", beta}});
    const auto d = take_step(*method, matrix_of({{0, 0}, {3, 4}}), {1, 1}, nullptr, result);
    EXPECT_EQ(result.weights[0], 0.0);
    EXPECT_NEAR(d[1] / d[0], 4.0 / 3.0, kRounding);
    const auto none = make_with("db_mtl", {{"beta", beta}});
    EXPECT_EQ(take_step(*none, matrix_of({{0, 0}, {0, 0}}), {1, 1}, nullptr, result),
              (std::vector<double>{0, 0}));
    EXPECT_EQ(result.stop, StopReason::kDegenerate);
  }
}

TEST(DbMtl, NeedsLossesWithALogarithm) {
  const Matrix jacobian = matrix_of({{1, 0}, {0, 1}});
  for (const char* beta : {"0", "0.9"}) {
    const auto method = make_with("db_mtl", {{"beta", beta}});
    EXPECT_THROW(take_step(*method, jacobian), Error);
    try {
      take_step(*method, jacobian, {1, 0});
      ADD_FAILURE() << "a loss of zero was accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kNumeric);
      EXPECT_NE(std::string(error.what()).find("task 1"), std::string::npos) << error.what();
    }
    const auto shifted = make_with("db_mtl", {{"beta", beta}, {"epsilon", "0.5"}});
    EXPECT_NO_THROW(take_step(*shifted, jacobian, {1, 0}));
  }
}

}  // namespace
}  // namespace detente::balance

// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/sam_gs.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/methods.h"
#include "tests/support/problems.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

TEST(SamGs, MakesGradientsOfDifferentLengthEquallyLong) {
  Result result;
  const auto d = take_step(*make_sam_gs(), matrix_of({{10, 0}, {0, 2}}), {}, nullptr, result);
  EXPECT_NEAR(d[0], 6.0, kRounding);
  EXPECT_NEAR(d[1], 6.0, kRounding);
  EXPECT_NEAR(result.weights[0], 0.6, kRounding);
  EXPECT_NEAR(result.weights[1], 3.0, kRounding);
}

TEST(SamGs, ModulatesGradientsOfSimilarLengthByTheirMomentum) {
  const auto method = make_with("sam_gs", {{"beta1", "0.5"}, {"beta2", "0.5"}});
  Result result;
  take_step(*method, matrix_of({{4, 0}, {0, 3}}), {}, nullptr, result);
  const auto d = take_step(*method, matrix_of({{2, 0}, {0, -2}}), {}, nullptr, result);
  // s = 24/25 and 1; v = ½ (½ (1/25)² + ε) + ε, v̂ = v/(3/4); m̂ = (½·½·4 + ½·2)/(3/4) and
  // (½·½·3 − ½·2)/(3/4).
  const double v = (0.5 * (0.5 * 0.0016 + 1e-8) + 1e-8) / 0.75;
  EXPECT_NEAR(d[0], 2 * (2 / 0.75) / std::sqrt(v), kAccumulated * d[0]);
  EXPECT_NEAR(d[1], -2 * (0.25 / 0.75) / std::sqrt(v), kAccumulated * d[0]);
  EXPECT_EQ(result.weights, std::vector<double>(2, 1.0));
}

TEST(SamGs, ChoosesByThePairOrByTheMean) {
  // Similarities 1, 0.6 and 0.6: the mean is 0.733.
  const Matrix jacobian = matrix_of({{3, 0}, {0, 3}, {0, 1}});
  const auto equalises = [&](const char* gamma, const char* compare) {
    Result result;
    take_step(*make_with("sam_gs", {{"gamma", gamma}, {"compare", compare}}),
              jacobian,
              {},
              nullptr,
              result);
    return result.weights != std::vector<double>(3, 1.0);
  };
  EXPECT_TRUE(equalises("0.7", "any"));
  EXPECT_FALSE(equalises("0.7", "mean"));
  EXPECT_TRUE(equalises("0.74", "mean"));
  EXPECT_FALSE(equalises("0.59", "any"));
  EXPECT_FALSE(equalises("0", "any"));
}

TEST(SamGs, LeavesZeroGradientsOut) {
  Result result;
  const auto d =
      take_step(*make_sam_gs(), matrix_of({{10, 0}, {0, 0}, {0, 2}}), {}, nullptr, result);
  EXPECT_NEAR(d[0], 6.0, kRounding);
  EXPECT_NEAR(d[1], 6.0, kRounding);
  EXPECT_EQ(result.weights[1], 0.0);
  EXPECT_EQ(take_step(*make_sam_gs(), matrix_of({{0, 0}, {0, 0}}), {}, nullptr, result),
            (std::vector<double>{0, 0}));
  EXPECT_EQ(result.stop, StopReason::kDegenerate);
  EXPECT_EQ(take_step(*make_sam_gs(), matrix_of({{0, 0}, {5, 1}})), (std::vector<double>{5, 1}));
}

TEST(SamGs, IsOfDegreeOneOrTwo) {
  for (const auto& [rows, degree] :
       std::vector<std::pair<std::vector<std::vector<double>>, double>>{{{{10, 0}, {1, 2}}, 1},
                                                                        {{{3, 0}, {1, 2}}, 2}}) {
    const Matrix jacobian = matrix_of(rows);
    const auto once = take_step(*make_sam_gs(), jacobian);
    const auto more = take_step(*make_sam_gs(), scaled(jacobian, 10));
    for (std::size_t p = 0; p < 2; ++p) {
      EXPECT_NEAR(more[p], std::pow(10, degree) * once[p], kAccumulated * std::abs(more[p]));
    }
  }
}

TEST(SamGs, TakesTheThresholdOfTheOfficialCode) {
  Result result;
  const Matrix jacobian = matrix_of({{10, 0}, {0, 2}});  // s = 0.38
  take_step(*make_with("sam_gs", {{"preset", "official_code"}}), jacobian, {}, nullptr, result);
  EXPECT_EQ(result.weights, std::vector<double>(2, 1.0));
  take_step(*make_with("sam_gs", {{"preset", "official_code"}, {"gamma", "0.5"}}),
            jacobian,
            {},
            nullptr,
            result);
  EXPECT_NE(result.weights, std::vector<double>(2, 1.0));
}

}  // namespace
}  // namespace detente::balance

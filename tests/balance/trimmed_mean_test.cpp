// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/trimmed_mean.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/methods.h"
#include "tests/support/problems.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

// Sorts each column.
std::vector<double> plain_trimmed_mean(const Matrix& jacobian, std::size_t trim) {
  std::vector<double> d(jacobian.cols(), 0.0);
  for (std::size_t p = 0; p < d.size(); ++p) {
    std::vector<double> column;
    for (std::size_t i = 0; i < jacobian.rows(); ++i) column.push_back(jacobian(i, p));
    std::sort(column.begin(), column.end());
    for (std::size_t i = trim; i + trim < column.size(); ++i) d[p] += column[i];
    d[p] /= static_cast<double>(column.size() - 2 * trim);
  }
  return d;
}

TEST(TrimmedMean, AgreesWithSortedColumns) {
  Rng rng(601);
  for (const std::size_t k : {1, 2, 3, 4, 5, 8, 13}) {
    for (std::size_t trim = 0; 2 * trim < k; ++trim) {
      const Matrix jacobian = random_jacobian(k, 1100, rng);
      const auto method = make_with("trimmed_mean", {{"trim", std::to_string(trim)}});
      const auto d = take_step(*method, jacobian);
      const auto expected = plain_trimmed_mean(jacobian, trim);
      for (std::size_t p = 0; p < d.size(); ++p) EXPECT_NEAR(d[p], expected[p], kRounding);
    }
  }
}

TEST(TrimmedMean, IsNotMovedByOneWildTask) {
  const Matrix jacobian = matrix_of({{1, 2}, {1e12, -1e12}, {2, 1}, {3, 3}});
  const auto d = take_step(*make_trimmed_mean(), jacobian);
  EXPECT_NEAR(d[0], 2.5, kRounding);
  EXPECT_NEAR(d[1], 1.5, kRounding);
}

TEST(TrimmedMean, CountsTiesAsOftenAsTheyOccur) {
  const Matrix jacobian = matrix_of({{1}, {1}, {1}, {4}, {0}});
  EXPECT_EQ(take_step(*make_trimmed_mean(), jacobian), std::vector<double>{1.0});
}

TEST(TrimmedMean, TakesTheMedianWhenTooFewTasksAreThere) {
  const auto method = make_with("trimmed_mean", {{"trim", "9"}});
  Result result;
  EXPECT_EQ(take_step(*method, matrix_of({{1, 9}, {5, 2}, {7, 3}}), {}, nullptr, result),
            (std::vector<double>{5, 3}));
  EXPECT_NE(result.message.find("median"), std::string::npos);
  EXPECT_EQ(take_step(*method, matrix_of({{1, 9}, {5, 2}})), (std::vector<double>{3, 5.5}));
  EXPECT_EQ(take_step(*method, matrix_of({{4, 2}})), (std::vector<double>{4, 2}));
}

TEST(TrimmedMean, ReturnsWeightOneForEveryTask) {
  Result result;
  take_step(*make_trimmed_mean(), matrix_of({{1}, {2}, {3}}), {}, nullptr, result);
  EXPECT_EQ(result.weights, std::vector<double>(3, 1.0));
}

}  // namespace
}  // namespace detente::balance

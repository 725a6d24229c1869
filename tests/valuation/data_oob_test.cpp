// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/rng.h>
#include <detente/valuation/data_oob.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "tests/support/error_of.h"

namespace detente::valuation {
namespace {

using testing::HasSubstr;
using List = std::vector<double>;
using Rows = std::span<const std::size_t>;

TEST(DataOob, IsTheMeanScoreOfThoseWhoDidNotDrawTheExample) {
  constexpr std::size_t kRows = 9;
  std::vector<std::vector<List>> scores(kRows, std::vector<List>(2));
  Rng rng(1);
  std::size_t models = 0;
  const auto fit_and_score = [&](Rows drawn, Rows others) {
    EXPECT_EQ(drawn.size(), kRows);
    EXPECT_TRUE(std::is_sorted(drawn.begin(), drawn.end()));
    std::vector<bool> in(kRows, false);
    for (const std::size_t row : drawn) in[row] = true;
    EXPECT_EQ(others.size(), static_cast<std::size_t>(std::count(in.begin(), in.end(), false)));
    List result;
    for (const std::size_t row : others) {
      EXPECT_FALSE(in[row]);
      for (std::size_t o = 0; o < 2; ++o) {
        const bool unknown = o == 1 && row % 3 == 0;
        result.push_back(unknown ? std::nan("") : rng.normal());
        if (!unknown) scores[row][o].push_back(result.back());
      }
    }
    ++models;
    return result;
  };
  const auto got = data_oob(kRows, 2, fit_and_score, {40, 7});
  EXPECT_EQ(models, 40u);
  ASSERT_EQ(got.size(), 2u);
  for (std::size_t o = 0; o < 2; ++o) {
    for (std::size_t row = 0; row < kRows; ++row) {
      const List& all = scores[row][o];
      const auto count = static_cast<double>(all.size());
      EXPECT_EQ(got[o].counts[row], static_cast<std::int64_t>(all.size()));
      if (all.empty()) {
        EXPECT_TRUE(std::isnan(got[o].values[row]));
        EXPECT_TRUE(o == 1 && row % 3 == 0);
        continue;
      }
      const double mean = std::accumulate(all.begin(), all.end(), 0.0) / count;
      double squares = 0.0;
      for (const double score : all) squares += (score - mean) * (score - mean);
      EXPECT_NEAR(got[o].values[row], mean, 1e-14);
      EXPECT_NEAR(got[o].standard_errors[row], std::sqrt(squares / (count - 1) / count), 1e-14);
    }
  }
}

// Example 0 alone out of the bag counts as well; so do draws that leave nobody out.
TEST(DataOob, CountsEveryExampleThatIsOut) {
  const auto one = [](Rows, Rows others) { return List(others.size(), 1.0); };
  for (const std::size_t n : {1UL, 2UL, 50UL}) {
    const Estimate got = data_oob(n, 1, one, {4000, 3})[0];
    const double out = std::pow(1.0 - 1.0 / static_cast<double>(n), static_cast<double>(n));
    for (std::size_t i = 0; i < n; ++i) {
      EXPECT_NEAR(static_cast<double>(got.counts[i]) / 4000, out, 0.04);
      EXPECT_EQ(std::isnan(got.values[i]), n == 1);
    }
  }
}

TEST(DataOob, DrawsTheSameForASeedWhateverTheNumberOfModels) {
  std::vector<std::vector<std::size_t>> all;
  const auto record = [&](Rows drawn, Rows others) {
    all.emplace_back(drawn.begin(), drawn.end());
    return List(others.size(), 0.0);
  };
  data_oob(30, 1, record, {5, 11});
  const auto five = std::exchange(all, {});
  data_oob(30, 1, record, {8, 11});
  EXPECT_EQ(std::vector(all.begin(), all.begin() + 5), five);
  all.clear();
  data_oob(30, 1, record, {5, 12});
  EXPECT_NE(all, five);
  all.clear();
  data_oob(30, 1, record, {8, 11, [](std::size_t done, std::size_t) { return done < 5; }});
  EXPECT_EQ(all, five);
}

TEST(DataOob, NamesWhatIsWrong) {
  const auto one = [](Rows, Rows others) { return List(others.size(), 1.0); };
  const auto error =
      [](std::size_t n, std::size_t outputs, const FitAndScore& fit_and_score, std::size_t models) {
        return test::error_of([&] { data_oob(n, outputs, fit_and_score, {models}); });
      };
  EXPECT_EQ(error(0, 1, one, 1).code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error(1, 0, one, 1).code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error(1, 1, one, 0).code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error(9, 2, one, 1).code(), ErrorCode::kShape);
  const auto infinite = [](Rows, Rows others) {
    return List(others.size(), std::numeric_limits<double>::infinity());
  };
  EXPECT_EQ(error(9, 1, infinite, 1).code(), ErrorCode::kNumeric);
  EXPECT_THAT(error(9, 1, infinite, 1).what(), HasSubstr("model 0 scores inf on row"));
}

}  // namespace
}  // namespace detente::valuation

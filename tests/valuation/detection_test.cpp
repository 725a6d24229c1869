// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/nan.h>
#include <detente/core/rng.h>
#include <detente/valuation/detection.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "tests/support/error_of.h"

namespace detente::valuation {
namespace {

using testing::HasSubstr;
using List = std::vector<double>;

double squares(const List& values) {
  double mean = 0.0;
  for (const double v : values) mean += v / static_cast<double>(values.size());
  double sum = 0.0;
  for (const double v : values) sum += (v - mean) * (v - mean);
  return sum;
}

TEST(Detection, TheLowClusterIsTheBestOfAllSplits) {
  Rng rng(1);
  for (int round = 0; round < 50; ++round) {
    List values;
    for (int i = 0; i < 9; ++i) {
      values.push_back(1e6 + std::round(4 * rng.normal()) / 4 - (i < 3 ? 2.0 : 0.0));
    }
    double best = std::numeric_limits<double>::infinity();
    for (unsigned set = 1; set + 1 < 1U << 9U; ++set) {
      List parts[2];
      for (unsigned i = 0; i < 9; ++i) parts[set >> i & 1U].push_back(values[i]);
      best = std::min(best, squares(parts[0]) + squares(parts[1]));
    }
    const std::vector<bool> low = low_cluster(values);
    List parts[2];
    for (std::size_t i = 0; i < 9; ++i) parts[low[i] ? 1 : 0].push_back(values[i]);
    EXPECT_NEAR(squares(parts[0]) + squares(parts[1]), best, 1e-6);
    EXPECT_LT(*std::max_element(parts[1].begin(), parts[1].end()),
              *std::min_element(parts[0].begin(), parts[0].end()));
  }
}

TEST(Detection, PartsNoEqualValues) {
  EXPECT_EQ(low_cluster(List{2, 2, 2}), (std::vector<bool>{false, false, false}));
  // Where the mean rounds too.
  for (const std::size_t n : {3UL, 7UL, 49UL}) {
    EXPECT_EQ(low_cluster(List(n, 0.1)), std::vector<bool>(n, false));
  }
  EXPECT_EQ(low_cluster(List{}), std::vector<bool>{});
  EXPECT_EQ(low_cluster(List{3}), std::vector<bool>{false});
  EXPECT_EQ(low_cluster(List{5, 1, kNan, 1, 5.5}),
            (std::vector<bool>{false, true, false, true, false}));
  EXPECT_EQ(test::error_of([] {
              low_cluster(List{1, -std::numeric_limits<double>::infinity()});
            }).code(),
            ErrorCode::kNumeric);
}

TEST(Detection, LowValuesCountAsBad) {
  const List bad{1, 0, 0, 1, 0, kNan, 0};
  const List values{-3, 1, 2, 0.5, 0.5, -9, kNan};
  // Of the pairs of 2 bad and 3 good ones with a value: one tie.
  const metrics::Score auroc = detection_auroc(values, bad);
  EXPECT_NEAR(auroc.value, 5.5 / 6, 1e-15);
  EXPECT_EQ(auroc.rows, 5u);
  EXPECT_THAT(auroc.note, HasSubstr("1 examples"));
  EXPECT_EQ(detection_auroc(List{-1, 1}, List{1, 0}).value, 1.0);
  EXPECT_EQ(detection_auroc(List{-1, 1}, List{1, 0}).note, "");
  const List clear{-3, 1, 1.2, -2.8, -3.1, 1.1};
  const List flags{1, 0, 1, 1, 0, 0};
  // Low: 0, 3 and 4, of which two are bad; the third bad one is missed.
  EXPECT_NEAR(detection_f1(clear, flags).value, 2.0 / 3, 1e-15);
  EXPECT_FALSE(detection_f1(List{1, 2}, List{0, 0}).defined());
  EXPECT_FALSE(detection_auroc(List{1, 2}, List{0, 0}).defined());
  EXPECT_EQ(test::error_of([] { detection_f1(List{1}, List{1, 0}); }).code(), ErrorCode::kShape);
  EXPECT_EQ(test::error_of([] { detection_auroc(List{1}, List{1, 0}); }).code(), ErrorCode::kShape);
}

}  // namespace
}  // namespace detente::valuation

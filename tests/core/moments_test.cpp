// SPDX-License-Identifier: Apache-2.0
#include <detente/core/moments.h>
#include <detente/core/nan.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace detente {
namespace {

TEST(Moments, OfAFewNumbers) {
  const Moments moments = finite_moments(std::vector<double>{1, 2, kNan, 3, 6, INFINITY});
  EXPECT_EQ(moments.count, 4U);
  EXPECT_EQ(moments.mean, 3);
  EXPECT_DOUBLE_EQ(moments.deviation, std::sqrt(3.5));
}

TEST(Moments, OfNothing) {
  for (const auto& values : {std::vector<double>{}, std::vector<double>{kNan, kNan}}) {
    const Moments moments = finite_moments(values);
    EXPECT_EQ(moments.count, 0U);
    EXPECT_TRUE(std::isnan(moments.mean));
    EXPECT_EQ(moments.deviation, 0);
  }
}

TEST(Moments, EqualNumbersHaveNoSpread) {
  // Ten times 0.1 sums to less than 1: the spread must be 0 all the same.
  const Moments moments = finite_moments(std::vector<double>(10, 0.1));
  EXPECT_EQ(moments.mean, 0.1);
  EXPECT_EQ(moments.deviation, 0);
  EXPECT_EQ(finite_moments(std::vector<double>{0, 0}).deviation, 0);
}

TEST(Moments, ScaleWithTheNumbers) {
  const std::vector<double> plain = {-1, 2, 0.5, 7};
  const Moments expected = finite_moments(plain);
  for (const double scale : {1e-300, 1e-160, 1e160, 1e307}) {
    std::vector<double> values;
    for (const double value : plain) values.push_back(scale * value);
    const Moments moments = finite_moments(values);
    EXPECT_NEAR(moments.mean / scale, expected.mean, 1e-12) << scale;
    EXPECT_NEAR(moments.deviation / scale, expected.deviation, 1e-12) << scale;
  }
  const double top = std::numeric_limits<double>::max();
  EXPECT_NEAR(finite_moments(std::vector<double>{top, top, -top}).mean / top, 1.0 / 3, 1e-12);
}

TEST(Moments, SeeASmallSpreadFarFromZero) {
  const Moments moments = finite_moments(std::vector<double>{1e15, 1e15 + 2});
  EXPECT_NEAR(moments.deviation, 1, 0.2);
  EXPECT_GT(finite_moments(std::vector<double>{0, 5e-324}).count, 0U);
}

}  // namespace
}  // namespace detente

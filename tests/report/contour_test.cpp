// SPDX-License-Identifier: Apache-2.0
#include <detente/report/contour.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

namespace detente::report {
namespace {

Matrix sampled(std::size_t n,
               double low,
               double high,
               const std::function<double(double, double)>& f) {
  Matrix grid(n, n);
  const double step = (high - low) / static_cast<double>(n - 1);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      grid(i, j) = f(low + step * static_cast<double>(j), low + step * static_cast<double>(i));
    }
  }
  return grid;
}

TEST(Contour, OfAParaboloidIsOneClosedCircle) {
  const Matrix grid = sampled(101, -2, 2, [](double x, double y) { return x * x + y * y; });
  const auto lines = contour_lines(grid, {-2, -2, 4, 4}, 1.0);
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(lines[0].front().x, lines[0].back().x);
  EXPECT_EQ(lines[0].front().y, lines[0].back().y);
  double length = 0;
  for (std::size_t i = 0; i < lines[0].size(); ++i) {
    EXPECT_NEAR(std::hypot(lines[0][i].x, lines[0][i].y), 1.0, 1e-3);
    if (i > 0)
      length += std::hypot(lines[0][i].x - lines[0][i - 1].x, lines[0][i].y - lines[0][i - 1].y);
  }
  EXPECT_NEAR(length, 2 * M_PI, 0.01);
}

TEST(Contour, OfAPlaneIsOneStraightLine) {
  const Matrix grid = sampled(20, 0, 1, [](double x, double y) { return x + 2 * y; });
  const auto lines = contour_lines(grid, {0, 0, 1, 1}, 1.1);
  ASSERT_EQ(lines.size(), 1U);
  for (const Point p : lines[0]) EXPECT_NEAR(p.x + 2 * p.y, 1.1, 1e-12);
  // From border to border.
  EXPECT_NEAR(std::abs(lines[0].front().x - lines[0].back().x), 1, 1e-12);
}

TEST(Contour, SplitsSaddlesWithoutCrossing) {
  const Matrix grid = sampled(4, -1, 1, [](double x, double y) { return x * y; });
  EXPECT_EQ(contour_lines(grid, {-1, -1, 2, 2}, 0.02).size(), 2U);
  EXPECT_EQ(contour_lines(grid, {-1, -1, 2, 2}, -0.02).size(), 2U);
}

TEST(Contour, IsEmptyOffTheRangeAndAroundGaps) {
  Matrix grid = sampled(5, 0, 1, [](double x, double) { return x; });
  EXPECT_TRUE(contour_lines(grid, {0, 0, 1, 1}, 7).empty());
  for (std::size_t i = 0; i < 5; ++i) grid(i, 2) = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(contour_lines(grid, {0, 0, 1, 1}, 0.4).empty());
  EXPECT_EQ(contour_lines(grid, {0, 0, 1, 1}, 0.1).size(), 1U);
  EXPECT_TRUE(contour_lines({}, {0, 0, 1, 1}, 0.5).empty());
}

}  // namespace
}  // namespace detente::report

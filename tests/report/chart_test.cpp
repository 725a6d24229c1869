// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/nan.h>
#include <detente/core/rng.h>
#include <detente/report/chart.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/report/count.h"

namespace detente::report {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kTiny = 1e-12;

std::string draw(const Chart& chart) {
  Canvas canvas(480, 300);
  draw_chart(canvas, {0, 0, 480, 300}, chart);
  return to_svg(canvas);
}

Series series(std::vector<double> x, std::vector<double> y) {
  return {"s", std::move(x), std::move(y), line_color(0)};
}

TEST(RoundTicks, AreRoundInsideAndAboutAsManyAsAsked) {
  EXPECT_THAT(round_ticks(0, 1, 5),
              ElementsAre(0,
                          DoubleNear(0.2, kTiny),
                          DoubleNear(0.4, kTiny),
                          DoubleNear(0.6, kTiny),
                          DoubleNear(0.8, kTiny),
                          DoubleNear(1, kTiny)));
  for (const double scale : {1e-9, 0.37, 1.0, 42.0, 1e7}) {
    for (int target = 2; target < 9; ++target) {
      const auto ticks = round_ticks(-0.31 * scale, 1.7 * scale, target);
      EXPECT_GE(ticks.size(), 1U);
      EXPECT_LE(ticks.size(), static_cast<std::size_t>(target) + 1);
      EXPECT_GE(ticks.front(), -0.31 * scale);
      EXPECT_LE(ticks.back(), 1.7 * scale);
    }
  }
}

TEST(RoundTicks, GiveNothingForAnEmptyOrEndlessRange) {
  EXPECT_THAT(round_ticks(1, 1, 5), IsEmpty());
  EXPECT_THAT(round_ticks(0, kInf, 5), IsEmpty());
  EXPECT_THAT(round_ticks(kNan, 1, 5), IsEmpty());
}

TEST(LogTicks, ArePowersOfTenOrTheirParts) {
  EXPECT_THAT(log_ticks(0.5, 2000),
              ElementsAre(DoubleNear(1, kTiny),
                          DoubleNear(10, kTiny),
                          DoubleNear(100, kTiny),
                          DoubleNear(1000, kTiny)));
  EXPECT_THAT(log_ticks(0.9, 6),
              ElementsAre(DoubleNear(1, kTiny), DoubleNear(2, kTiny), DoubleNear(5, kTiny)));
  EXPECT_LE(log_ticks(1e-30, 1e30).size(), 14U);
  EXPECT_THAT(log_ticks(0, 1), IsEmpty());
}

TEST(TickText, IsShort) {
  EXPECT_EQ(tick_text(0, 1), "0");
  EXPECT_EQ(tick_text(0.25, 0.25), "0.25");
  EXPECT_EQ(tick_text(-2, 0.5), "-2.0");
  EXPECT_EQ(tick_text(1500, 500), "1500");
  EXPECT_EQ(tick_text(100000, 20000), "100k");
  EXPECT_EQ(tick_text(2e6, 1e6), "2M");
  EXPECT_EQ(tick_text(1e-7, 1e-7), "1e-7");
  EXPECT_EQ(tick_text(2.5, 2.5), "2.5");
}

TEST(ThinPoints, KeepsExtremesAndEnds) {
  Rng rng(1);
  std::vector<double> x;
  std::vector<double> y;
  for (int i = 0; i < 20000; ++i) {
    x.push_back(i);
    y.push_back(rng.normal());
  }
  y[777] = 50;
  y[15000] = -60;
  const auto points = thin_points(x, y, 0, 19999, 100);
  EXPECT_LE(points.size(), 4U * 101);
  const auto [low, high] =
      std::minmax_element(points.begin(), points.end(), [](Point a, Point b) { return a.y < b.y; });
  EXPECT_EQ(low->y, -60);
  EXPECT_EQ(high->y, 50);
  EXPECT_EQ(points.front().x, 0);
  EXPECT_EQ(points.back().x, 19999);
  EXPECT_TRUE(
      std::is_sorted(points.begin(), points.end(), [](Point a, Point b) { return a.x < b.x; }));
}

TEST(ThinPoints, KeepsGapsOnce) {
  std::vector<double> x;
  std::vector<double> y;
  for (int i = 0; i < 10000; ++i) {
    x.push_back(i);
    y.push_back(i >= 4000 && i < 6000 ? kNan : 1.0);
  }
  const auto points = thin_points(x, y, 0, 9999, 50);
  EXPECT_EQ(std::count_if(points.begin(), points.end(), [](Point p) { return std::isnan(p.y); }),
            1);
}

TEST(ThinPoints, LeavesFewPointsAlone) {
  const std::vector<double> x = {0, 1, 2};
  const std::vector<double> y = {5, kNan, 7};
  EXPECT_EQ(thin_points(x, y, 0, 2, 10).size(), 3U);
}

TEST(Smooth, AveragesOverItsWindowAndSkipsGaps) {
  const std::vector<double> y = {1, 2, kNan, 4, 100};
  EXPECT_THAT(smooth(y, 3), ElementsAre(1.5, 1.5, 3, 52, 52));
  EXPECT_THAT(smooth(std::vector<double>{3, 3, 3}, 9), ElementsAre(3, 3, 3));
  EXPECT_TRUE(std::isnan(smooth(std::vector<double>{kNan, kNan}, 3)[0]));
  EXPECT_THAT(smooth({}, 3), IsEmpty());
}

TEST(Chart, MapsDataToItsFrame) {
  Chart chart;
  chart.series.push_back(series({0, 10}, {-1, 3}));
  Canvas canvas(480, 300);
  const ChartFrame frame = draw_chart(canvas, {0, 0, 480, 300}, chart);
  EXPECT_EQ(frame.x_min, 0);
  EXPECT_EQ(frame.x_max, 10);
  EXPECT_LT(frame.y_min, -1);
  EXPECT_GT(frame.y_max, 3);
  EXPECT_NEAR(frame.at(0, 0).x, frame.plot.x, 1e-9);
  EXPECT_NEAR(frame.at(10, frame.y_max).y, frame.plot.y, 1e-9);
  EXPECT_LT(frame.at(0, 3).y, frame.at(0, -1).y);
}

TEST(Chart, SaysNoDataWhenThereIsNone) {
  EXPECT_THAT(draw({}), HasSubstr(">no data<"));
  Chart gaps;
  gaps.series.push_back(series({1, 2}, {kNan, kInf}));
  EXPECT_THAT(draw(gaps), HasSubstr(">no data<"));
  Chart negative;
  negative.log_y = true;
  negative.series.push_back(series({1, 2}, {0, -3}));
  EXPECT_THAT(draw(negative), HasSubstr(">no data<"));
}

TEST(Chart, DrawsASinglePointAsADot) {
  Chart chart;
  chart.series.push_back(series({5}, {0.25}));
  const std::string svg = draw(chart);
  EXPECT_EQ(count(svg, "<circle"), 1U);
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  EXPECT_THAT(svg, Not(HasSubstr("inf")));
}

TEST(Chart, DrawsFlatLinesAtAnyHeight) {
  for (const double y : {0.0, 1e-300, -5.0, 1e12}) {
    Chart chart;
    chart.series.push_back(series({0, 1}, {y, y}));
    const std::string svg = draw(chart);
    EXPECT_THAT(svg, Not(HasSubstr("nan"))) << y;
    EXPECT_THAT(svg, Not(HasSubstr("inf"))) << y;
  }
}

TEST(Chart, PutsPowersOfTenAtEvenDistances) {
  Chart chart;
  chart.log_y = true;
  chart.series.push_back(series({0, 1, 2}, {1, 10, 100}));
  Canvas canvas(480, 300);
  const ChartFrame frame = draw_chart(canvas, {0, 0, 480, 300}, chart);
  EXPECT_NEAR(frame.at(0, 1).y - frame.at(0, 10).y, frame.at(0, 10).y - frame.at(0, 100).y, 1e-9);
}

TEST(Chart, IgnoresSpikesOfBackgroundSeries) {
  std::vector<double> x(1000);
  std::vector<double> y(1000, 1.0);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<double>(i);
  y[10] = 1e6;
  Chart chart;
  chart.series.push_back(series(x, y));
  EXPECT_GT(chart_range(chart).y_max, 1e5);
  chart.series[0].background = true;
  EXPECT_LT(chart_range(chart).y_max, 3);
}

TEST(Chart, ShortensLongLegends) {
  Chart chart;
  for (int i = 0; i < 50; ++i) {
    chart.series.push_back({"task" + std::to_string(i), {0, 1}, {0, 1}, line_color(i)});
  }
  const std::string svg = draw(chart);
  EXPECT_THAT(svg, HasSubstr(">and 38 more<"));
  EXPECT_THAT(svg, Not(HasSubstr(">task12<")));
}

TEST(Chart, KeepsLargeSeriesSmall) {
  std::vector<double> x;
  std::vector<double> y;
  for (int i = 0; i < 200000; ++i) {
    x.push_back(i);
    y.push_back(std::sin(i * 0.01));
  }
  Chart chart;
  chart.series.push_back(series(x, y));
  EXPECT_LT(draw(chart).size(), 60000U);
}

TEST(Chart, EscapesNames) {
  Chart chart;
  chart.title = "a<script>";
  chart.series.push_back({"b&\"c", {0, 1}, {0, 1}, line_color(0)});
  const std::string svg = draw(chart);
  EXPECT_THAT(svg, Not(HasSubstr("<script>")));
  EXPECT_THAT(svg, HasSubstr("b&amp;&quot;c"));
}

TEST(Chart, RefusesSeriesOfUnequalLengths) {
  Chart chart;
  chart.series.push_back(series({0, 1, 2}, {0}));
  try {
    draw(chart);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kShape);
    EXPECT_THAT(error.what(), HasSubstr("3 x values and 1 y values"));
  }
}

TEST(Panels, StandInAGrid) {
  std::vector<Chart> charts(3);
  charts[2].title = "last one";
  const Canvas canvas = draw_panels(charts, 2, 400, 200, "head");
  EXPECT_EQ(canvas.width(), 800);
  EXPECT_GT(canvas.height(), 400);
  EXPECT_THAT(to_svg(canvas), HasSubstr("last one"));
}

// Whatever the numbers are, the page gets drawn, soon, and with coordinates that are numbers.
TEST(DrawChart, DrawsWhateverTheNumbersAre) {
  constexpr double kMax = std::numeric_limits<double>::max();
  constexpr double kDenormal = std::numeric_limits<double>::denorm_min();
  const double next = std::nextafter(1.0, 2.0);
  const std::vector<std::vector<double>> all = {
      {},
      {1},
      {0},
      {kNan},
      {kInf},
      {-kInf, kInf, kNan},
      {1, 1, 1},
      {0, 0, 0},
      {1, next, 1},
      {next, 1},
      {1e17, std::nextafter(1e17, 0.0)},
      {1e300, std::nextafter(1e300, 0.0), 1e300},
      {0.69314718055994529, 0.69314718055994540},
      {1e-17, 3e-17},
      {1e-300, 2e-300},
      {kDenormal, 0},
      {kDenormal, kDenormal},
      {kDenormal, 2 * kDenormal, 1e-310},
      {kMax, -kMax, 0},
      {kMax, kMax},
      {-kMax, -kMax},
      {1e308, 1e-308},
      {1e308, kNan, -kInf, 0},
      {0, 1e9, kInf, 1},
  };
  for (std::size_t at = 0; at < all.size(); ++at) {
    for (const bool log_y : {false, true}) {
      for (const bool markers : {false, true}) {
        for (const bool swapped : {false, true}) {
          std::vector<double> count_up;
          for (std::size_t i = 0; i < all[at].size(); ++i)
            count_up.push_back(static_cast<double>(i));
          Chart chart{.series = {swapped ? series(all[at], count_up) : series(count_up, all[at])},
                      .log_y = log_y};
          chart.series[0].markers = markers;
          const std::string svg = draw(chart);
          EXPECT_THAT(svg, Not(HasSubstr("nan"))) << at << log_y << markers << swapped;
          EXPECT_THAT(svg, Not(HasSubstr("inf"))) << at << log_y << markers << swapped;
          const ChartFrame frame = chart_range(chart);
          EXPECT_LT(frame.x_min, frame.x_max) << at << log_y << markers << swapped;
          EXPECT_LT(frame.y_min, frame.y_max) << at << log_y << markers << swapped;
        }
      }
    }
  }
}

TEST(RoundTicks, EndFarFromZero) {
  EXPECT_LE(round_ticks(1e17, 1e17 + 64, 5).size(), 10U);
  EXPECT_LE(round_ticks(1.0, std::nextafter(1.0, 2.0), 5).size(), 10U);
  EXPECT_LE(round_ticks(-1e308, 1e308, 5).size(), 10U);
}

TEST(Smooth, ForgetsAHugeValueOnceItIsPast) {
  std::vector<double> values(40, 1.0);
  values[5] = 1e300;
  values[6] = kInf;
  const auto out = smooth(values, 5);
  for (std::size_t i = 8; i < out.size(); ++i) EXPECT_EQ(out[i], 1.0) << i;
  for (std::size_t window = 1; window < 50; ++window) {
    std::vector<double> ramp(23);
    for (std::size_t i = 0; i < ramp.size(); ++i) ramp[i] = static_cast<double>(i * i);
    const auto means = smooth(ramp, window);
    for (std::size_t i = 0; i < ramp.size(); ++i) {
      const std::size_t half = window / 2;
      double sum = 0;
      std::size_t count = 0;
      for (std::size_t j = i > half ? i - half : 0; j < std::min(ramp.size(), i + half + 1); ++j) {
        sum += ramp[j];
        ++count;
      }
      EXPECT_DOUBLE_EQ(means[i], sum / static_cast<double>(count)) << window << " " << i;
    }
  }
}

// The range counts the band, a gap in it splits it, and half a band is refused.
TEST(Band, IsDrawnBehindItsLine) {
  Chart chart;
  Series line = series({1, 2, 3, 4, 5}, {1, 2, 3, 2, 1});
  line.low = {0, 1, kNan, 1, -7};
  line.high = {2, 3, kNan, 9, 2};
  chart.series.push_back(line);
  const ChartFrame range = chart_range(chart);
  EXPECT_LE(range.y_min, -7);
  EXPECT_GE(range.y_max, 9);
  Canvas canvas(400, 300);
  draw_chart(canvas, {0, 0, 400, 300}, chart);
  std::size_t bands = 0;
  for (const auto& primitive : canvas.primitives()) {
    const auto* shape = std::get_if<Polyline>(&primitive);
    if (shape != nullptr && shape->closed) {
      EXPECT_EQ(shape->points.size(), 4U);
      ++bands;
    }
  }
  EXPECT_EQ(bands, 2U);
  chart.series[0].high.pop_back();
  EXPECT_THROW(chart_range(chart), Error);
}

}  // namespace
}  // namespace detente::report

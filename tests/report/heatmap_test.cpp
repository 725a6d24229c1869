// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/nan.h>
#include <detente/report/heatmap.h>
#include <detente/report/html_page.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>
#include <string>

namespace detente::report {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

HeatMap numbered(std::size_t rows, std::size_t columns) {
  HeatMap map;
  for (std::size_t i = 0; i < rows; ++i) map.rows.push_back("row" + std::to_string(i));
  for (std::size_t j = 0; j < columns; ++j) map.columns.push_back("col" + std::to_string(j));
  for (std::size_t i = 0; i < rows * columns; ++i) map.values.push_back(static_cast<double>(i));
  return map;
}

double brightness(Color c) { return 0.2126 * c.r + 0.7152 * c.g + 0.0722 * c.b; }

TEST(HeatColor, DistinguishesEveryLevelInBothThemes) {
  for (const HeatScale scale : {HeatScale::kSequential, HeatScale::kDiverging}) {
    for (const bool dark : {false, true}) {
      std::set<std::string> seen;
      for (int level = 0; level <= kHeatLevels; ++level) {
        seen.insert(heat_color(scale, level, dark).hex());
      }
      EXPECT_EQ(seen.size(), static_cast<std::size_t>(kHeatLevels) + 1);
    }
  }
}

// Further from the ground's brightness with every level: the order survives any kind of sight, and
// a printer.
TEST(HeatColor, LeavesTheGroundInOneDirection) {
  for (const bool dark : {false, true}) {
    const double ground = brightness(heat_color(HeatScale::kSequential, 0, dark));
    const auto contrast = [&](HeatScale scale, int level) {
      return std::abs(brightness(heat_color(scale, level, dark)) - ground);
    };
    for (int level = 1; level <= kHeatLevels; ++level) {
      EXPECT_GT(contrast(HeatScale::kSequential, level),
                contrast(HeatScale::kSequential, level - 1));
    }
    for (int away = 1; away <= kHeatLevels / 2; ++away) {
      for (const int side : {-1, 1}) {
        EXPECT_GT(contrast(HeatScale::kDiverging, kHeatLevels / 2 + side * away),
                  contrast(HeatScale::kDiverging, kHeatLevels / 2 + side * (away - 1)));
      }
    }
  }
}

TEST(HeatLevel, IsMonotoneAndStaysInside) {
  EXPECT_EQ(heat_level(0, 0, 1), 0);
  EXPECT_EQ(heat_level(1, 0, 1), kHeatLevels);
  EXPECT_EQ(heat_level(0.5, 0, 1), kHeatLevels / 2);
  EXPECT_EQ(heat_level(-7, 0, 1), 0);
  EXPECT_EQ(heat_level(9, 0, 1), kHeatLevels);
  EXPECT_EQ(heat_level(3, 3, 3), kHeatLevels / 2);  // a constant
  EXPECT_EQ(heat_level(1e308, -1e308, 1e308), kHeatLevels);
  EXPECT_EQ(heat_level(0, -1e308, 1e308), kHeatLevels / 2);
}

TEST(HeatMap, ColoursZeroNeutrallyWhereTheScaleDiverges) {
  HeatMap map = numbered(1, 3);
  map.values = {-0.5, 0, 0.25};
  map.scale = HeatScale::kDiverging;
  HeatFrame frame;
  const std::string svg = to_svg(draw_heat_map(map, 460, &frame));
  EXPECT_EQ(frame.low, -0.5);
  EXPECT_EQ(frame.high, 0.5);
  EXPECT_THAT(svg, HasSubstr(heat_color(map.scale, kHeatLevels / 2).hex()));
  EXPECT_THAT(svg, HasSubstr(">-0.50</text>"));
  EXPECT_THAT(svg, HasSubstr(">0.25</text>"));
}

// The frame is what the page's script computes cells from.
TEST(HeatMap, TellsWhereItsCellsLie) {
  HeatMap map = numbered(2, 4);
  map.ordered_columns = true;
  HeatFrame frame;
  const Canvas canvas = draw_heat_map(map, 460, &frame);
  std::size_t inside = 0;
  for (const auto& primitive : canvas.primitives()) {
    const auto* cell = std::get_if<Polyline>(&primitive);
    if (cell == nullptr || !cell->closed || !frame.plot.contains(cell->points[0])) continue;
    const auto column =
        static_cast<std::size_t>((cell->points[0].x - frame.plot.x) / (frame.plot.width / 4));
    const auto row =
        static_cast<std::size_t>((cell->points[0].y - frame.plot.y) / (frame.plot.height / 2));
    EXPECT_EQ(cell->fill, heat_color(map.scale, heat_level(map.at(row, column), 0, 7)));
    ++inside;
  }
  EXPECT_EQ(inside, 8U);
  EXPECT_LE(frame.plot.right(), 460);
  EXPECT_LE(frame.plot.bottom(), canvas.height());
}

TEST(HeatMap, HatchesWhatHasNoValue) {
  HeatMap map = numbered(2, 2);
  map.values = {kNan, 1, std::numeric_limits<double>::infinity(), 2};
  const std::string svg = to_svg(draw_heat_map(map));
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  EXPECT_THAT(svg, Not(HasSubstr("inf")));
  EXPECT_THAT(svg, HasSubstr(">none</text>"));
  map.values.assign(4, kNan);
  EXPECT_THAT(to_svg(draw_heat_map(map)), HasSubstr(">none</text>"));
  map.values = {kNan, 1, 1, kNan};
  map.hide_diagonal = true;
  EXPECT_THAT(to_svg(draw_heat_map(map)), Not(HasSubstr(">none</text>")));
}

TEST(HeatMap, DrawsAnySize) {
  EXPECT_THAT(to_svg(draw_heat_map({})), HasSubstr("no data"));
  for (const std::size_t rows : {1, 2, 50}) {
    for (const std::size_t columns : {1, 3, 50, 400}) {
      for (const bool ordered : {false, true}) {
        HeatMap map = numbered(rows, columns);
        map.ordered_columns = ordered;
        HeatFrame frame;
        const Canvas canvas = draw_heat_map(map, 460, &frame);
        EXPECT_LE(frame.plot.right(), 460.001);
        EXPECT_LT(canvas.height(), 2600);
      }
    }
  }
}

TEST(HeatMap, RefusesTablesThatDoNotFit) {
  HeatMap map = numbered(2, 2);
  map.values.pop_back();
  EXPECT_THROW(draw_heat_map(map), Error);
  map = numbered(2, 2);
  map.texts = {"a"};
  EXPECT_THROW(draw_heat_map(map), Error);
  map = numbered(2, 2);
  map.ticks = {"a", "b", "c"};
  EXPECT_THROW(draw_heat_map(map), Error);
}

TEST(HeatMap, CarriesItsValuesOntoThePage) {
  HeatMap map = numbered(1, 2);
  map.rows = {"</script>\"'<b>값"};
  map.values = {0.123456, kNan};
  map.value_title = "share";
  HtmlPage page("p");
  page.heat_map("A & B", map, "seen");
  const std::string html = page.finish("f");
  EXPECT_THAT(html, HasSubstr("\"v\":[0.12346,null]"));
  EXPECT_THAT(html, HasSubstr("aria-label=\"A &amp; B. Arrow keys read the values.\""));
  EXPECT_THAT(html, HasSubstr("\"rows\":[\"\\u003c/script>\\\"'\\u003cb>값\"]"));
  EXPECT_THAT(html, Not(HasSubstr("</script>\"'")));
}

TEST(HeatMap, ShadesColourInPlaceOfValuesAndTheScaleHasAFloor) {
  HeatMap map;
  map.scale = HeatScale::kDiverging;
  map.rows = {"r"};
  map.columns = {"a", "b"};
  map.values = {20, 0.03};
  map.least_reach = 1;
  map.shades = {0, std::nan("")};
  HeatFrame frame;
  draw_heat_map(map, 460, &frame);
  EXPECT_EQ(frame.low, -1);
  EXPECT_EQ(frame.high, 1);
  map.shades.clear();
  draw_heat_map(map, 460, &frame);
  EXPECT_EQ(frame.high, 20);
  map.shades = {1};
  EXPECT_THROW(draw_heat_map(map), Error);
}

}  // namespace
}  // namespace detente::report

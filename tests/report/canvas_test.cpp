// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/nan.h>
#include <detente/report/canvas.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "tests/report/count.h"

namespace detente::report {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::filesystem::path scratch(const std::string& name) {
  return std::filesystem::path(::testing::TempDir()) / ("detente_canvas_" + name);
}

TEST(Colors, AreDistinctAndWellFormed) {
  std::set<std::string> seen;
  for (std::size_t i = 0; i < line_color_count(); ++i) seen.insert(line_color(i).hex());
  EXPECT_EQ(seen.size(), line_color_count());
  EXPECT_EQ(line_color(line_color_count()), line_color(0));
  EXPECT_EQ(rgb(0x0a1b2c).hex(), "#0a1b2c");
}

// Ramp brightness must grow with t, or a printed figure cannot be read.
TEST(Colors, RampGrowsBrighterThroughout) {
  const auto brightness = [](Color c) { return 0.2126 * c.r + 0.7152 * c.g + 0.0722 * c.b; };
  for (int i = 0; i < 50; ++i) {
    EXPECT_LT(brightness(ramp_color(i / 50.0)), brightness(ramp_color((i + 1) / 50.0))) << i;
  }
  EXPECT_EQ(ramp_color(kNan), ramp_color(0));
}

TEST(Svg, WritesEachPrimitiveAsItsElement) {
  Canvas canvas(100, 50);
  canvas.begin_group("curves");
  canvas.begin_clip({1, 2, 30, 40});
  canvas.line({{0, 0}, {10.126, 5.5}}, {rgb(0xff0000), 2, 4});
  canvas.end();
  canvas.circle({3, 4}, 5, rgb(0x00ff00).with_alpha(0.5));
  canvas.end();
  canvas.rectangle({0, 0, 10, 20}, rgb(0x0000ff));
  canvas.text({7, 8}, "값 < 1", {12, rgb(0), Anchor::kMiddle, true});
  const std::string svg = to_svg(canvas, "fig");
  EXPECT_THAT(svg, HasSubstr("viewBox=\"0 0 100 50\" width=\"100\" height=\"50\""));
  EXPECT_THAT(svg, HasSubstr("<g class=\"curves\">"));
  EXPECT_THAT(svg, HasSubstr("<g clip-path=\"url(#fig-clip0)\">"));
  EXPECT_THAT(svg,
              HasSubstr("<polyline points=\"0,0 10.13,5.5\" fill=\"none\" stroke=\"#ff0000\" "
                        "stroke-width=\"2\" stroke-dasharray=\"4 4\""));
  EXPECT_THAT(svg,
              HasSubstr("<circle cx=\"3\" cy=\"4\" r=\"5\" fill=\"#00ff00\" "
                        "fill-opacity=\"0.5\"/>"));
  EXPECT_THAT(svg, HasSubstr("<polygon points=\"0,0 10,0 10,20 0,20\" fill=\"#0000ff\"/>"));
  EXPECT_THAT(svg, HasSubstr("text-anchor=\"middle\" font-weight=\"bold\">값 &lt; 1</text>"));
  EXPECT_EQ(count(svg, "<g "), count(svg, "</g>"));
}

TEST(Svg, LeavesSizeToContainerWhenAsked) {
  EXPECT_THAT(to_svg(Canvas(10, 10), "a", false), Not(HasSubstr("width=")));
}

TEST(Canvas, SplitsLinesAtGaps) {
  Canvas canvas(10, 10);
  canvas.line({{0, 0}, {1, 1}, {2, kNan}, {3, 3}, {kNan, 4}, {5, 5}, {6, 6}}, {rgb(0), 1});
  // {3, 3} stands alone and draws nothing.
  EXPECT_EQ(count(to_svg(canvas), "<polyline"), 2U);
  EXPECT_THAT(to_svg(canvas), Not(HasSubstr("nan")));
}

TEST(EscapeXml, MakesAnyBytesSafe) {
  EXPECT_EQ(escape_xml("<b a=\"x\" c='y'>&"), "&lt;b a=&quot;x&quot; c=&#39;y&#39;&gt;&amp;");
  EXPECT_EQ(escape_xml("한\xFF\x01 ok\n"), "한\uFFFD\uFFFD ok\n");
}

TEST(Png, HasScaledSizeAndItsColors) {
  Canvas canvas(40, 30);
  canvas.rectangle({0, 0, 40, 30}, rgb(0x336699));
  canvas.text({2, 20}, "bad \xFF byte");
  const auto path = scratch("a.png");
  write_png(canvas, path, 2.0);
  const std::string png = read_file(path);
  ASSERT_GT(png.size(), 33U);
  EXPECT_EQ(png.substr(0, 8), "\x89PNG\r\n\x1a\n");
  const auto big_endian = [&](std::size_t at) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < 4; ++i)
      value = value << 8U | static_cast<unsigned char>(png[at + i]);
    return value;
  };
  EXPECT_EQ(big_endian(16), 80U);
  EXPECT_EQ(big_endian(20), 60U);
}

TEST(Png, SaysWhyItCannotBePainted) {
  try {
    write_png(Canvas(1e5, 10), scratch("big.png"), 2.0);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    EXPECT_THAT(error.what(), HasSubstr("200000 x 20 pixels"));
  }
  try {
    write_png(Canvas(10, 10), "/nowhere/at/all.png");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kIo);
  }
}

TEST(TextWidth, GrowsWithSizeAndWideCharacters) {
  EXPECT_DOUBLE_EQ(text_width("abc", 20), 2 * text_width("abc", 10));
  EXPECT_LT(text_width("iii", 10), text_width("mmm", 10));
  EXPECT_NEAR(text_width("가나", 10), 20, 1);
}

}  // namespace
}  // namespace detente::report

// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/nan.h>
#include <detente/core/rng.h>
#include <detente/report/pixels.h>
#include <gtest/gtest.h>
#include <png.h>

#include <cmath>
#include <set>
#include <string>
#include <vector>

namespace detente::report {
namespace {

// By the reference library.
Pixels decoded(const std::string& png) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  EXPECT_NE(png_image_begin_read_from_memory(&image, png.data(), png.size()), 0) << image.message;
  image.format = PNG_FORMAT_RGB;
  Pixels out{image.height, image.width, std::vector<std::uint8_t>(PNG_IMAGE_SIZE(image))};
  EXPECT_NE(png_image_finish_read(&image, nullptr, out.rgb.data(), 0, nullptr), 0) << image.message;
  return out;
}

// `colors`: how many different ones at most; 0: any.
Pixels noise(std::size_t height, std::size_t width, std::size_t colors, std::uint64_t seed) {
  Rng rng(seed);
  Pixels pixels{height, width, {}};
  for (std::size_t i = 0; i < height * width; ++i) {
    const std::size_t color = colors == 0 ? rng.below(1U << 24U) : 7919 * rng.below(colors);
    for (std::size_t c = 0; c < 3; ++c) {
      pixels.rgb.push_back(static_cast<std::uint8_t>(color >> (8 * c)));
    }
  }
  return pixels;
}

TEST(Pixels, PngIsReadBackAsItWas) {
  for (const auto& [height, width] :
       {std::pair{1U, 1U}, {1U, 5U}, {7U, 1U}, {16U, 16U}, {33U, 70U}}) {
    for (const std::size_t colors : {0U, 1U, 2U, 255U, 256U, 257U, 1000U}) {
      const Pixels pixels = noise(height, width, colors, height + colors);
      EXPECT_EQ(decoded(png_bytes(pixels)), pixels) << height << " x " << width << ", " << colors;
    }
  }
}

TEST(Pixels, PngOfFewColorsIsSmall) {
  const Pixels flat = noise(192, 192, 1, 1);
  EXPECT_LT(png_bytes(flat).size(), 300U);
  // A gradient of more than 256 colours is foretold from its neighbours.
  Pixels gradient{192, 192, {}};
  for (std::size_t i = 0; i < 192 * 192; ++i) {
    for (const std::size_t part : {i % 192, i / 192, (i % 192 + i / 192) / 2}) {
      gradient.rgb.push_back(static_cast<std::uint8_t>(part));
    }
  }
  EXPECT_LT(png_bytes(gradient).size(), 4000U);
}

TEST(Pixels, PngRefusesSizesThatAreNone) {
  EXPECT_THROW(png_bytes({0, 4, {}}), Error);
  EXPECT_THROW(png_bytes({2, 2, std::vector<std::uint8_t>(11)}), Error);
  EXPECT_THROW(png_bytes({5000, 1, std::vector<std::uint8_t>(15000)}), Error);
}

TEST(Pixels, Base64IsThatOfTheStandard) {
  // RFC 4648, section 10.
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foo"), "Zm9v");
  EXPECT_EQ(base64("foobar"), "Zm9vYmFy");
  EXPECT_EQ(base64(std::string("\xff\x00\xfe", 3)), "/wD+");
}

TEST(Pixels, KnowsItsOwnPictures) {
  const std::string text = base64(png_bytes(noise(3, 4, 0, 1)));
  EXPECT_TRUE(is_png_text(text));
  EXPECT_FALSE(is_png_text(""));
  EXPECT_FALSE(is_png_text("PHN2Zz4="));
  EXPECT_FALSE(is_png_text(text.substr(0, text.size() - 1)));
  std::string evil = text;
  evil.replace(40, 4, "\"><b");
  EXPECT_FALSE(is_png_text(evil));
}

TEST(Pixels, KnowsSoundByItsFirstBytes) {
  const std::string text = base64(std::string("RIFF\x01\x02\x03\x04WAVEfmt data", 20));
  EXPECT_TRUE(is_wav_text(text));
  EXPECT_FALSE(is_wav_text(""));
  EXPECT_FALSE(is_wav_text("UklGRg=="));
  EXPECT_FALSE(is_wav_text(base64(std::string("RIFF\x01\x02\x03\x04WEBPVP8 data", 20))));
  EXPECT_FALSE(is_wav_text(text.substr(0, 16) + "\"><b" + text.substr(20)));
}

TEST(Pixels, ClassesHaveColorsOfTheirOwn) {
  std::set<std::string> seen;
  for (std::size_t i = 0; i < 60; ++i) seen.insert(class_color(i).hex());
  EXPECT_EQ(seen.size(), 60U);
  EXPECT_FALSE(seen.contains(kNothingColor.hex()));
}

TEST(Pixels, WithoutAValueThereIsNoColorOfTheScale) {
  const std::vector<std::uint8_t> nothing = {kNothingColor.r, kNothingColor.g, kNothingColor.b};
  const std::vector<double> none = {kNan};
  EXPECT_EQ(class_pixels(none, 1, 1).rgb, nothing);
  EXPECT_EQ(ramp_pixels(none, 1, 1, 0, 1).rgb, nothing);
  EXPECT_EQ(direction_pixels(std::vector<double>{kNan, kNan, kNan}, 1, 1).rgb, nothing);
  EXPECT_EQ(direction_pixels(std::vector<double>{0, 0, 0}, 1, 1).rgb, nothing);
  EXPECT_THROW(class_pixels(none, 1, 2), Error);
  EXPECT_THROW(direction_pixels(none, 1, 1), Error);
}

TEST(Pixels, RampEndsWhereItIsTold) {
  const std::vector<double> values = {-5, 0, 2, 9, HUGE_VAL};
  const Pixels pixels = ramp_pixels(values, 1, 5, 0, 2);
  const auto at = [&](std::size_t i) {
    return rgb(static_cast<std::uint32_t>(pixels.rgb[3 * i] << 16U | pixels.rgb[3 * i + 1] << 8U |
                                          pixels.rgb[3 * i + 2]));
  };
  EXPECT_EQ(at(0), ramp_color(0));
  EXPECT_EQ(at(1), ramp_color(0));
  EXPECT_EQ(at(2), ramp_color(1));
  EXPECT_EQ(at(3), ramp_color(1));
  EXPECT_EQ(at(4), ramp_color(1));
}

TEST(Pixels, DirectionsDoNotDependOnLength) {
  const std::vector<double> one = {0, 0, 1};
  const std::vector<double> long_one = {0, 0, 1e3};
  EXPECT_EQ(direction_pixels(one, 1, 1), direction_pixels(long_one, 1, 1));
  EXPECT_EQ(direction_pixels(one, 1, 1).rgb, (std::vector<std::uint8_t>{128, 128, 255}));
}

TEST(Pixels, ShrinkingKeepsTheMean) {
  const Pixels pixels = noise(32, 48, 0, 5);
  const auto mean = [](const Pixels& p) {
    double sum = 0;
    for (const std::uint8_t value : p.rgb) sum += value;
    return sum / static_cast<double>(p.rgb.size());
  };
  const Pixels half = shrunk(pixels, 16, 24);
  EXPECT_EQ(half.height, 16U);
  EXPECT_EQ(half.width, 24U);
  EXPECT_NEAR(mean(half), mean(pixels), 0.5);
  EXPECT_EQ(shrunk(pixels, 32, 48), pixels);
  EXPECT_EQ(shrunk(pixels, 100, 100), pixels);
  EXPECT_EQ(shrunk(pixels, 1, 1).rgb.size(), 3U);
}

}  // namespace
}  // namespace detente::report

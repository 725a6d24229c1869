// SPDX-License-Identifier: Apache-2.0
#include <detente/data/tissue.h>
#include <gtest/gtest.h>
#include <tests/support/fake_slides.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <random>

namespace detente::data {
namespace {

using test::glass_with;
using Counts = std::array<std::uint64_t, 256>;

// The variance within both classes, by the definition.
double within(const Counts& counts, int threshold) {
  double total = 0;
  for (const bool upper : {false, true}) {
    double n = 0, sum = 0, squares = 0;
    for (int v = 0; v < 256; ++v) {
      if ((v > threshold) != upper) continue;
      const auto c = static_cast<double>(counts[static_cast<std::size_t>(v)]);
      n += c;
      sum += c * v;
      squares += c * v * v;
    }
    if (n > 0) total += squares - sum * sum / n;
  }
  return total;
}

TEST(Otsu, LeavesTheLeastVarianceWithinTheClasses) {
  std::mt19937 random(5);
  for (int trial = 0; trial < 30; ++trial) {
    Counts counts{};
    for (int i = 0; i < 20 + 20 * trial; ++i) counts[random() % 256] += random() % 50;
    double least = within(counts, 0);
    for (int t = 1; t < 255; ++t) least = std::min(least, within(counts, t));
    EXPECT_LE(within(counts, otsu_threshold(counts)), least * (1 + 1e-9)) << trial;
  }
}

TEST(Otsu, OneValueHasNoThreshold) {
  Counts counts{};
  EXPECT_EQ(otsu_threshold(counts), 0);
  counts[77] = 10;
  EXPECT_EQ(otsu_threshold(counts), 0);
  counts[90] = 1;
  EXPECT_GE(otsu_threshold(counts), 77);
  EXPECT_LT(otsu_threshold(counts), 90);
}

TEST(TissueMask, FindsWhatIsColoured) {
  const TissueMask mask(glass_with(20, 10, 4, 2, 6, 5), 32, 32);
  for (int y = 0; y < 10; ++y) {
    for (int x = 0; x < 20; ++x) {
      EXPECT_EQ(mask.at(x, y), x >= 4 && x < 10 && y >= 2 && y < 7) << x << " " << y;
    }
  }
  EXPECT_DOUBLE_EQ(mask.share(), 30.0 / 200);
  // In pixels of the slide.
  EXPECT_DOUBLE_EQ(mask.share(4 * 32, 2 * 32, 6 * 32, 5 * 32), 1.0);
  EXPECT_DOUBLE_EQ(mask.share(0, 0, 8 * 32, 4 * 32), 8.0 / 32);
  EXPECT_DOUBLE_EQ(mask.share(7 * 32, 3 * 32, 1, 1), 1.0) << "smaller than a pixel of the mask";
  EXPECT_DOUBLE_EQ(mask.share(-64, -64, 32, 32), 0.0) << "beside the slide";
  EXPECT_DOUBLE_EQ(mask.share(8 * 32, 0, 64 * 32, 10 * 32), 10.0 / 640)
      << "what is outside is glass";
}

TEST(TissueMask, NoiseOnGlassIsNoTissueAndGreyIsNone) {
  std::mt19937 random(1);
  slides::Picture picture{32, 32, {}};
  for (int i = 0; i < 3 * 32 * 32; ++i) {
    picture.values.push_back(static_cast<std::uint8_t>(250 - random() % 8));
  }
  EXPECT_DOUBLE_EQ(TissueMask(picture, 1, 1).share(), 0);
  for (std::size_t i = 0; i < picture.values.size(); ++i) {
    picture.values[i] = static_cast<std::uint8_t>(i / 3 % 200);
  }
  EXPECT_DOUBLE_EQ(TissueMask(picture, 1, 1).share(), 0);
  EXPECT_DOUBLE_EQ(TissueMask({}, 1, 1).share(0, 0, 5, 5), 0);
}

TEST(StainStatistics, AreThoseOfTheTissueAlone) {
  const auto picture = glass_with(16, 16, 0, 0, 5, 5, /*green=*/24);
  const StainStatistics stain = stain_statistics(picture, TissueMask(picture, 1, 1));
  EXPECT_NEAR(stain.means[0], -std::log10(201.0 / 256), 1e-12);
  EXPECT_NEAR(stain.means[1], -std::log10(25.0 / 256), 1e-12);
  EXPECT_NEAR(stain.deviations[2], 0, 1e-7);
  const auto glass = glass_with(4, 4, 0, 0, 0, 0);
  EXPECT_EQ(stain_statistics(glass, TissueMask(glass, 1, 1)).means[0], 0);
}

}  // namespace
}  // namespace detente::data

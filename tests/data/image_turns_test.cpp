// SPDX-License-Identifier: Apache-2.0
// Changes of images that data/augmentation.h and train.auxiliary draw: turning, cutting out, moving with the
// image mirrored at its edge, noise.
#include <detente/core/error.h>
#include <detente/data/augmentation.h>
#include <detente/data/image_changes.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

namespace detente::data {
namespace {

using ::testing::ElementsAre;
using Floats = std::vector<float>;

Floats counted(std::size_t count) {
  Floats values(count);
  std::iota(values.begin(), values.end(), 1.0F);
  return values;
}

Floats turned(const Floats& image, const ImageShape& shape, int quarters) {
  Floats out(image.size());
  turn(image, shape, quarters, out);
  return out;
}

TEST(Turn, GoesAgainstTheClock) {
  //  1 2      2 4      4 3      3 1
  //  3 4      1 3      2 1      4 2
  const ImageShape shape{2, 2, 1};
  const Floats image = counted(4);
  EXPECT_THAT(turned(image, shape, 0), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(turned(image, shape, 1), ElementsAre(2, 4, 1, 3));
  EXPECT_THAT(turned(image, shape, 2), ElementsAre(4, 3, 2, 1));
  EXPECT_THAT(turned(image, shape, 3), ElementsAre(3, 1, 4, 2));
}

TEST(Turn, FourQuartersAreAllOfIt) {
  const ImageShape shape{5, 5, 3};
  const Floats image = counted(75);
  for (int a = 0; a < 4; ++a) {
    for (int b = 0; b < 4; ++b) {
      EXPECT_EQ(turned(turned(image, shape, a), shape, b), turned(image, shape, a + b));
    }
  }
  EXPECT_EQ(turned(image, shape, -1), turned(image, shape, 3));
  EXPECT_EQ(turned(image, shape, 4), image);
}

TEST(Turn, AQuarterTakesASquareImage) {
  const ImageShape shape{2, 3, 1};
  EXPECT_THAT(turned(counted(6), shape, 2), ElementsAre(6, 5, 4, 3, 2, 1));
  EXPECT_THROW(turned(counted(6), shape, 1), Error);
}

TEST(CutOut, TakesAsMuchAsIsInTheImage) {
  const ImageShape shape{6, 6, 2};
  for (std::size_t row = 0; row < 6; ++row) {
    for (std::size_t column = 0; column < 6; ++column) {
      Floats image(72, 1.0F);
      cut_out(image, shape, row, column, 4);
      for (int c = 0; c < 2; ++c) {
        for (int y = 0; y < 6; ++y) {
          for (int x = 0; x < 6; ++x) {
            const int down = y - static_cast<int>(row);
            const int right = x - static_cast<int>(column);
            const bool out = down >= -2 && down < 2 && right >= -2 && right < 2;
            EXPECT_EQ(image[static_cast<std::size_t>((c * 6 + y) * 6 + x)], out ? 0.0F : 1.0F);
          }
        }
      }
    }
  }
}

TEST(ShiftReflected, MirrorsWithoutTheEdgePixelTwice) {
  const auto moved = [](std::int64_t down, std::int64_t right) {
    Floats image = counted(9);  // 1 2 3 / 4 5 6 / 7 8 9
    shift_reflected(image, {3, 3, 1}, down, right);
    return image;
  };
  EXPECT_THAT(moved(0, 0), ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 9));
  EXPECT_THAT(moved(0, 1), ElementsAre(2, 1, 2, 5, 4, 5, 8, 7, 8));
  EXPECT_THAT(moved(0, -2), ElementsAre(3, 2, 1, 6, 5, 4, 9, 8, 7));
  EXPECT_THAT(moved(1, 0), ElementsAre(4, 5, 6, 1, 2, 3, 4, 5, 6));
  EXPECT_THAT(moved(-1, 1), ElementsAre(5, 4, 5, 8, 7, 8, 5, 4, 5));
  // Further than the image is wide: on and on.
  EXPECT_EQ(moved(0, 4), moved(0, 0));
  Floats line = counted(3);
  shift_reflected(line, {1, 3, 1}, 5, 0);
  EXPECT_THAT(line, ElementsAre(1, 2, 3)) << "one row has no neighbour";
}

TEST(Augmentation, NoiseHasItsDeviation) {
  const Augmentation changes{.noise = 0.15};
  EXPECT_TRUE(changes.any());
  Floats values(20000, 3.0F);
  Rng rng(5);
  changes.add_noise(values, rng);
  double sum = 0;
  double squares = 0;
  for (const float value : values) {
    sum += value - 3;
    squares += (value - 3) * (value - 3);
  }
  EXPECT_NEAR(sum / 20000, 0, 0.15 * 4 / std::sqrt(20000.0));
  EXPECT_NEAR(std::sqrt(squares / 20000), 0.15, 0.003);
}

}  // namespace
}  // namespace detente::data

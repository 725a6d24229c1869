// SPDX-License-Identifier: Apache-2.0
#include <detente/data/dense_augmentation.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/write_dense.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

namespace detente::data {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatNear;
using ::testing::Pointwise;

constexpr DenseShape kShape{3, 6, 8};

std::vector<float> numbers(std::size_t count) {
  std::vector<float> values(count);
  std::iota(values.begin(), values.end(), 1.0F);
  return values;
}

DenseChange whole(bool flip) { return {.height = 6, .width = 8, .flip = flip}; }

TEST(DenseAugmentation, ScaleOneWithoutFlipChangesNothing) {
  const auto planes = numbers(3 * 48);
  EXPECT_EQ(changed_image(planes, kShape, whole(false)), planes);
  EXPECT_EQ(changed_normals(planes, kShape, whole(false)), planes);
  const auto plane = numbers(48);
  EXPECT_EQ(changed_depth(plane, kShape, whole(false)), plane);
}

TEST(DenseAugmentation, TwoFlipsAreNone) {
  const auto planes = numbers(3 * 48);
  const auto twice = [&](const auto& change) {
    return change(change(planes, kShape, whole(true)), kShape, whole(true));
  };
  EXPECT_EQ(twice(changed_image), planes);
  EXPECT_EQ(twice(changed_normals), planes);
}

TEST(DenseAugmentation, AFlipTurnsNormalsLeftAndRightAlone) {
  const auto planes = numbers(3 * 48);
  const auto out = changed_normals(planes, kShape, whole(true));
  for (std::size_t y = 0; y < 6; ++y) {
    for (std::size_t x = 0; x < 8; ++x) {
      for (std::size_t c = 0; c < 3; ++c) {
        const float was = planes[c * 48 + y * 8 + 7 - x];
        EXPECT_EQ(out[c * 48 + y * 8 + x], c == 0 ? -was : was);
      }
    }
  }
}

TEST(DenseAugmentation, ScalingDividesDepthAndLeavesDirections) {
  const DenseChange change{.scale = 1.5, .top = 1, .left = 2, .height = 4, .width = 5};
  const std::vector<float> depth(48, 3.0F);
  for (const float value : changed_depth(depth, kShape, change)) EXPECT_EQ(value, 2.0F);
  std::vector<float> normals(3 * 48, 0.0F);
  std::fill(normals.begin() + 48, normals.begin() + 96, 0.6F);
  std::fill(normals.begin() + 96, normals.end(), -0.8F);
  EXPECT_THAT(changed_normals(normals, kShape, change), Pointwise(FloatNear(1e-6F), normals));
}

// A linear picture stays linear, and the window's corners go to the corners.
TEST(DenseAugmentation, InterpolatesLinearlyBetweenTheCorners) {
  std::vector<float> plane;
  for (std::size_t y = 0; y < 6; ++y) {
    for (std::size_t x = 0; x < 8; ++x) plane.push_back(static_cast<float>(10 * y + x));
  }
  const DenseChange change{.scale = 1.2, .top = 1, .left = 2, .height = 5, .width = 6};
  const auto out = changed_image(plane, {1, 6, 8}, change);
  for (std::size_t y = 0; y < 6; ++y) {
    for (std::size_t x = 0; x < 8; ++x) {
      const double row = 1 + static_cast<double>(y) * 4 / 5;
      const double column = 2 + static_cast<double>(x) * 5 / 7;
      EXPECT_NEAR(out[y * 8 + x], 10 * row + column, 1e-4);
    }
  }
}

TEST(DenseAugmentation, LabelsAreThoseOfTheWindow) {
  std::vector<std::int16_t> label(48, DenseMaps::kNoClass);
  for (std::size_t y = 2; y < 5; ++y) {
    for (std::size_t x = 3; x < 7; ++x) label[y * 8 + x] = static_cast<std::int16_t>(10 * y + x);
  }
  const DenseChange change{.scale = 2, .top = 2, .left = 3, .height = 3, .width = 4};
  const auto out = changed_label(label, kShape, change);
  for (std::size_t y = 0; y < 6; ++y) {
    for (std::size_t x = 0; x < 8; ++x) EXPECT_EQ(out[y * 8 + x], 10 * (2 + y / 2) + 3 + x / 2);
  }
}

TEST(DenseAugmentation, DrawsWindowsInsideTheImage) {
  DenseAugmentation augmentation{{1, 1.2, 1.5}, true};
  Rng rng(3);
  std::set<double> scales;
  std::set<bool> flips;
  std::set<std::size_t> tops;
  for (int i = 0; i < 300; ++i) {
    const DenseChange change = augmentation.draw(kShape, rng);
    scales.insert(change.scale);
    flips.insert(change.flip);
    if (change.scale == 1.5) tops.insert(change.top);
    EXPECT_EQ(change.height, static_cast<std::size_t>(std::floor(6 / change.scale)));
    EXPECT_EQ(change.width, static_cast<std::size_t>(std::floor(8 / change.scale)));
    EXPECT_LE(change.top + change.height, 6U);
    EXPECT_LE(change.left + change.width, 8U);
  }
  EXPECT_THAT(scales, ElementsAre(1, 1.2, 1.5));
  EXPECT_EQ(flips.size(), 2U);
  EXPECT_THAT(tops, ElementsAre(0, 1, 2));
}

TEST(DenseAugmentation, AnImageOfOnePixelStaysOne) {
  const DenseShape shape{1, 1, 1};
  DenseAugmentation augmentation{{16}, true};
  Rng rng(0);
  const DenseChange change = augmentation.draw(shape, rng);
  EXPECT_THAT(changed_image(std::vector<float>{5}, shape, change), ElementsAre(5));
}

}  // namespace
}  // namespace detente::data

// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/data/made_slides.h>
#include <detente/data/slide_annotations.h>
#include <detente/data/tissue.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <string>

namespace detente::data {
namespace {

// The mean square of differences between neighbours in a line: what blur takes away.
double detail(const slides::Picture& picture) {
  double sum = 0;
  for (std::size_t i = 3; i < picture.values.size(); ++i) {
    const double difference = double{1} * picture.values[i] - picture.values[i - 3];
    sum += difference * difference;
  }
  return sum / static_cast<double>(picture.values.size());
}

TEST(MadeSlides, AreAFunctionOfSeedAndNumber) {
  const MadeSlide one = make_slide(128, 3, 5);
  EXPECT_EQ(one.picture.values, make_slide(128, 3, 5).picture.values);
  EXPECT_NE(one.picture.values, make_slide(128, 3, 6).picture.values);
  EXPECT_NE(one.picture.values, make_slide(128, 4, 5).picture.values);
  EXPECT_EQ(one.picture.values.size(), 3U * 128 * 128);
  EXPECT_THROW(make_slide(32, 0, 0), Error);
}

TEST(MadeSlides, TissueIsWhereTheRegionsSay) {
  std::set<std::string> seen;
  for (std::uint64_t i = 0; i < 6; ++i) {
    const MadeSlide made = make_slide(512, 0, i);
    const SlideAnnotations drawn = parse_slide_geojson(made.geojson, "made");
    EXPECT_GE(drawn.regions.size(), 3U);
    const TissueMask mask(made.picture, 1, 1);
    std::size_t inside = 0, coloured = 0, glass = 0, wrong = 0;
    for (int y = 0; y < 512; y += 3) {
      for (int x = 0; x < 512; x += 3) {
        const AnnotatedRegion* found = nullptr;
        for (const AnnotatedRegion& region : drawn.regions) {
          if (region.contains({x + 0.5, y + 0.5})) found = &region;
        }
        if (found != nullptr && found->name != "fat") {
          ++inside;
          coloured += mask.at(x, y) ? 1 : 0;
        } else if (found == nullptr) {
          ++glass;
          wrong += mask.at(x, y) ? 1 : 0;
        }
        if (found != nullptr) seen.insert(found->name);
      }
    }
    EXPECT_GE(static_cast<double>(coloured), 0.9 * static_cast<double>(inside)) << i;
    // Blur carries colour a few pixels over the edge.
    EXPECT_LE(static_cast<double>(wrong), 0.06 * static_cast<double>(glass)) << i;
  }
  EXPECT_EQ(seen, (std::set<std::string>{"fat", "gland", "stroma"}));
}

TEST(MadeSlides, BlurTakesDetailAway) {
  double least = 1e9, sharpest = 0, most = 0, softest = 0;
  for (std::uint64_t i = 0; i < 12; ++i) {
    const MadeSlide made = make_slide(256, 1, i);
    EXPECT_GE(made.blur, 0);
    EXPECT_LE(made.blur, 4);
    if (made.blur < least) {
      least = made.blur;
      sharpest = detail(made.picture);
    }
    if (made.blur > most) {
      most = made.blur;
      softest = detail(made.picture);
    }
  }
  EXPECT_GT(sharpest, 2 * softest);
}

}  // namespace
}  // namespace detente::data

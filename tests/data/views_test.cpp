// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/fields.h>
#include <detente/core/file.h>
#include <detente/core/json.h>
#include <detente/data/image_changes.h>
#include <detente/data/image_source.h>
#include <detente/data/views.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/error_of.h>
#include <tests/support/temp_dir.h>
#include <tests/support/write_images.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <set>
#include <string>

namespace detente::data {
namespace {

using test::error_of;
using test::noise;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::FloatNear;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::Le;
using ::testing::Pointwise;
using ::testing::SizeIs;
using ::testing::StartsWith;

using Planes = std::vector<float>;

// Bytes at random; the ends of the range among them.
Planes random_planes(const ImageShape& shape, std::uint64_t seed) {
  Planes planes(shape.size());
  Rng rng(seed);
  for (float& value : planes) value = static_cast<float>(rng.below(256));
  planes.front() = 255;
  planes.back() = 0;
  return planes;
}

// The whole image as it is.
ViewOptions nothing(std::int64_t size) {
  return {.size = size, .scale_min = 1, .scale_max = 1, .flip = 0, .jitter = 0, .grey = 0};
}

Planes drawn(const Planes& image, const ImageShape& shape, const ViewOptions& options, Rng& rng) {
  const auto side = static_cast<std::size_t>(options.size);
  Planes view(shape.channels * side * side, -1);
  draw_view(image, shape, options, rng, view);
  return view;
}

Planes drawn(const Planes& image,
             const ImageShape& shape,
             const ViewOptions& options,
             std::uint64_t seed = 1) {
  Rng rng(seed);
  return drawn(image, shape, options, rng);
}

// One pixel of three channels under `change`.
template <class Change>
Planes pixel(Planes colour, Change change) {
  change(std::span<float>(colour), ImageShape{1, 1, 3});
  return colour;
}

double mean(const Planes& values) {
  double sum = 0;
  for (const float value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

// The definition, pixel by pixel in two dimensions.
Planes blurred_directly(const Planes& image, const ImageShape& shape, double sigma) {
  const auto height = static_cast<std::ptrdiff_t>(shape.height);
  const auto width = static_cast<std::ptrdiff_t>(shape.width);
  const auto reach = static_cast<std::ptrdiff_t>(std::ceil(3 * sigma));
  Planes result;
  for (std::size_t c = 0; c < shape.channels; ++c) {
    for (std::ptrdiff_t y = 0; y < height; ++y) {
      for (std::ptrdiff_t x = 0; x < width; ++x) {
        double sum = 0;
        double weights = 0;
        for (std::ptrdiff_t i = -reach; i <= reach; ++i) {
          for (std::ptrdiff_t j = -reach; j <= reach; ++j) {
            const double weight =
                std::exp(-static_cast<double>(i * i + j * j) / (2 * sigma * sigma));
            const auto row = std::clamp<std::ptrdiff_t>(y + i, 0, height - 1);
            const auto column = std::clamp<std::ptrdiff_t>(x + j, 0, width - 1);
            const auto at = static_cast<std::size_t>(row * width + column);
            sum += weight * image[c * shape.pixels() + at];
            weights += weight;
          }
        }
        result.push_back(static_cast<float>(sum / weights));
      }
    }
  }
  return result;
}

TEST(ImageChanges, AgreeWithTorchvision) {
  const Json golden = Json::parse(read_file(DETENTE_SOURCE_DIR "/tests/golden/data/views.json"));
  const ImageShape shape{golden.at("height"), golden.at("width"), 3};
  const auto image = golden.at("image").get<Planes>();
  std::set<std::string> seen;
  for (const Json& entry : golden.at("entries")) {
    const auto change = entry.at("change").get<std::string>();
    SCOPED_TRACE(entry.contains("amount") ? change + " " + entry.at("amount").dump() : change);
    seen.insert(change);
    const auto expected = entry.at("values").get<Planes>();
    Planes values = image;
    // Of the grey weights, which differ by 1e-4; of rounding otherwise.
    const float tolerance = change == "contrast" || change == "saturation" ? 0.02F : 5e-4F;
    if (change == "part") {
      const auto part = entry.at("part").get<std::vector<std::size_t>>();
      const auto size = entry.at("size").get<std::size_t>();
      values.assign(3 * size * size, -1);
      resize_part(image, shape, {part[0], part[1], part[2], part[3]}, size, values);
    } else {
      const auto amount = entry.at("amount").get<double>();
      const auto factor = static_cast<float>(amount);
      if (change == "brightness") change_brightness(values, factor);
      if (change == "contrast") change_contrast(values, shape, factor);
      if (change == "saturation") change_saturation(values, shape, factor);
      if (change == "hue") change_hue(values, shape, factor);
      if (change == "solarise") solarise(values);
      if (change == "blur") blur(values, shape, amount);
    }
    EXPECT_THAT(values, Pointwise(FloatNear(tolerance), expected));
  }
  EXPECT_THAT(seen, SizeIs(7));
}

TEST(ImageChanges, ColoursByHand) {
  const auto brighter = [](float factor) {
    return [=](std::span<float> image, const ImageShape&) { change_brightness(image, factor); };
  };
  EXPECT_EQ(pixel({100, 200, 10}, brighter(1.5F)), (Planes{150, 255, 15}));
  EXPECT_EQ(pixel({100, 200, 10}, brighter(0)), (Planes{0, 0, 0}));
  EXPECT_EQ(pixel({100, 200, 10}, brighter(1)), (Planes{100, 200, 10}));

  const auto hue = [](float turn) {
    return [=](std::span<float> image, const ImageShape& shape) { change_hue(image, shape, turn); };
  };
  EXPECT_THAT(pixel({255, 0, 0}, hue(1.0F / 3)), Pointwise(FloatNear(1e-3F), Planes{0, 255, 0}));
  EXPECT_THAT(pixel({255, 0, 0}, hue(-1.0F / 3)), Pointwise(FloatNear(1e-3F), Planes{0, 0, 255}));
  EXPECT_EQ(pixel({255, 0, 0}, hue(0.5F)), (Planes{0, 255, 255}));
  EXPECT_EQ(pixel({200, 50, 50}, hue(-0.5F)), (Planes{50, 200, 200}));

  const auto grey = [](std::span<float> image, const ImageShape& shape) {
    make_grey(image, shape);
  };
  const float level = 0.299F * 100 + 0.587F * 200 + 0.114F * 10;
  EXPECT_THAT(pixel({100, 200, 10}, grey), Each(FloatNear(level, 1e-4F)));
  const auto saturation = [](float factor) {
    return [=](std::span<float> image, const ImageShape& shape) {
      change_saturation(image, shape, factor);
    };
  };
  EXPECT_THAT(pixel({100, 200, 10}, saturation(0)), Each(FloatNear(level, 1e-4F)));
  EXPECT_THAT(pixel({100, 140, 110}, saturation(0.5F)),
              Pointwise(FloatNear(1e-4F),
                        Planes{(100 + 124.62F) / 2, (140 + 124.62F) / 2, (110 + 124.62F) / 2}));

  // Contrast is about the mean of the whole image, of its grey where it has colours.
  Planes two = {100, 200};
  change_contrast(two, {1, 2, 1}, 0.5F);
  EXPECT_EQ(two, (Planes{125, 175}));
  Planes colours = {10, 30, 50, 70, 90, 110};  // red, green, blue of two pixels
  change_contrast(colours, {1, 2, 3}, 0);
  EXPECT_THAT(colours, Each(FloatNear(0.299F * 20 + 0.587F * 60 + 0.114F * 100, 1e-4F)));
}

TEST(ImageChanges, HueAndSaturationLeaveGreyAlone) {
  const ImageShape shape{5, 6, 3};
  const Planes one = random_planes({5, 6, 1}, 3);
  Planes grey;
  for (int c = 0; c < 3; ++c) grey.insert(grey.end(), one.begin(), one.end());
  for (const float amount : {-0.5F, -0.1F, 0.03F, 0.3F}) {
    Planes values = grey;
    change_hue(values, shape, amount);
    EXPECT_EQ(values, grey);
    change_saturation(values, shape, 1 + amount);
    EXPECT_EQ(values, grey);
  }
  Planes values = grey;
  make_grey(values, shape);
  EXPECT_EQ(values, grey);
}

TEST(ImageChanges, HueKeepsLightestAndDarkestAndComesBack) {
  const ImageShape shape{8, 8, 3};
  const Planes image = random_planes(shape, 4);
  for (const float turn : {-0.37F, -0.1F, 0.21F, 0.5F}) {
    Planes values = image;
    change_hue(values, shape, turn);
    for (std::size_t i = 0; i < 64; ++i) {
      const auto ends = [i](const Planes& planes) {
        return std::minmax({planes[i], planes[64 + i], planes[128 + i]});
      };
      EXPECT_NEAR(ends(values).first, ends(image).first, 1e-3);
      EXPECT_NEAR(ends(values).second, ends(image).second, 1e-3);
    }
    EXPECT_NE(values, image);
    change_hue(values, shape, -turn);
    EXPECT_THAT(values, Pointwise(FloatNear(1e-2F), image));
  }
}

TEST(ImageChanges, SolariseInvertsTheUpperHalf) {
  Planes values = {0, 1, 127, 127.5F, 128, 200, 255};
  solarise(values);
  EXPECT_THAT(values, ElementsAre(0, 1, 127, 127.5F, 127, 55, 0));
}

TEST(ImageChanges, BlurIsTheConvolution) {
  for (const ImageShape shape :
       {ImageShape{9, 7, 3}, ImageShape{1, 1, 1}, ImageShape{2, 11, 1}, ImageShape{5, 1, 3}}) {
    const Planes image = random_planes(shape, 5);
    for (const double sigma : {0.1, 0.4, 1.0, 2.0}) {
      SCOPED_TRACE(sigma);
      Planes values = image;
      blur(values, shape, sigma);
      EXPECT_THAT(values, Pointwise(FloatNear(1e-3F), blurred_directly(image, shape, sigma)));
      EXPECT_THAT(values, Each(AllOf(Ge(0), Le(255))));
    }
  }
}

TEST(ImageChanges, BlurAndResizingLeaveAConstantImage) {
  const ImageShape shape{13, 10, 3};
  for (const float level : {0.0F, 77.0F, 255.0F}) {
    const Planes image(shape.size(), level);
    Planes values = image;
    blur(values, shape, 1.3);
    EXPECT_THAT(values, Each(FloatNear(level, 1e-4F)));
    EXPECT_NEAR(mean(values), level, 1e-4);
    for (const std::size_t size : {1UL, 4UL, 7UL, 29UL}) {
      Planes view(3 * size * size);
      resize_part(image, shape, {1, 2, 11, 7}, size, view);
      EXPECT_THAT(view, Each(AllOf(FloatNear(level, 1e-4F), Ge(0), Le(255))));
    }
  }
}

TEST(ImageChanges, PartsAreResizedAsWholeImagesAre) {
  const Image image = noise(12, 15, 3, 6);
  const ImageShape shape = image.shape;
  Planes planes(shape.size());
  for (std::size_t i = 0; i < planes.size(); ++i) {
    planes[i] = image.values[i % shape.pixels() * 3 + i / shape.pixels()];
  }
  for (const std::size_t size : {3UL, 9UL, 20UL}) {
    const Image expected = resize(image, size, size);
    Planes view(3 * size * size);
    resize_part(planes, shape, {0, 0, 12, 15}, size, view);
    for (std::size_t i = 0; i < view.size(); ++i) {
      const std::uint8_t byte = expected.values[i % (size * size) * 3 + i / (size * size)];
      EXPECT_NEAR(view[i], byte, 0.501);
    }
  }
  // A part of the right size is a copy.
  Planes view(3 * 4);
  resize_part(planes, shape, {5, 7, 2, 2}, 2, view);
  EXPECT_EQ(view[3], planes[6 * 15 + 8]);
  EXPECT_EQ(view[4], planes[shape.pixels() + 5 * 15 + 7]);
}

TEST(DrawView, NothingToDoReproducesTheImage) {
  for (const std::size_t side : {1UL, 2UL, 8UL, 32UL}) {
    for (const std::size_t channels : {1UL, 3UL}) {
      const ImageShape shape{side, side, channels};
      const Planes image = random_planes(shape, side);
      for (std::uint64_t seed = 0; seed < 200; ++seed) {
        ASSERT_EQ(drawn(image, shape, nothing(static_cast<std::int64_t>(side)), seed), image);
      }
    }
  }
}

TEST(DrawView, FlipsTwiceAreNone) {
  const ImageShape shape{6, 6, 3};
  const Planes image = random_planes(shape, 7);
  ViewOptions options = nothing(6);
  options.flip = 1;
  const Planes once = drawn(image, shape, options, 1);
  EXPECT_NE(once, image);
  EXPECT_EQ(once[0], image[5]);
  EXPECT_EQ(drawn(once, shape, options, 2), image);
}

TEST(DrawView, PartsHaveTheAreaAndProportionAskedFor) {
  const ImageShape shape{400, 500, 3};
  const ViewOptions options{.scale_min = 0.1, .scale_max = 0.4};
  Rng rng(8);
  double sum = 0;
  double logs = 0;
  double least = 1;
  double most = 0;
  std::set<std::size_t> tops;
  constexpr int kDraws = 4000;
  for (int i = 0; i < kDraws; ++i) {
    const ImagePart part = draw_part(shape, options, rng);
    ASSERT_LE(part.top + part.height, shape.height);
    ASSERT_LE(part.left + part.width, shape.width);
    // Sides are whole pixels.
    const double area = static_cast<double>(part.height * part.width) / 200000.0;
    const double aspect = static_cast<double>(part.width) / static_cast<double>(part.height);
    ASSERT_GE(area, 0.1 * 0.99);
    ASSERT_LE(area, 0.4 * 1.01);
    ASSERT_GE(aspect, 0.75 * 0.99);
    ASSERT_LE(aspect, 4.0 / 3 * 1.01);
    sum += area;
    logs += std::log(aspect);
    least = std::min(least, area);
    most = std::max(most, area);
    tops.insert(part.top);
  }
  // Five standard errors of uniform draws.
  EXPECT_NEAR(sum / kDraws, 0.25, 5 * 0.3 / std::sqrt(12.0 * kDraws));
  EXPECT_NEAR(logs / kDraws, 0, 5 * 2 * std::log(4.0 / 3) / std::sqrt(12.0 * kDraws));
  EXPECT_LT(least, 0.105);
  EXPECT_GT(most, 0.395);
  EXPECT_GT(tops.size(), 200U);
}

TEST(DrawView, PartsThatNeverFitAreTheMiddle) {
  const ViewOptions options{.scale_min = 1, .scale_max = 1};
  Rng rng(9);
  EXPECT_EQ(draw_part({30, 100, 1}, options, rng), (ImagePart{0, 30, 30, 40}));
  EXPECT_EQ(draw_part({100, 30, 1}, options, rng), (ImagePart{30, 0, 40, 30}));
  EXPECT_EQ(draw_part({1, 9, 1}, options, rng), (ImagePart{0, 4, 1, 1}));
}

TEST(DrawView, ValuesStayInRangeWhateverIsDrawn) {
  for (const ImageShape shape :
       {ImageShape{1, 1, 1}, ImageShape{1, 1, 3}, ImageShape{9, 20, 3}, ImageShape{31, 4, 1}}) {
    const Planes image = random_planes(shape, 10);
    for (const std::int64_t size : {1, 5, 16}) {
      const ViewOptions options{.size = size,
                                .scale_min = 0.05,
                                .scale_max = 1,
                                .flip = 0.5,
                                .jitter = 1,
                                .brightness = 1.5,
                                .contrast = 1.5,
                                .saturation = 1.5,
                                .hue = 0.5,
                                .grey = 0.3,
                                .blur = 0.5,
                                .solarise = 0.5};
      for (std::uint64_t seed = 0; seed < 100; ++seed) {
        ASSERT_THAT(drawn(image, shape, options, seed), Each(AllOf(Ge(0), Le(255))));
      }
    }
  }
}

TEST(DrawView, AConstantImageStaysConstantUnderPartFlipAndBlur) {
  const ImageShape shape{20, 24, 3};
  ViewOptions options{.size = 12, .scale_min = 0.05, .jitter = 0, .grey = 0, .blur = 1};
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    ASSERT_THAT(drawn(Planes(shape.size(), 93), shape, options, seed), Each(FloatNear(93, 1e-3F)));
  }
}

// Each change alone with certainty: what comes out is what the single change makes of it.
TEST(DrawView, EachChangeIsTheOneItIsNamedAfter) {
  const ImageShape shape{8, 8, 3};
  const Planes image = random_planes(shape, 11);
  const auto with = [&](const auto& set) {
    ViewOptions options = nothing(8);
    options.brightness = options.contrast = options.saturation = options.hue = 0;
    set(options);
    return drawn(image, shape, options);
  };
  Planes grey = image;
  make_grey(grey, shape);
  EXPECT_EQ(with([](ViewOptions& v) { v.grey = 1; }), grey);
  Planes solar = image;
  solarise(solar);
  EXPECT_EQ(with([](ViewOptions& v) { v.solarise = 1; }), solar);
  EXPECT_EQ(with([](ViewOptions& v) { v.jitter = 1; }), image) << "no amounts, no change";

  // Brightness: one factor within its bounds for all values that were not cut.
  const Planes bright = with([](ViewOptions& v) {
    v.jitter = 1;
    v.brightness = 0.4;
  });
  const float factor = bright[10] / image[10];
  EXPECT_GE(factor, 0.6F);
  EXPECT_LE(factor, 1.4F);
  Planes expected = image;
  change_brightness(expected, factor);
  EXPECT_THAT(bright, Pointwise(FloatNear(1e-3F), expected));

  // Blur: between those of the smallest and the largest deviation, and not twice the same.
  ViewOptions blurring = nothing(8);
  blurring.blur = 1;
  EXPECT_NE(drawn(image, shape, blurring, 1), image);
  EXPECT_NE(drawn(image, shape, blurring, 1), drawn(image, shape, blurring, 2));
}

TEST(DrawView, ProbabilitiesAreThoseAskedFor) {
  const ImageShape shape{2, 2, 3};
  const Planes image = {10, 20, 10, 20, 140, 150, 140, 150, 30, 40, 30, 40};
  const auto share = [&](const auto& set) {
    ViewOptions options = nothing(2);
    set(options);
    constexpr int kDraws = 2000;
    int changed = 0;
    for (std::uint64_t seed = 0; seed < kDraws; ++seed) {
      changed += drawn(image, shape, options, seed) == image ? 0 : 1;
    }
    return static_cast<double>(changed) / kDraws;
  };
  constexpr double kFive = 5 * 0.5 / 44.7;  // standard errors, at most
  EXPECT_NEAR(share([](ViewOptions& v) { v.flip = 0.5; }), 0.5, kFive);
  EXPECT_NEAR(share([](ViewOptions& v) { v.jitter = 0.8; }), 0.8, kFive);
  EXPECT_NEAR(share([](ViewOptions& v) { v.grey = 0.2; }), 0.2, kFive);
  EXPECT_NEAR(share([](ViewOptions& v) { v.solarise = 0.3; }), 0.3, kFive);
  EXPECT_EQ(share([](ViewOptions& v) { v.solarise = 0; }), 0.0);
}

// Black and white: brightened first, white is cut to white and the two stay symmetric about the
// middle; brought together first, both become brighter.
TEST(DrawView, JitterComesInEitherOrder) {
  const Planes image = {0, 255, 0, 255};
  ViewOptions options = nothing(2);
  options.jitter = options.brightness = options.contrast = 1;
  int brightness_first = 0;
  int contrast_first = 0;
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    const Planes view = drawn(image, {2, 2, 1}, options, seed);
    if (view[0] < 1 || view[1] > 254) continue;  // more contrast, or cut in the end
    brightness_first += std::abs(view[0] + view[1] - 255) < 0.01 ? 1 : 0;
    contrast_first += view[0] + view[1] > 256 ? 1 : 0;
  }
  EXPECT_GT(brightness_first, 20);
  EXPECT_GT(contrast_first, 10);
}

TEST(DrawView, OneChannelHasNoColoursToChange) {
  const ImageShape shape{8, 8, 1};
  const Planes image = random_planes(shape, 12);
  ViewOptions options = nothing(8);
  options.jitter = options.grey = 1;
  options.brightness = options.contrast = 0;
  options.saturation = options.hue = 0.5;
  EXPECT_EQ(drawn(image, shape, options), image);
}

TEST(DrawView, RefusesWhatIsNoView) {
  const ImageShape shape{4, 4, 1};
  const Planes image(16, 1);
  Planes view(16);
  Rng rng(1);
  const auto error = [&](const ViewOptions& options, std::span<float> out) {
    return error_of([&] { draw_view(image, shape, options, rng, out); });
  };
  EXPECT_EQ(error({.size = 0}, view).code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(error({.size = -3}, view).what(), HasSubstr("size must be in [1, 32768]; got -3"));
  EXPECT_EQ(error({.size = 5}, view).code(), ErrorCode::kShape);
  EXPECT_EQ(error({.size = 4, .scale_min = 0}, view).code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error({.size = 4, .scale_max = 1.5}, view).code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(error({.size = 4, .scale_min = 0.5, .scale_max = 0.4}, view).what(),
              HasSubstr("got 0.5 and 0.4"));
  EXPECT_EQ(error_of([&] { draw_part({0, 4, 1}, {}, rng); }).code(), ErrorCode::kInvalidArgument);
}

TEST(MultiCrop, DefaultsAreThePapers) {
  const auto views = MultiCropOptions().views({32, 40, 3});
  ASSERT_THAT(views, SizeIs(6));
  ViewOptions global;
  global.blur = 1;
  EXPECT_EQ(views[0], global);
  global.blur = 0.1;
  global.solarise = 0.2;
  EXPECT_EQ(views[1], global);
  ViewOptions local;
  local.size = 16;
  local.scale_min = 0.05;
  local.scale_max = 0.4;
  local.blur = 0.5;
  for (std::size_t i = 2; i < 6; ++i) EXPECT_EQ(views[i], local);
}

TEST(MultiCrop, OptionsReachTheViews) {
  MultiCropOptions options;
  const auto set = [&](const std::string& key, const std::string& value) {
    set_field([&](FieldVisitor& v) { options.describe(v); }, key, value, "test");
  };
  set("global_crops", "3");
  set("local_crops", "1");
  set("global_size", "20");
  set("local_size", "8");
  set("global_scale", "0.5");
  set("local_scale", "0.5");
  set("flip", "0");
  set("jitter", "0.1");
  set("grey", "0.3");
  set("blur", "false");
  const auto views = options.views({24, 21, 1});
  ASSERT_THAT(views, SizeIs(4));
  for (const ViewOptions& view : views) {
    EXPECT_EQ(view.flip, 0);
    EXPECT_EQ(view.jitter, 0.1);
    EXPECT_EQ(view.grey, 0.3);
    EXPECT_EQ(view.blur, 0);
  }
  EXPECT_EQ(views[2].size, 20);
  EXPECT_EQ(views[2].solarise, 0.2);
  EXPECT_EQ(views[3].size, 8);
  EXPECT_EQ(views[3].scale_max, 0.5);
  EXPECT_EQ(views[3].solarise, 0);
  // Half of a pixel is one.
  EXPECT_EQ(MultiCropOptions().views({1, 1, 3}).back().size, 1);
}

TEST(MultiCrop, RefusesWhatHasNoViews) {
  const auto error = [](const MultiCropOptions& options, const ImageShape& shape = {32, 24, 3}) {
    const Error thrown = error_of([&] { options.views(shape); });
    EXPECT_EQ(thrown.code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(thrown.what(), StartsWith("[data::MultiCrop]"));
    return std::string(thrown.what());
  };
  EXPECT_THAT(error({.global_crops = 1, .local_crops = 0}), HasSubstr("2 or more together"));
  EXPECT_THAT(error({.global_crops = 0}), HasSubstr("'global_crops' must be"));
  EXPECT_THAT(error({.local_crops = -1}), HasSubstr("'local_crops' must be"));
  EXPECT_THAT(error({.global_size = -1}), HasSubstr("'global_size' must be"));
  EXPECT_THAT(error({.local_size = -1}), HasSubstr("'local_size' must be"));
  EXPECT_THAT(
      error({.global_size = 25}),
      AllOf(HasSubstr("'global_size' is 25"), HasSubstr("32 x 24"), HasSubstr("at most 24")));
  EXPECT_THAT(error({.local_size = 25}), HasSubstr("'local_size' is 25"));
  EXPECT_THAT(error({.global_scale = 0.2, .local_scale = 0.3}),
              AllOf(HasSubstr("'local_scale' is 0.3"), HasSubstr("'global_scale' 0.2")));
  EXPECT_THAT(error({.global_scale = 0}), HasSubstr("'global_scale' must be"));
  EXPECT_THAT(error({.global_scale = 1.1}), HasSubstr("'global_scale' must be"));
  EXPECT_THAT(error({.local_scale = 0}), HasSubstr("'local_scale' must be"));
  EXPECT_THAT(error({.flip = 1.5}), HasSubstr("'flip' must be"));
  EXPECT_THAT(error({.jitter = -0.5}), HasSubstr("'jitter' must be"));
  EXPECT_THAT(error({.grey = std::nan("")}), HasSubstr("'grey' must be"));
  EXPECT_THAT(error({}, {0, 24, 3}), HasSubstr("0 x 24"));
  // Of local views that are not there nothing is asked.
  EXPECT_THAT((MultiCropOptions{.local_crops = 0, .local_size = 99, .global_scale = 0.01}.views(
                  {32, 24, 3})),
              SizeIs(2));
  EXPECT_THAT((MultiCropOptions{.global_crops = 1, .local_crops = 1}.views({32, 24, 3})),
              SizeIs(2));
}

class ViewBatchesTest : public ::testing::Test {
 protected:
  // `count` images of noise.
  std::unique_ptr<ImageSource> images(std::size_t height,
                                      std::size_t width,
                                      std::size_t channels,
                                      int count) {
    const std::filesystem::path folder = folder_.path() / "all";
    std::filesystem::create_directories(folder / "one");
    for (int i = 0; i < count; ++i) {
      folder_.write("all/one/" + std::to_string(i) + ".png",
                    test::png_file(noise(height, width, channels, i)));
    }
    SourceInput input;
    input.files.train = folder.string();
    auto source = std::make_unique<ImageSource>();
    source->read(input, nullptr);
    return source;
  }
  static const Planes& values(const Batch& batch) {
    return std::get<Planes>(array_of(batch, "image").values);
  }
  static Planes row_of(const Batch& batch, std::size_t row) {
    const std::size_t length = values(batch).size() / array_of(batch, "image").shape[0];
    const auto begin = values(batch).begin() + static_cast<std::ptrdiff_t>(row * length);
    return {begin, begin + static_cast<std::ptrdiff_t>(length)};
  }

  test::TempDir folder_;
};

TEST_F(ViewBatchesTest, ShapesAreTheViews) {
  const auto source = images(10, 12, 3, 5);
  const auto views = MultiCropOptions{.local_crops = 3}.views(source->shape());
  const auto batches = view_batches(*source, RowList{4, 0, 2}, views, Rng(1));
  ASSERT_THAT(batches, SizeIs(5));
  EXPECT_THAT(array_of(batches[1], "image").shape, ElementsAre(3, 3, 10, 10));
  EXPECT_THAT(array_of(batches[2], "image").shape, ElementsAre(3, 3, 5, 5));
  EXPECT_THAT(view_batches(*source, RowList{}, views, Rng(1)), SizeIs(5));
  EXPECT_THAT(array_of(view_batches(*source, RowList{}, views, Rng(1))[0], "image").shape,
              ElementsAre(0, 3, 10, 10));
}

TEST_F(ViewBatchesTest, NothingToDoIsTheSourcesOwnBatch) {
  for (const std::size_t channels : {1UL, 3UL}) {
    const auto source = images(9, 9, channels, 4);
    const RowList rows = {3, 1, 1};
    const Planes expected = values(source->batch(rows, nullptr));
    const std::vector<ViewOptions> views = {nothing(9)};
    EXPECT_EQ(values(view_batches(*source, rows, views, Rng(1))[0]), expected);
    EXPECT_EQ(values(distorted_batch(*source, rows, {}, Rng(1), 0)), expected);
  }
}

TEST_F(ViewBatchesTest, ARowsViewsDoNotDependOnItsBatchOrThreads) {
  const auto source = images(12, 10, 3, 6);
  const auto views = MultiCropOptions().views(source->shape());
  const Augmentation changes{.flip = true, .crop = 2, .erase = 0.5, .jitter = 0.4};
  const Rng stream(5);
  const auto alone = view_batches(*source, RowList{4}, views, stream);
  const auto many = view_batches(*source, RowList{0, 1, 5, 4, 2}, views, stream, 1);
  for (std::size_t v = 0; v < views.size(); ++v) {
    EXPECT_EQ(row_of(many[v], 3), values(alone[v]));
  }
  for (const int threads : {0, 2, 7}) {
    const auto again = view_batches(*source, RowList{0, 1, 5, 4, 2}, views, stream, threads);
    for (std::size_t v = 0; v < views.size(); ++v) EXPECT_EQ(values(again[v]), values(many[v]));
  }
  const Batch one = distorted_batch(*source, RowList{4}, changes, stream, 1);
  const Batch all = distorted_batch(*source, RowList{2, 4, 0}, changes, stream, 1);
  EXPECT_EQ(row_of(all, 1), values(one));
}

TEST_F(ViewBatchesTest, ViewsRowsAndStreamsDiffer) {
  const auto source = images(12, 12, 3, 1);
  // The same picture twice, so that only the chance differs.
  folder_.write("all/one/1.png", test::png_file(noise(12, 12, 3, 0)));
  SourceInput input;
  input.files.train = (folder_.path() / "all").string();
  ImageSource twice;
  twice.read(input, nullptr);
  ASSERT_EQ(twice.size(), 2U);
  const std::vector<ViewOptions> views(2);
  std::set<Planes> seen;
  std::set<Planes> distorted;
  const Augmentation changes{.flip = true, .crop = 4, .jitter = 0.4};
  for (const std::uint64_t seed : {1ULL, 2ULL}) {
    for (std::size_t row = 0; row < 2; ++row) {
      for (const Batch& batch : view_batches(twice, RowList{row}, views, Rng(seed))) {
        seen.insert(values(batch));
      }
      for (std::uint64_t view = 0; view < 2; ++view) {
        distorted.insert(values(distorted_batch(twice, RowList{row}, changes, Rng(seed), view)));
      }
    }
  }
  EXPECT_THAT(seen, SizeIs(8));
  EXPECT_THAT(distorted, SizeIs(8));
}

TEST_F(ViewBatchesTest, DistortionsAreTheAugmentations) {
  const auto source = images(6, 8, 3, 3);
  const Augmentation changes{.flip = true, .crop = 2, .erase = 1, .jitter = 0.4};
  const Rng stream(7);
  const Planes got = values(distorted_batch(*source, RowList{2}, changes, stream, 3));
  const Image picture = source->example(2);
  Planes expected(picture.values.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    expected[i] = picture.values[i % 48 * 3 + i / 48];
  }
  Rng rng = stream.fork(2).fork(3);
  changes.apply(expected, picture.shape, source->means(), rng);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double mean = source->means()[i / 48];
    EXPECT_NEAR(got[i], (expected[i] - mean) / source->deviations()[i / 48], 1e-5);
  }
}

TEST_F(ViewBatchesTest, APictureIsTheView) {
  const auto source = images(10, 14, 3, 3);
  const auto views = MultiCropOptions().views(source->shape());
  const Rng stream(8);
  const auto batches = view_batches(*source, RowList{1}, views, stream);
  for (const std::size_t v : {0UL, 3UL}) {
    const Image picture = view_picture(*source, 1, views[v], stream, v);
    const auto side = static_cast<std::size_t>(views[v].size);
    ASSERT_EQ(picture.shape, (ImageShape{side, side, 3}));
    ASSERT_THAT(picture.values, SizeIs(3 * side * side));
    for (std::size_t i = 0; i < picture.values.size(); ++i) {
      const std::size_t c = i / (side * side);
      const double value = values(batches[v])[i] * source->deviations()[c] + source->means()[c];
      EXPECT_NEAR(picture.values[i % (side * side) * 3 + c], value, 0.501);
    }
  }
  EXPECT_EQ(view_picture(*source, 2, nothing(10), stream, 0).shape, (ImageShape{10, 10, 3}));
}

TEST_F(ViewBatchesTest, RefusesViewsThatAreNone) {
  const auto source = images(4, 4, 1, 2);
  const auto code = [&](const ViewOptions& view) {
    return error_of(
               [&] { view_batches(*source, RowList{0}, std::vector<ViewOptions>{view}, Rng(1)); })
        .code();
  };
  EXPECT_EQ(code({.size = 0}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({.scale_min = 2}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error_of([&] { view_picture(*source, 0, {.size = 0}, Rng(1), 0); }).code(),
            ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace detente::data

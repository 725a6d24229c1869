// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/data/augmentation.h>
#include <detente/data/image.h>
#include <detente/data/image_block.h>
#include <detente/data/image_codecs.h>
#include <detente/data/image_file.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/error_of.h>
#include <tests/support/temp_dir.h>
#include <tests/support/write_images.h>

#include <cmath>
#include <functional>
#include <numeric>

namespace detente::data {
namespace {

using test::error_of;
using test::idx_file;
using test::jpeg_file;
using test::noise;
using test::png_file;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Image constant(std::size_t height, std::size_t width, std::size_t channels, std::uint8_t value) {
  Image image{{height, width, channels}, {}};
  image.values.assign(image.shape.size(), value);
  return image;
}

// --- resizing and colours -------------------------------------------------------------------------

TEST(ResizeImage, AConstantStaysConstant) {
  for (const std::uint8_t value : {0, 1, 127, 200, 255}) {
    const Image image = constant(13, 7, 3, value);
    for (const auto& [height, width] : {std::pair{1U, 1U}, {5U, 3U}, {13U, 7U}, {40U, 100U}}) {
      EXPECT_THAT(resize(image, height, width).values, Each(value));
      EXPECT_THAT(resize_and_crop(image, height, width).values, Each(value));
      EXPECT_EQ(resize(image, height, width).values.size(), 3U * height * width);
    }
  }
}

TEST(ResizeImage, TheSameSizeIsTheSameImage) {
  const Image image = noise(9, 12, 3, 1);
  EXPECT_EQ(resize(image, 9, 12).values, image.values);
  EXPECT_EQ(resize_and_crop(image, 9, 12).values, image.values);
}

TEST(ResizeImage, ShrinkingByAWholeFactorKeepsTheMean) {
  const Image image = noise(64, 64, 1, 2);
  const Image small = resize(image, 16, 16);
  const auto mean = [](const Image& one) {
    return std::accumulate(one.values.begin(), one.values.end(), 0.0) /
           static_cast<double>(one.values.size());
  };
  EXPECT_NEAR(mean(small), mean(image), 2.0) << "every pixel has its say";
  // A fine pattern becomes grey instead of whichever line was met.
  Image lines = constant(64, 64, 1, 0);
  for (std::size_t i = 0; i < lines.values.size(); ++i) {
    lines.values[i] = i / 64 % 2 == 0 ? 255 : 0;
  }
  for (const std::uint8_t value : resize(lines, 8, 8).values) EXPECT_NEAR(value, 127.5, 20);
}

TEST(ResizeImage, GrowsAlongALine) {
  const Image image{{1, 2, 1}, {0, 100}};
  EXPECT_THAT(resize(image, 1, 4).values, ElementsAre(0, 25, 75, 100));
}

TEST(ResizeImage, MirroringBeforeOrAfterIsTheSame) {
  const Image image = noise(20, 31, 3, 3);
  EXPECT_EQ(oriented(resize(image, 11, 17), 2).values, resize(oriented(image, 2), 11, 17).values);
}

TEST(ResizeImage, CropKeepsProportions) {
  Image wide = constant(10, 30, 1, 0);
  for (std::size_t y = 0; y < 10; ++y) {
    for (std::size_t x = 10; x < 20; ++x) wide.values[y * 30 + x] = 255;  // a square in the middle
  }
  EXPECT_THAT(resize_and_crop(wide, 10, 10).values, Each(255));
  EXPECT_EQ(resize_and_crop(constant(1, 60000, 1, 9), 224, 224).values.size(), 224U * 224U);
}

TEST(ImageChannels, GreyToColourAndBack) {
  const Image grey = noise(4, 5, 1, 4);
  EXPECT_EQ(with_channels(with_channels(grey, 3), 1).values, grey.values);
  const Image red{{1, 1, 3}, {255, 0, 0}};
  EXPECT_THAT(with_channels(red, 1).values, ElementsAre(76));
}

TEST(OrientImage, AsExifSays) {
  // 1 2 3
  // 4 5 6
  const Image image{{2, 3, 1}, {1, 2, 3, 4, 5, 6}};
  EXPECT_THAT(oriented(image, 2).values, ElementsAre(3, 2, 1, 6, 5, 4));
  EXPECT_THAT(oriented(image, 3).values, ElementsAre(6, 5, 4, 3, 2, 1));
  EXPECT_THAT(oriented(image, 4).values, ElementsAre(4, 5, 6, 1, 2, 3));
  EXPECT_THAT(oriented(image, 5).values, ElementsAre(1, 4, 2, 5, 3, 6));
  EXPECT_THAT(oriented(image, 6).values, ElementsAre(4, 1, 5, 2, 6, 3)) << "a quarter clockwise";
  EXPECT_THAT(oriented(image, 7).values, ElementsAre(6, 3, 5, 2, 4, 1));
  EXPECT_THAT(oriented(image, 8).values, ElementsAre(3, 6, 2, 5, 1, 4));
  EXPECT_EQ(oriented(image, 6).shape.height, 3U);
  for (const int other : {-1, 0, 1, 9}) EXPECT_EQ(oriented(image, other).values, image.values);
}

// --- files ----------------------------------------------------------------------------------------

TEST(DecodeImage, PngGivesTheBytesThatWereWritten) {
  for (const std::size_t channels : {1U, 3U}) {
    const Image image = noise(7, 11, channels, 5);
    const Image read = decode_image(png_file(image), "a.png");
    EXPECT_EQ(read.shape, image.shape);
    EXPECT_EQ(read.values, image.values);
  }
  const Image image = noise(9, 9, 3, 6);
  EXPECT_EQ(
      decode_image(
          png_file(9, 9, image.values, {.color_type = PNG_COLOR_TYPE_RGB, .interlaced = true}),
          "a.png")
          .values,
      image.values);
}

TEST(DecodeImage, EveryKindOfPng) {
  const Image palette = decode_image(
      png_file(1,
               2,
               {0, 1},
               {.color_type = PNG_COLOR_TYPE_PALETTE, .palette = {{1, 2, 3}, {200, 100, 50}}}),
      "p.png");
  EXPECT_EQ(palette.shape.channels, 3U);
  EXPECT_THAT(palette.values, ElementsAre(1, 2, 3, 200, 100, 50));
  const Image bits = decode_image(png_file(1, 4, {0xa0}, {.bits = 1}), "b.png");
  EXPECT_THAT(bits.values, ElementsAre(255, 0, 255, 0));
  const Image deep = decode_image(png_file(1, 2, {0xff, 0xff, 0x80, 0x00}, {.bits = 16}), "d.png");
  EXPECT_THAT(deep.values, ElementsAre(255, 128));
  const Image alpha = decode_image(
      png_file(1, 2, {10, 20, 30, 255, 200, 100, 50, 128}, {.color_type = PNG_COLOR_TYPE_RGBA}),
      "t.png");
  EXPECT_EQ(alpha.shape.channels, 3U);
  EXPECT_THAT(alpha.values, ElementsAre(10, 20, 30, 100, 50, 25)) << "over black";
  const Image grey =
      decode_image(png_file(1, 2, {80, 0, 80, 255}, {.color_type = PNG_COLOR_TYPE_GA}), "g.png");
  EXPECT_EQ(grey.shape.channels, 1U);
  EXPECT_THAT(grey.values, ElementsAre(0, 80));
}

TEST(DecodeImage, JpegIsNearlyWhatWasWritten) {
  for (const bool progressive : {false, true}) {
    Image image = constant(24, 40, 3, 0);
    for (std::size_t i = 0; i < image.shape.pixels(); ++i) {
      image.values[3 * i] = static_cast<std::uint8_t>(i % 40 * 5);
      image.values[3 * i + 1] = static_cast<std::uint8_t>(i / 40 * 8);
      image.values[3 * i + 2] = 90;
    }
    const Image read = decode_image(jpeg_file(image, JCS_RGB, progressive), "a.jpg");
    ASSERT_EQ(read.shape, image.shape);
    double error = 0;
    for (std::size_t i = 0; i < image.values.size(); ++i) {
      error += std::abs(static_cast<double>(read.values[i]) - image.values[i]);
    }
    EXPECT_LT(error / static_cast<double>(image.values.size()), 4.0);
  }
  const Image grey = decode_image(jpeg_file(constant(8, 8, 1, 77), JCS_GRAYSCALE), "g.jpg");
  EXPECT_EQ(grey.shape.channels, 1U);
  EXPECT_THAT(grey.values, Each(77));
}

std::string exif(char orientation, bool big_endian = false) {
  std::string block("Exif\0\0", 6);
  if (big_endian) {
    block += std::string("MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0", 19) + orientation;
  } else {
    block += std::string("II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0", 18) + orientation + '\0';
  }
  return block + std::string("\0\0\0\0\0\0", 6);
}

TEST(DecodeImage, TurnsAJpegAsExifSays) {
  const Image image = noise(8, 16, 1, 7);
  const Image plain = decode_image(jpeg_file(image, JCS_GRAYSCALE), "a.jpg");
  for (const bool big_endian : {false, true}) {
    const Image turned =
        decode_image(jpeg_file(image, JCS_GRAYSCALE, false, exif(6, big_endian)), "a.jpg");
    EXPECT_EQ(turned.values, oriented(plain, 6).values);
    EXPECT_EQ(turned.shape.height, 16U);
  }
}

TEST(ExifOrientation, DamageMeansUpright) {
  EXPECT_EQ(exif_orientation(exif(8)), 8);
  EXPECT_EQ(exif_orientation(exif(9)), 1);
  const std::string whole = exif(3);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const int found = exif_orientation(whole.substr(0, size));
    EXPECT_TRUE(found == 1 || found == 3) << size;
  }
  EXPECT_EQ(exif_orientation(std::string("Exif\0\0II*\0\xff\xff\xff\xff", 14)), 1);
}

TEST(DecodeImage, RefusesDamageByName) {
  for (const std::string& whole : {png_file(noise(20, 20, 3, 8)),
                                   jpeg_file(noise(20, 20, 3, 8), JCS_RGB),
                                   jpeg_file(noise(20, 20, 3, 8), JCS_RGB, true)}) {
    ASSERT_NO_THROW(decode_image(whole, "whole"));
    for (const double share : {0.02, 0.1, 0.5, 0.9, 0.99}) {
      const auto size = std::max<std::size_t>(
          8, static_cast<std::size_t>(share * static_cast<double>(whole.size())));
      const Error error = error_of([&] { decode_image(whole.substr(0, size), "cut one"); });
      EXPECT_EQ(error.code(), ErrorCode::kData);
      EXPECT_THAT(error.what(), AllOf(HasSubstr("'cut one'"), HasSubstr("cut short")));
    }
  }
}

TEST(DecodeImage, RefusesWhatItCannotRead) {
  const auto message = [](const std::string& bytes) {
    return std::string(error_of([&] { decode_image(bytes, "x"); }).what());
  };
  EXPECT_THAT(message(jpeg_file(noise(8, 8, 4, 1), JCS_CMYK)), HasSubstr("CMYK"));
  EXPECT_THAT(message(""), HasSubstr("empty"));
  EXPECT_THAT(message("hello"), HasSubstr("no picture"));
  EXPECT_THAT(message("GIF89a..."), HasSubstr("is GIF"));
  EXPECT_THAT(message("RIFF....WEBPVP8 "), HasSubstr("is WebP"));
  EXPECT_THAT(message("\x89PNG\r\n\x1a\n"), HasSubstr("damaged"));
  // A header that promises more than there is memory for.
  std::string huge = png_file(noise(4, 4, 1, 1));
  huge.replace(16, 8, std::string("\0\x0f\x42\x40\0\x0f\x42\x40", 8));
  EXPECT_EQ(error_of([&] { decode_image(huge, "x"); }).code(), ErrorCode::kData);
}

TEST(DecodeImage, FilesByPath) {
  const test::TempDir folder;
  const std::string path = folder.write("ein \"Bild\".png", png_file(noise(3, 2, 1, 9)));
  EXPECT_EQ(read_image(path).shape.height, 3U);
  const Error error = error_of([&] { read_image(folder.file("none.png")); });
  EXPECT_EQ(error.code(), ErrorCode::kIo);
  EXPECT_THAT(error.what(), HasSubstr("none.png"));
}

// --- idx and CIFAR --------------------------------------------------------------------------------

TEST(Idx, ReadsImagesAndLabels) {
  const ImageBlock block = parse_idx_images(idx_file({2, 1, 3}, "abcdef"), "x");
  EXPECT_EQ(block.count, 2U);
  EXPECT_EQ(block.shape, (ImageShape{1, 3, 1}));
  EXPECT_EQ(block.values[5], 'f');
  EXPECT_EQ(parse_idx_images(idx_file({1, 1, 2, 3}, "abcdef"), "x").shape, (ImageShape{1, 2, 3}));
  EXPECT_THAT(parse_idx_labels(idx_file({3}, std::string("\1\0\7", 3)), "x"), ElementsAre(1, 0, 7));
}

TEST(Idx, RefusesWhatDoesNotFit) {
  const auto message = [](const std::string& bytes) {
    const Error error = error_of([&] { parse_idx_images(bytes, "file"); });
    EXPECT_EQ(error.code(), ErrorCode::kData);
    EXPECT_THAT(error.what(), HasSubstr("'file'"));
    return std::string(error.what());
  };
  message("");
  EXPECT_THAT(message("\1\2\3\4"), HasSubstr("no idx"));
  EXPECT_THAT(message(std::string("\0\0\x0d\3", 4)), HasSubstr("0x0d"));
  EXPECT_THAT(message(std::string("\0\0\x08\3\0", 5)), HasSubstr("header"));
  EXPECT_THAT(message(idx_file({2, 1, 3}, "abcde")), HasSubstr("6 bytes in all, but has 5"));
  EXPECT_THAT(message(idx_file({2, 1, 3}, "abcdefg")), HasSubstr("has 7"));
  EXPECT_THAT(message(idx_file({0, 28, 28}, "")), HasSubstr("nothing"));
  EXPECT_THAT(message(idx_file({5}, "abcde")), HasSubstr("labels"));
  EXPECT_THAT(message(idx_file({1, 0, 0}, "")), HasSubstr("sides"));
  EXPECT_THAT(message(idx_file({1, 1, 1, 2}, "ab")), HasSubstr("2 channels"));
  message(idx_file({0xffffffffU, 0xffffffffU, 0xffffffffU, 0xffffffffU}, "a"));
  EXPECT_EQ(error_of([&] {
              parse_idx_labels(idx_file({1, 1, 1}, "a"), "x");
            }).code(),
            ErrorCode::kData);
}

TEST(Idx, LabelsStandBesideTheImages) {
  EXPECT_EQ(idx_labels_file("/images/a/train-images-idx3-ubyte.gz"),
            "/images/a/train-labels-idx1-ubyte.gz");
  EXPECT_EQ(idx_labels_file("train-images.idx3-ubyte"), "train-labels.idx1-ubyte");
  EXPECT_EQ(idx_labels_file("pictures"), "");
}

TEST(Cifar10, PlanesBecomePixels) {
  std::string record(1, '\3');
  record += std::string(1024, 'r') + std::string(1024, 'g') + std::string(1024, 'b');
  const LabelledBlock block = parse_cifar10(record + record, "x");
  EXPECT_THAT(block.labels, ElementsAre(3, 3));
  EXPECT_EQ(block.images.count, 2U);
  EXPECT_EQ(block.images.shape, (ImageShape{32, 32, 3}));
  EXPECT_EQ(std::string(block.images.values.begin(), block.images.values.begin() + 6), "rgbrgb");
  EXPECT_FALSE(is_cifar10(""));
  EXPECT_FALSE(is_cifar10(record.substr(1)));
  record[0] = '\12';
  EXPECT_FALSE(is_cifar10(record)) << "label 10";
  EXPECT_EQ(error_of([&] { parse_cifar10(record, "x"); }).code(), ErrorCode::kData);
}

// --- augmentation ---------------------------------------------------------------------------------

constexpr ImageShape kImageShape{6, 5, 2};

std::vector<float> ramp() {
  std::vector<float> image(kImageShape.size());
  std::iota(image.begin(), image.end(), 1.0F);
  return image;
}

TEST(Augmentation, FlippedTwiceIsTheImage) {
  std::vector<float> image = ramp();
  flip_columns(image, kImageShape);
  EXPECT_EQ(image[0], 5.0F);
  EXPECT_EQ(image[30], 35.0F);
  flip_columns(image, kImageShape);
  EXPECT_EQ(image, ramp());
}

TEST(Augmentation, ShiftMovesEveryPixel) {
  for (std::int64_t down = -7; down <= 7; ++down) {
    for (std::int64_t right = -7; right <= 7; ++right) {
      std::vector<float> image = ramp();
      shift(image, kImageShape, down, right);
      for (std::int64_t c = 0; c < 2; ++c) {
        for (std::int64_t y = 0; y < 6; ++y) {
          for (std::int64_t x = 0; x < 5; ++x) {
            const std::int64_t from_y = y - down;
            const std::int64_t from_x = x - right;
            const bool inside = from_y >= 0 && from_y < 6 && from_x >= 0 && from_x < 5;
            const auto expected =
                inside ? static_cast<float>(c * 30 + from_y * 5 + from_x + 1) : 0.0F;
            ASSERT_EQ(image[static_cast<std::size_t>(c * 30 + y * 5 + x)], expected)
                << down << " " << right;
          }
        }
      }
    }
  }
}

TEST(Augmentation, ItsGeneratorDecidesAlone) {
  const Augmentation all{.flip = true, .crop = 2, .erase = 0.5, .jitter = 0.3};
  const std::vector<double> mean = {10, 20};
  const auto with = [&](std::uint64_t seed) {
    Rng rng(seed);
    std::vector<float> image = ramp();
    for (int i = 0; i < 5; ++i) all.apply(image, kImageShape, mean, rng);
    return image;
  };
  EXPECT_EQ(with(1), with(1));
  EXPECT_NE(with(1), with(2));
  EXPECT_EQ(with(3).size(), kImageShape.size());
  for (const float value : with(4)) {
    EXPECT_GE(value, 0);
    EXPECT_LE(value, 255);
  }
}

TEST(Augmentation, ErasesARectangleOfTheMean) {
  const Augmentation erasing{.erase = 1};
  const ImageShape shape{20, 20, 1};
  const std::vector<double> mean = {-1};
  Rng rng(5);
  double share = 0;
  for (int i = 0; i < 200; ++i) {
    std::vector<float> image(shape.size(), 7.0F);
    erasing.apply(image, shape, mean, rng);
    share += static_cast<double>(std::count(image.begin(), image.end(), -1.0F)) / 400;
  }
  EXPECT_NEAR(share / 200, (0.02 + 0.33) / 2, 0.03);
}

TEST(Augmentation, NothingChangesNothing) {
  Rng rng(1);
  std::vector<float> image = ramp();
  Augmentation().apply(image, kImageShape, std::vector<double>{0, 0}, rng);
  EXPECT_EQ(image, ramp());
  EXPECT_EQ(rng.state(), Rng(1).state()) << "and draws nothing";
  EXPECT_FALSE(Augmentation().any());
}

}  // namespace
}  // namespace detente::data

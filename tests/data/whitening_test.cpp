// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/json.h>
#include <detente/core/rng.h>
#include <detente/data/whitening.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/error_of.h>
#include <tests/support/temp_dir.h>

#include <cmath>
#include <cstdint>

namespace detente::data {
namespace {

using test::error_of;
using ::testing::HasSubstr;

using Floats = std::vector<float>;

// As in tests/golden/data/make_whitening.py.
int golden_value(int n, int y, int x, int c) {
  if (n == 7) return 90;
  return (n * 37 + y * 53 + x * 101 + c * 29 + n * n * (y + 2 * x + 3 * c)) % 256;
}

// In planes.
Floats golden_images(int first, int count) {
  Floats images;
  for (int n = first; n < first + count; ++n) {
    for (int c = 0; c < 3; ++c) {
      for (int i = 0; i < 4; ++i) {
        images.push_back(static_cast<float>(golden_value(n, i / 2, i % 2, c)));
      }
    }
  }
  return images;
}

void expect_golden(const Floats& got, const Json& expected) {
  for (std::size_t n = 0; n < expected.size(); ++n) {
    for (std::size_t i = 0; i < 12; ++i) {
      const std::size_t c = i / 4;
      const double value = expected[n][i % 4 / 2][i % 2][c].get<double>();
      EXPECT_NEAR(got[12 * n + i], value, 1e-4 * (1 + std::abs(value))) << n << " " << i;
    }
  }
}

Floats noise_images(std::size_t count, std::size_t size, std::uint64_t seed) {
  Rng rng(seed);
  Floats images;
  for (std::size_t i = 0; i < count * size; ++i) {
    images.push_back(static_cast<float>(std::floor(256 * rng.uniform())));
  }
  return images;
}

TEST(Whitening, IsWhatNumpyMakesByThePublishedFunctions) {
  const Json golden =
      Json::parse(read_file(DETENTE_SOURCE_DIR "/tests/golden/data/whitening.json"));
  Floats contrast = golden_images(0, 9);
  Whitening::fit({.contrast = 55}, contrast, 12, 1);
  expect_golden(contrast, golden["contrast"]);

  Floats train = golden_images(0, 40);
  const Whitening fitted = Whitening::fit({.contrast = 55, .zca = 0.1}, train, 12, 1);
  expect_golden(train, golden["train"]);
  Floats others = golden_images(40, 3);
  fitted.apply(others, 1);
  expect_golden(others, golden["others"]);
}

TEST(Whitening, ContrastHasNoMeanAndOneNorm) {
  Floats images = noise_images(5, 27, 3);
  std::fill(images.begin(), images.begin() + 27, 17.0F);  // one value: nothing to scale
  Whitening::fit({.contrast = 10}, images, 27, 1);
  for (std::size_t n = 0; n < 5; ++n) {
    double sum = 0;
    double squares = 0;
    for (std::size_t i = 0; i < 27; ++i) {
      sum += images[27 * n + i];
      squares += images[27 * n + i] * images[27 * n + i];
    }
    EXPECT_NEAR(sum, 0, 1e-4);
    EXPECT_NEAR(std::sqrt(squares), n == 0 ? 0 : 10, 1e-4);
  }
}

// With hardly anything added, the training images come out uncorrelated with deviation 1.
TEST(Whitening, WhitensTheTrainingImages) {
  const std::size_t size = 12;
  const std::size_t count = 400;
  Floats images = noise_images(count, size, 4);
  for (std::size_t n = 0; n < count; ++n) {
    for (std::size_t i = 1; i < size; ++i) images[n * size + i] += images[n * size + i - 1] / 2;
  }
  Whitening::fit({.zca = 1e-3}, images, size, 1);
  for (std::size_t i = 0; i < size; ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      double sum = 0;
      for (std::size_t n = 0; n < count; ++n) sum += images[n * size + i] * images[n * size + j];
      EXPECT_NEAR(sum / (count - 1), i == j ? 1 : 0, 1e-4);
    }
  }
}

TEST(Whitening, IsTheSameOnAnyNumberOfThreads) {
  Floats one = noise_images(600, 300, 5);
  Floats four = one;
  Whitening::fit({.contrast = 5, .zca = 0.1}, one, 300, 1);
  Whitening::fit({.contrast = 5, .zca = 0.1}, four, 300, 4);
  EXPECT_EQ(one, four);
}

TEST(Whitening, ReloadIsExact) {
  const test::TempDir folder;
  Floats images = noise_images(9, 12, 6);
  const Whitening fitted = Whitening::fit({.contrast = 55, .zca = 0.1}, images, 12, 1);
  EXPECT_EQ(Whitening::load(folder.path(), 12), nullptr);
  fitted.save(folder.path());
  Floats one = noise_images(4, 12, 7);
  Floats other = one;
  fitted.apply(one, 1);
  Whitening::load(folder.path(), 12)->apply(other, 1);
  EXPECT_EQ(one, other);

  EXPECT_EQ(error_of([&] { Whitening::load(folder.path(), 27); }).code(), ErrorCode::kData);
  const std::string matrix = read_file(folder.path() / "whitening.npy");
  folder.write("whitening.npy", matrix.substr(0, matrix.size() - 5));
  EXPECT_EQ(error_of([&] { Whitening::load(folder.path(), 12); }).code(), ErrorCode::kData);
  folder.write("whitening.npy", matrix);
  for (const char* bad : {"", "[]", "{\"format\": \"detente-whitening-1\", \"zca\": \"x\"}"}) {
    folder.write("whitening.json", bad);
    EXPECT_EQ(error_of([&] { Whitening::load(folder.path(), 12); }).code(), ErrorCode::kData);
  }
}

TEST(Whitening, RefusesWhatItCannotFit) {
  Floats one = noise_images(1, 12, 8);
  EXPECT_THAT(error_of([&] { Whitening::fit({.zca = 0.1}, one, 12, 1); }).what(),
              HasSubstr("two or more"));
  Floats large(2 * 9000);
  EXPECT_THAT(error_of([&] { Whitening::fit({.zca = 0.1}, large, 9000, 1); }).what(),
              HasSubstr("data.size"));
  Floats same(24, 3.0F);  // no variance at all
  Whitening::fit({.contrast = 55, .zca = 0.1}, same, 12, 1);
  for (const float value : same) EXPECT_EQ(value, 0.0F);
}

}  // namespace
}  // namespace detente::data

// SPDX-License-Identifier: Apache-2.0
// Images that are whitened, and images most of which have no label.
#include <detente/core/error.h>
#include <detente/core/fields.h>
#include <detente/data/image_source.h>
#include <detente/data/views.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/error_of.h>
#include <tests/support/temp_dir.h>
#include <tests/support/write_images.h>

#include <cmath>
#include <numeric>

namespace detente::data {
namespace {

using test::error_of;
using ::testing::HasSubstr;
using Floats = std::vector<float>;

class ImageWhiteningTest : public ::testing::Test {
 protected:
  ImageWhiteningTest() {
    write("train", 30, 1);
    write("dev", 7, 99);
  }
  // n images of 4 x 4 in idx form, of noise, label i % 3.
  void write(const std::string& name, std::uint32_t n, std::uint64_t seed) {
    Rng rng(seed);
    std::string pixels;
    std::string labels;
    for (std::uint32_t i = 0; i < n; ++i) {
      for (int j = 0; j < 16; ++j) pixels += static_cast<char>(rng.below(256));
      labels += static_cast<char>(i % 3);
    }
    folder_.write(name + "-images-idx3-ubyte", test::idx_file({n, 4, 4}, pixels));
    folder_.write(name + "-labels-idx1-ubyte", test::idx_file({n}, labels));
  }
  static ImageSource with(const std::vector<std::pair<std::string, std::string>>& options) {
    ImageSource source;
    for (const auto& [key, value] : options) {
      set_field([&](FieldVisitor& v) { source.describe(v); }, key, value, "test");
    }
    return source;
  }
  SourceInput input(Part part = Part::kTrain) const {
    SourceInput input;
    input.part = part;
    input.files.train = folder_.file("train-images-idx3-ubyte");
    input.files.dev = folder_.file("dev-images-idx3-ubyte");
    input.targets = {
        {.task = "label", .column = "label", .kind = TaskKind::kClasses, .classes = 3}};
    return input;
  }
  static Floats values(const Source& source, const Rng* augment = nullptr) {
    RowList rows(source.size());
    std::iota(rows.begin(), rows.end(), std::size_t{0});
    return std::get<Floats>(array_of(source.batch(rows, augment), "image").values);
  }
  // The bytes of all examples as floats, in planes.
  static Floats bytes(const ImageSource& source) {
    Floats all;
    for (std::size_t row = 0; row < source.size(); ++row) {
      for (const std::uint8_t value : source.example(row).values) all.push_back(value);
    }
    return all;
  }

  test::TempDir folder_;
};

TEST_F(ImageWhiteningTest, BatchesAreWhitenedByTheTrainingImages) {
  ImageSource train = with({{"contrast", "55"}, {"zca", "0.1"}});
  train.read(input(), nullptr);
  EXPECT_TRUE(train.whitened());
  Floats expected = bytes(train);
  const Whitening fitted = Whitening::fit({.contrast = 55, .zca = 0.1}, expected, 16, 1);
  EXPECT_EQ(values(train), expected);

  auto dev = train.fresh();
  dev->read(input(Part::kDev), &train);
  Floats others = bytes(dynamic_cast<const ImageSource&>(*dev));
  fitted.apply(others, 1);
  EXPECT_EQ(values(*dev), others);

  // A run that is loaded again knows nothing but its folder.
  train.save(folder_.path());
  ImageSource loaded;
  loaded.load(folder_.path());
  auto again = loaded.fresh();
  again->read(input(Part::kDev), &loaded);
  EXPECT_EQ(values(*again), others);
}

TEST_F(ImageWhiteningTest, HiddenLabelsDoNotKeepImagesOut) {
  ImageSource all = with({{"zca", "0.1"}});
  ImageSource few = with({{"zca", "0.1"}, {"labelled.rows", "6"}});
  all.read(input(), nullptr);
  few.read(input(), nullptr);
  EXPECT_EQ(values(few), values(all));
  EXPECT_EQ(few.target("label").missing, 24U);
  auto dev = few.fresh();
  dev->read(input(Part::kDev), &few);
  EXPECT_EQ(dev->target("label").missing, 0U) << "measured by all labels";
}

TEST_F(ImageWhiteningTest, RandomChangesAreOfWhitenedImages) {
  ImageSource plain = with({{"contrast", "55"}});
  ImageSource moved = with({{"contrast", "55"}, {"augment.crop", "2"}, {"augment.flip", "true"}});
  plain.read(input(), nullptr);
  moved.read(input(), nullptr);
  EXPECT_EQ(values(moved), values(plain)) << "none without chance";
  const Rng augment(4);
  const Floats before = values(plain);
  const Floats after = values(moved, &augment);
  for (std::size_t row = 0; row < plain.size(); ++row) {
    Floats image(before.begin() + static_cast<std::ptrdiff_t>(16 * row),
                 before.begin() + static_cast<std::ptrdiff_t>(16 * row + 16));
    Rng own = augment.fork(row);
    const Augmentation changes{.flip = true, .crop = 2};
    changes.apply(image, {4, 4, 1}, std::vector<double>{0.0}, own);
    EXPECT_TRUE(std::equal(
        image.begin(), image.end(), after.begin() + static_cast<std::ptrdiff_t>(16 * row)));
  }
}

TEST_F(ImageWhiteningTest, NoiseIsInTheUnitsOfTheNetwork) {
  for (const char* contrast : {"0", "55"}) {
    ImageSource source = with({{"contrast", contrast}, {"augment.noise", "0.5"}});
    source.read(input(), nullptr);
    const Rng augment(4);
    const Floats before = values(source);
    const Floats after = values(source, &augment);
    double squares = 0;
    for (std::size_t i = 0; i < before.size(); ++i) {
      squares += (after[i] - before[i]) * (after[i] - before[i]);
    }
    EXPECT_NEAR(std::sqrt(squares / static_cast<double>(before.size())), 0.5, 0.08);
  }
}

TEST_F(ImageWhiteningTest, RefusesWhatDoesNotGoTogether) {
  const auto message = [&](const std::vector<std::pair<std::string, std::string>>& options) {
    return std::string(error_of([&] { with(options).read(input(), nullptr); }).what());
  };
  EXPECT_THAT(message({{"zca", "0.1"}, {"overlay", "8"}}), HasSubstr("data.overlay"));
  EXPECT_THAT(message({{"contrast", "1"}, {"augment.jitter", "0.1"}}), HasSubstr("jitter"));
  EXPECT_THAT(message({{"labelled.batch", "4"}}), HasSubstr("data.labelled.rows"));
  EXPECT_THAT(message({{"labelled.rows", "31"}}), HasSubstr("which has 10"));
  ImageSource source = with({{"contrast", "1"}});
  source.read(input(), nullptr);
  const std::vector<ViewOptions> views(2, {.size = 4});
  EXPECT_THROW(view_batches(source, RowList{0}, views, Rng(1)), Error);
}

}  // namespace
}  // namespace detente::data

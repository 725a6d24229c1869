// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/npy.h>
#include <detente/data/dense_file.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/error_of.h>
#include <tests/support/temp_dir.h>
#include <tests/support/write_dense.h>

#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>

namespace detente::data {
namespace {

namespace fs = std::filesystem;
using test::dense_container;
using test::error_of;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr DenseShape kFileShape{3, 4, 5};

TEST(DenseFile, ReadsAContainerByHand) {
  // One image of 1 x 2 pixels: red 10 and 40, green 20 and 50, blue 30 and 60; class 7 and none; 1.5 m
  // and none; a normal towards -z and none.
  std::string bytes = "DNS1";
  bytes += std::string("\1\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0", 16);
  bytes += std::string("\12\24\36\50\62\74", 6) + "\7\xff";
  bytes += std::string("\xdc\5\0\0", 4) + std::string("\0\0\x81\0\0\0", 6);
  const DenseMaps maps = parse_dense(bytes, "file");
  EXPECT_EQ(maps.shape, (DenseShape{3, 1, 2}));
  EXPECT_THAT(maps.image, ElementsAre(10, 40, 20, 50, 30, 60));
  EXPECT_THAT(maps.label, ElementsAre(7, -1));
  EXPECT_THAT(maps.depth, ElementsAre(1.5F, 0));
  EXPECT_THAT(maps.normal, ElementsAre(0, 0, 0, 0, -1, 0));
}

TEST(DenseFile, GivesNormalsOfLengthOneOrZero) {
  const DenseMaps maps = parse_dense(dense_container(2, kFileShape, 3, true), "file");
  for (std::size_t i = 0; i < maps.count; ++i) {
    for (std::size_t p = 0; p < 20; ++p) {
      double length = 0;
      for (std::size_t c = 0; c < 3; ++c) length += std::pow(maps.normal[(3 * i + c) * 20 + p], 2);
      EXPECT_NEAR(length, length > 0 ? 1 : 0, 1e-6);
    }
  }
}

class DenseFolderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    maps_ = parse_dense(dense_container(3, kFileShape, 3, true), "file");
    test::write_dense_folder(folder_.path(), maps_);
  }
  std::string message(const DenseWish& wish = {}) const {
    const std::size_t all[] = {0, 1, 2};
    return error_of([&] { read_dense(folder_.path(), all, wish); }).what();
  }
  void put(const std::string& file,
           const std::vector<std::size_t>& shape,
           std::vector<double> values) {
    std::size_t count = 1;
    for (const std::size_t side : shape) count *= side;
    values.resize(count);
    write_npy(folder_.path() / file, shape, values.data());
  }

  test::TempDir folder_;
  DenseMaps maps_;
};

TEST_F(DenseFolderTest, HoldsWhatTheContainerHolds) {
  EXPECT_EQ(count_dense(folder_.path(), true), 3U);
  const std::size_t some[] = {2, 0};
  const DenseMaps read = read_dense(folder_.path(), some, {});
  EXPECT_EQ(read.shape, maps_.shape);
  EXPECT_THAT(read.names, ElementsAre("2", "0"));
  const auto same = [](const auto& read_values, const auto& all) {
    const std::size_t size = all.size() / 3;
    const bool first =
        std::equal(all.end() - static_cast<std::ptrdiff_t>(size), all.end(), read_values.begin());
    return first && std::equal(all.begin(),
                               all.begin() + static_cast<std::ptrdiff_t>(size),
                               read_values.begin() + static_cast<std::ptrdiff_t>(size));
  };
  EXPECT_TRUE(same(read.image, maps_.image));
  EXPECT_TRUE(same(read.label, maps_.label));
  EXPECT_TRUE(same(read.depth, maps_.depth));
  EXPECT_TRUE(same(read.normal, maps_.normal));
}

TEST_F(DenseFolderTest, ReadsOnlyWhatIsWanted) {
  fs::remove_all(folder_.path() / "depth");
  fs::remove_all(folder_.path() / "normal");
  const std::size_t one[] = {1};
  const DenseMaps maps = read_dense(folder_.path(), one, {.depth = false, .normal = false});
  EXPECT_EQ(maps.label.size(), 20U);
  EXPECT_THAT(maps.depth, IsEmpty());
  EXPECT_THAT(maps.normal, IsEmpty());
}

TEST_F(DenseFolderTest, TakesLabelsFromAnotherFolder) {
  fs::rename(folder_.path() / "label", folder_.path() / "label_7");
  const std::size_t one[] = {1};
  EXPECT_EQ(read_dense(folder_.path(), one, {.label_folder = "label_7"}).label.size(), 20U);
}

TEST_F(DenseFolderTest, NamesTheFileThatIsMissing) {
  fs::remove(folder_.path() / "depth" / "1.npy");
  EXPECT_THAT(message(), HasSubstr("depth/1.npy"));
  EXPECT_EQ(error_of([&] { count_dense(folder_.path() / "nowhere", true); }).code(),
            ErrorCode::kIo);
  fs::remove_all(folder_.path() / "image");
  fs::create_directories(folder_.path() / "image");
  EXPECT_THAT(error_of([&] { count_dense(folder_.path(), true); }).what(),
              HasSubstr("no .npy file"));
}

TEST_F(DenseFolderTest, RefusesMapsOfAnotherSize) {
  put("label/1.npy", {5, 4}, {});
  EXPECT_THAT(message(),
              AllOf(HasSubstr("label/1.npy"), HasSubstr("5 x 4 x 1"), HasSubstr("4 x 5 x 3")));
  put("label/1.npy", {4, 5}, {});
  put("image/2.npy", {4, 6, 3}, {});
  EXPECT_THAT(message(), AllOf(HasSubstr("image/2.npy"), HasSubstr("one size for all")));
  put("image/2.npy", {4, 5, 1}, {});
  EXPECT_THAT(message(), HasSubstr("image/2.npy"));
  put("image/2.npy", {60}, {});
  EXPECT_THAT(message(), HasSubstr("height x width x 1 or 3"));
  put("image/2.npy", {4, 5, 3}, {});
  put("normal/0.npy", {4, 5, 2}, {});
  EXPECT_THAT(message(), AllOf(HasSubstr("normal/0.npy"), HasSubstr("height x width x 3")));
}

TEST_F(DenseFolderTest, RefusesNumbersThatAreNone) {
  const double nan = std::nan("");
  for (const char* kind : {"image", "depth", "normal"}) {
    const std::string file = std::string(kind) + "/1.npy";
    const std::vector<std::size_t> shape = {4, 5, std::string(kind) == "depth" ? 1U : 3U};
    put(file, shape, {1, 2, 3, nan});
    EXPECT_THAT(message(), AllOf(HasSubstr(file), HasSubstr("nan at number 3")));
    // Finite in the file alone.
    put(file, shape, {1e300});
    EXPECT_THAT(message(), HasSubstr(file));
    put(file, shape, {1});
  }
  put("depth/1.npy", {4, 5}, {1, -0.5});
  EXPECT_THAT(message(), AllOf(HasSubstr("depth/1.npy"), HasSubstr("-0.5")));
}

TEST_F(DenseFolderTest, RefusesLabelsThatAreNoClasses) {
  for (const double bad : {-2.0, 0.5, 40000.0}) {
    put("label/0.npy", {4, 5}, {0, bad});
    EXPECT_THAT(message(), AllOf(HasSubstr("label/0.npy"), HasSubstr("no class"))) << bad;
  }
}

TEST_F(DenseFolderTest, KeepsWithinTheMemory) {
  EXPECT_THAT(message({.memory = 1000}), HasSubstr("data.memory"));
}

TEST(DenseFile, RefusesOtherFilesByName) {
  const std::string whole = dense_container(2, kFileShape, 3, true);
  const auto message = [](const std::string& bytes) -> std::string {
    return error_of([&] { parse_dense(bytes, "a \"b\": c"); }).what();
  };
  EXPECT_THAT(message(""), AllOf(HasSubstr("a \"b\": c"), HasSubstr("no DNS1")));
  EXPECT_THAT(message("DNS2" + whole.substr(4)), HasSubstr("no DNS1"));
  EXPECT_THAT(message(whole.substr(0, 12)), HasSubstr("12 bytes"));
  EXPECT_THAT(message(whole + "x"), HasSubstr("cut short"));
  for (std::size_t cut = 1; cut < whole.size() - 20; cut += 13) {
    // A cut that leaves the labels whole is a file without depth.
    if (whole.size() - cut == 20 + 2 * 20 * 4) continue;
    EXPECT_THAT(message(whole.substr(0, whole.size() - cut)), HasSubstr("cut short")) << cut;
  }
  const auto with_header = [&](std::size_t at, const char* value) {
    std::string bytes = whole;
    return bytes.replace(at, 4, std::string(value, 4));
  };
  EXPECT_THAT(message(with_header(4, "\0\0\0\0")), HasSubstr("0 images"));
  EXPECT_THAT(message(with_header(8, "\0\0\0\0")), HasSubstr("0 x 5"));
  EXPECT_THAT(message(with_header(12, "\xff\xff\xff\xff")), HasSubstr("sides from 1"));
  EXPECT_THAT(message(with_header(16, "\2\0\0\0")), HasSubstr("2 channels"));
  EXPECT_THAT(message(with_header(4, "\xff\xff\xff\xff")), HasSubstr("cut short"));
}

TEST(DenseFile, SaysThatAContainerHasNoDepth) {
  const test::TempDir folder;
  const std::string file = folder.write("plain.bin", dense_container(2, kFileShape, 3, false));
  const std::size_t one[] = {1};
  EXPECT_THAT(error_of([&] { read_dense(file, one, {}); }).what(),
              AllOf(HasSubstr("plain.bin"), HasSubstr("wants depth or normals")));
  EXPECT_EQ(read_dense(file, one, {.depth = false, .normal = false}).label.size(), 20U);
}

}  // namespace
}  // namespace detente::data

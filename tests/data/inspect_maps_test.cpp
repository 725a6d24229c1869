// SPDX-License-Identifier: Apache-2.0
// What `detente data check` finds in folders of maps, each fault put there on purpose.
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/npy.h>
#include <detente/data/dense_source.h>
#include <detente/data/inspect.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/error_of.h>
#include <tests/support/temp_dir.h>
#include <tests/support/write_dense.h>

#include <cmath>
#include <filesystem>
#include <limits>

namespace detente::data {
namespace {

namespace fs = std::filesystem;
using test::error_of;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr DenseShape kMapShape{3, 6, 5};
constexpr std::size_t kMapPixels = 30;

// Rooms: the farther up the farther away, by metres from 1 to 6; all normals to the camera.
DenseMaps rooms(std::size_t count, int first) {
  DenseMaps maps;
  maps.count = count;
  maps.shape = kMapShape;
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t v = 0; v < 3 * kMapPixels; ++v) {
      maps.image.push_back(static_cast<float>(v % 7) / 7 + static_cast<float>(first) +
                           static_cast<float>(i));
    }
    for (std::size_t p = 0; p < kMapPixels; ++p) {
      maps.label.push_back(p == 3 ? DenseMaps::kNoClass : static_cast<std::int16_t>(p % 3));
      maps.depth.push_back(p == 7 ? 0.0F
                                  : static_cast<float>(kMapShape.height - p / kMapShape.width));
    }
    for (std::size_t c = 0; c < 3; ++c) {
      for (std::size_t p = 0; p < kMapPixels; ++p) {
        maps.normal.push_back(p == 11 || c < 2 ? 0.0F : -1.0F);
      }
    }
  }
  return maps;
}

TargetColumn target(const char* task, const char* column, TaskKind kind) {
  TargetColumn one;
  one.task = task;
  one.column = column;
  one.kind = kind;
  if (kind == TaskKind::kSegmentation) one.classes = 3;
  return one;
}

class InspectMapsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    test::write_dense_folder(set_ / "train", rooms(4, 0));
    test::write_dense_folder(set_ / "val", rooms(2, 100));
  }
  DataFindings inspect(const std::vector<std::pair<std::string, std::string>>& options = {}) const {
    DenseSource source;
    for (const auto& [key, value] : options) {
      set_field([&](FieldVisitor& v) { source.describe(v); }, key, value, "test");
    }
    SourceFiles files;
    files.train = (set_ / "train").string();
    files.dev = (set_ / "val").string();
    return inspect_data(source,
                        files,
                        {target("things", "label", TaskKind::kSegmentation),
                         target("depth", "depth", TaskKind::kDepth),
                         target("normals", "normal", TaskKind::kNormals),
                         target("has", "has_2", TaskKind::kBinary)});
  }
  std::string warnings(const std::vector<std::pair<std::string, std::string>>& options = {}) const {
    std::string all;
    for (const DataWarning& warning : inspect(options).warnings) all += warning.text + "\n";
    return all;
  }
  void put(const std::string& file, const std::vector<std::size_t>& shape, double value) const {
    std::size_t count = 1;
    for (const std::size_t side : shape) count *= side;
    const std::vector<double> values(count, value);
    write_npy(set_ / file, shape, values.data());
  }
  void scale(const std::string& part, const std::string& kind, double (*change)(double)) const {
    for (const auto& entry : fs::directory_iterator(set_ / part / kind)) {
      NpyArray array = read_npy(entry.path());
      for (double& value : array.values) value = value == 0 ? 0 : change(value);
      write_npy(entry.path(), array.shape, array.values.data());
    }
  }

  test::TempDir folder_;
  const fs::path set_ = folder_.path() / "set";
};

TEST_F(InspectMapsTest, CountsThePixelsAndComplainsOfNothing) {
  const DataFindings found = inspect({{"depth", "distance"}});
  EXPECT_THAT(found.warnings, IsEmpty());
  EXPECT_THAT(found.notes, IsEmpty());
  ASSERT_EQ(found.maps.size(), 4U);
  ASSERT_EQ(found.parts.size(), 2U);
  EXPECT_EQ(found.parts[1].rows, 2U);
  const MapPartFindings& label = found.maps[0].parts[0];
  EXPECT_EQ(label.examples, 4U);
  EXPECT_EQ(label.pixels, 4 * (kMapPixels - 1));
  EXPECT_THAT(label.counts,
              ElementsAre(4 * 9, 4 * 10, 4 * 10));  // pixel 3, without a class, would be a 0
  const MapPartFindings& depth = found.maps[1].parts[0];
  EXPECT_EQ(depth.min, 1);
  EXPECT_EQ(depth.max, 6);
  EXPECT_NEAR(depth.mean, (5.0 * (1 + 2 + 3 + 4 + 5 + 6) - 5) / 29, 1e-6);
  // Rows 6 and 5 above, one pixel of 5 missing; 2 and 1 below.
  EXPECT_NEAR(depth.lower_to_upper, 1.5 / ((30.0 + 20.0) / 9), 1e-6);
  EXPECT_EQ(found.maps[2].parts[1].other_length, 0U);
  EXPECT_EQ(found.maps[2].parts[1].mean, 1);
  EXPECT_THAT(found.maps[3].parts[0].counts, ElementsAre(0, 4));
  const Json json = found.to_json();
  EXPECT_EQ(json["maps"][0]["train"]["classes"][1]["pixels"], 40);
  EXPECT_EQ(json["maps"][3]["dev"]["classes"][1]["examples"], 2);
}

TEST_F(InspectMapsTest, SaysAllThatIsWrongAtOnce) {
  fs::remove(set_ / "train/depth/2.npy");
  fs::rename(set_ / "val/image/1.npy", set_ / "val/image/01.npy");
  put("train/label/1.npy", {6, 5}, 255);
  put("train/label/0.npy", {6, 5}, 1.5);
  put("train/depth/0.npy", {6, 5, 1}, std::numeric_limits<double>::quiet_NaN());
  put("train/depth/1.npy", {6, 5, 1}, -2);
  put("train/normal/3.npy", {5, 6, 3}, 0.1);
  put("train/normal/2.npy", {6, 5, 3}, 1);
  const std::string text = warnings();
  EXPECT_THAT(text, HasSubstr("depth' lacks 1 of 4 files (2.npy). image/ has 4 files"));
  EXPECT_THAT(text, HasSubstr("val/image' lacks 1 of 2 files (1.npy)"));
  EXPECT_THAT(text, HasSubstr("a file that will not be read: 01.npy"));
  EXPECT_THAT(text, HasSubstr("class 255 occurs, in 1 of 4 files (1.npy). Where 255 means"));
  EXPECT_THAT(text, HasSubstr("0.npy' holds 1.5, which is no class"));
  EXPECT_THAT(text, AllOf(HasSubstr("2 of 4 files (0.npy, 1.npy) of '"), HasSubstr("holds nan")));
  EXPECT_THAT(text, AllOf(HasSubstr("3.npy' has the shape 5 x 6 x 3"), HasSubstr("one size")));
  EXPECT_THAT(text, HasSubstr("30 of 88 normals (34.1 %) are not of length 1 (from 1 to 1.73)"));
}

TEST_F(InspectMapsTest, NamesOtherFoldersOfLabels) {
  fs::rename(set_ / "train/label", set_ / "train/label_7");
  fs::rename(set_ / "val/label", set_ / "val/label_7");
  EXPECT_THAT(warnings(), HasSubstr("There is label_7: set data.label_folder"));
  EXPECT_THAT(warnings({{"label_folder", "label_7"}, {"depth", "distance"}}), IsEmpty());
}

TEST_F(InspectMapsTest, TellsDistancesFromTheirInverse) {
  EXPECT_THAT(inspect().notes, ::testing::Each(HasSubstr("looks like distances")));
  EXPECT_THAT(warnings({{"depth", "inverse"}}), HasSubstr("look like distances"));
  scale("train", "depth", [](double value) { return 1 / value; });
  EXPECT_THAT(inspect().notes,
              ElementsAre(HasSubstr("looks like inverse"), HasSubstr("looks like distances")));
  EXPECT_THAT(warnings({{"depth", "distance"}}),
              AllOf(HasSubstr("train: task 'depth'"), HasSubstr("look inverse")));
  scale("train", "depth", [](double) { return 2.0; });
  EXPECT_THAT(inspect().notes[0], HasSubstr("may be"));
  EXPECT_THAT(warnings({{"depth", "distance"}}), IsEmpty());
}

TEST_F(InspectMapsTest, FindsMapsWithoutAnyTargetAndImagesThatRepeat) {
  scale("train", "depth", [](double) { return 0.0; });
  for (int i = 0; i < 4; ++i) put("train/label/" + std::to_string(i) + ".npy", {6, 5}, 1);
  fs::copy_file(
      set_ / "train/image/0.npy", set_ / "train/image/1.npy", fs::copy_options::overwrite_existing);
  fs::copy_file(
      set_ / "train/image/0.npy", set_ / "val/image/1.npy", fs::copy_options::overwrite_existing);
  const DataFindings found = inspect();
  EXPECT_EQ(found.duplicates.dev_in_train, 1U);
  EXPECT_THAT(found.duplicates.within, ElementsAre(1, 0));
  EXPECT_EQ(found.maps[1].parts[0].without, 4U);
  EXPECT_TRUE(std::isnan(found.maps[1].parts[0].min));
  const std::string text = warnings();
  EXPECT_THAT(text, HasSubstr("task 'depth' has no target in any pixel of 4 examples"));
  EXPECT_THAT(text, HasSubstr("no training pixel is of class 0, 2"));
}

TEST_F(InspectMapsTest, ReadsAContainer) {
  fs::remove_all(set_ / "val");
  write_file_atomic(set_ / "val", test::dense_container(3, kMapShape, 4, true, 1));
  const DataFindings found = inspect();
  EXPECT_EQ(found.maps[0].parts[1].examples, 3U);
  ASSERT_EQ(found.warnings.size(), 1U);
  EXPECT_THAT(found.warnings[0].text, HasSubstr("class 3 occurs, in 3 of 3 examples (0, 1, 2)"));
}

TEST_F(InspectMapsTest, SaysWhereAFolderThatIsNotThereComesFrom) {
  fs::remove_all(set_ / "val");
  const auto nothing = error_of([&] { inspect(); });
  EXPECT_EQ(nothing.code(), ErrorCode::kIo);
  EXPECT_THAT(nothing.what(), AllOf(HasSubstr("there is nothing at"), Not(HasSubstr("data get"))));
  // As in a data folder.
  write_file_atomic(folder_.path() / "sets.csv", "name\n");
  write_file_atomic(set_ / "README.md", "from there\n");
  EXPECT_THAT(error_of([&] { inspect(); }).what(), HasSubstr("README.md' says where"));
  fs::remove_all(set_ / "train/image");
  fs::create_directories(set_ / "train/image");
  EXPECT_EQ(error_of([&] { inspect(); }).code(), ErrorCode::kData);
}

}  // namespace
}  // namespace detente::data

// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/fields.h>
#include <detente/core/file.h>
#include <detente/data/dense_source.h>
#include <detente/data/dense_targets.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/error_of.h>
#include <tests/support/rows_alone.h>
#include <tests/support/temp_dir.h>
#include <tests/support/write_dense.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

namespace detente::data {
namespace {

using test::dense_container;
using test::error_of;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr DenseShape kSourceShape{3, 4, 5};
constexpr std::size_t kSourcePixels = 20;

class DenseSourceTest : public ::testing::Test {
 protected:
  static void set(DenseSource& source, const std::string& key, const std::string& value) {
    set_field([&](FieldVisitor& v) { source.describe(v); }, key, value, "test");
  }
  SourceInput input(const std::string& file, std::vector<TargetColumn> targets) const {
    SourceInput input;
    input.files.train = file;
    input.targets = std::move(targets);
    return input;
  }
  std::string container(const std::string& name,
                        std::uint32_t count,
                        bool geometry = true,
                        std::uint64_t seed = 0) const {
    return folder_.write(name, dense_container(count, kSourceShape, 3, geometry, seed));
  }
  std::string message(const std::string& file, const TargetColumn& target) const {
    DenseSource source;
    return error_of([&] { source.read(input(file, {target}), nullptr); }).what();
  }
  static std::vector<float> map(const Source& source,
                                const std::string& task,
                                const RowList& rows,
                                const Rng* rng = nullptr) {
    return std::get<std::vector<float>>(array_of(source.target_batch(rows, rng), task).values);
  }

  const TargetColumn kSeg{
      .task = "seg", .column = "label", .kind = TaskKind::kSegmentation, .classes = 3};
  const TargetColumn kEdges{
      .task = "edges", .column = "edges", .kind = TaskKind::kSegmentation, .classes = 2};
  const TargetColumn kDepth{.task = "depth", .column = "depth", .kind = TaskKind::kDepth};
  const TargetColumn kNormals{.task = "normals", .column = "normal", .kind = TaskKind::kNormals};
  const TargetColumn kHas{.task = "two", .column = "has_2", .kind = TaskKind::kBinary};
  test::TempDir folder_;
};

TEST_F(DenseSourceTest, GivesImagesAndMapsWithTheirShapes) {
  DenseSource source;
  source.read(input(container("a.bin", 3), {kSeg, kEdges, kDepth, kNormals, kHas}), nullptr);
  EXPECT_EQ(source.size(), 3U);
  EXPECT_THAT(array_of(source.batch(RowList{2, 0}, nullptr), "image").shape,
              ElementsAre(2, 3, 4, 5));
  const Batch targets = source.target_batch(RowList{2, 0});
  EXPECT_THAT(array_of(targets, "seg").shape, ElementsAre(2, 4, 5));
  EXPECT_THAT(array_of(targets, "edges").shape, ElementsAre(2, 4, 5));
  EXPECT_THAT(array_of(targets, "depth").shape, ElementsAre(2, 4, 5));
  EXPECT_THAT(array_of(targets, "normals").shape, ElementsAre(2, 3, 4, 5));
  EXPECT_THAT(array_of(targets, "two").shape, ElementsAre(2));
}

TEST_F(DenseSourceTest, MasksWhatHasNoTarget) {
  const std::string file = container("a.bin", 3);
  const DenseMaps maps = parse_dense(read_file(file), file);
  DenseSource source;
  source.read(input(file, {kSeg, kDepth, kNormals}), nullptr);
  const auto seg = map(source, "seg", {1});
  const auto depth = map(source, "depth", {1});
  const auto normals = map(source, "normals", {1});
  double pixels = 0;
  for (std::size_t p = 0; p < kSourcePixels; ++p) {
    const std::int16_t label = maps.label[kSourcePixels + p];
    pixels += label < 0 ? 0 : 1;
    EXPECT_TRUE(label < 0 ? std::isnan(seg[p]) : seg[p] == label);
    const float metres = maps.depth[kSourcePixels + p];
    EXPECT_TRUE(metres == 0 ? std::isnan(depth[p]) : depth[p] == metres);
    const bool none = maps.normal[3 * kSourcePixels + p] == 0 &&
                      maps.normal[4 * kSourcePixels + p] == 0 &&
                      maps.normal[5 * kSourcePixels + p] == 0;
    for (std::size_t c = 0; c < 3; ++c) EXPECT_EQ(std::isnan(normals[c * kSourcePixels + p]), none);
  }
  EXPECT_EQ(source.target("seg").values[1], pixels);
}

TEST_F(DenseSourceTest, SumsUpTheTrainingTargets) {
  const std::string file = container("a.bin", 3);
  DenseSource source;
  source.read(input(file, {kSeg, kDepth}), nullptr);
  const MapSummary& seg = *source.target("seg").map;
  std::vector<double> counts(3, 0);
  for (const float id : map(source, "seg", {0, 1, 2})) {
    if (!std::isnan(id)) ++counts[static_cast<std::size_t>(id)];
  }
  EXPECT_EQ(seg.counts, counts);
  double sum = 0;
  double found = 0;
  for (const float value : map(source, "depth", {0, 1, 2})) {
    if (std::isnan(value)) continue;
    sum += value;
    ++found;
  }
  EXPECT_EQ(source.target("depth").map->pixels, found);
  EXPECT_NEAR(source.target("depth").map->means.at(0), sum / found, 1e-9);
}

TEST_F(DenseSourceTest, StandardisesOnTheTrainingImagesOrLeavesThem) {
  const std::string file = container("a.bin", 3);
  const DenseMaps maps = parse_dense(read_file(file), file);
  const auto values = [](const DenseSource& source) {
    return std::get<std::vector<float>>(
        array_of(source.batch(RowList{0, 1, 2}, nullptr), "image").values);
  };
  DenseSource stored;
  set(stored, "scale", "stored");
  stored.read(input(file, {kSeg}), nullptr);
  EXPECT_EQ(values(stored), maps.image);
  DenseSource standard;
  standard.read(input(file, {kSeg}), nullptr);
  const auto scaled = values(standard);
  for (std::size_t c = 0; c < 3; ++c) {
    double sum = 0;
    double squares = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      for (std::size_t p = 0; p < kSourcePixels; ++p) {
        const double value = scaled[(3 * i + c) * kSourcePixels + p];
        sum += value;
        squares += value * value;
      }
    }
    EXPECT_NEAR(sum / 60, 0, 1e-6);
    EXPECT_NEAR(squares / 60, 1, 1e-6);
  }
  DenseSource dev;
  SourceInput other;
  other.files.dev = container("b.bin", 2, true, 7);
  other.part = Part::kDev;
  dev.read(other, &standard);
  EXPECT_EQ(dev.means(), standard.means());
  EXPECT_THAT(dev.targets(), IsEmpty());
}

// As it was stored, however the network sees it: planes become pixels.
TEST_F(DenseSourceTest, ShowsAnImageAsItWasStored) {
  const std::string file = container("a.bin", 3);
  const DenseMaps maps = parse_dense(read_file(file), file);
  DenseSource source;
  source.read(input(file, {kSeg}), nullptr);
  const float* values = maps.image.data() + 2 * 3 * kSourcePixels;
  const auto [least, most] = std::minmax_element(values, values + 3 * kSourcePixels);
  ASSERT_GE(*least, 0);
  ASSERT_LE(*most, 255);
  const float scale = *most <= 1 ? 255 : 1;
  const Image image = source.picture(2);
  EXPECT_EQ(image.shape, (ImageShape{4, 5, 3}));
  ASSERT_EQ(image.values.size(), 3 * kSourcePixels);
  for (std::size_t p = 0; p < kSourcePixels; ++p) {
    for (std::size_t c = 0; c < 3; ++c) {
      EXPECT_NEAR(image.values[3 * p + c], scale * values[c * kSourcePixels + p], 0.51);
    }
  }
  // Other kinds of data are not shown as pictures.
  EXPECT_EQ(make_source("table")->picture(0).shape.pixels(), 0U);
}

TEST_F(DenseSourceTest, FindsEdgesWhereANeighbourHasAnotherClass) {
  constexpr std::int16_t kNo = DenseMaps::kNoClass;
  const std::vector<std::int16_t> label = {0, 0, 1, 0, kNo, 1, 2, 0, 0};
  const auto edges = edges_of(label, {1, 3, 3});
  const std::vector<float> expected = {0, 1, 1, 1, -1, 1, 1, 1, 1};
  for (std::size_t i = 0; i < 9; ++i) {
    if (label[i] == kNo) {
      EXPECT_TRUE(std::isnan(edges[i]));
    } else {
      EXPECT_EQ(edges[i], expected[i]) << i;
    }
  }
}

TEST_F(DenseSourceTest, SaysWhetherAClassIsThere) {
  // Two images of two pixels: classes 0 and 2; none at all.
  std::string bytes = "DNS1" + std::string("\3\0\0\0\1\0\0\0\2\0\0\0\1\0\0\0", 16);
  bytes += std::string("\1\2\3\4\5\6", 6) + std::string("\0\2\xff\xff\1\1", 6);
  folder_.write("names.txt", "sky\nroad's end\n\"tree\"\n");
  const std::string file = folder_.write("a.bin", bytes);
  DenseSource source;
  set(source, "class_file", folder_.file("names.txt"));
  TargetColumn named = kHas;
  named.task = "named";
  named.column = "has_\"tree\"";
  source.read(input(file, {kHas, named}), nullptr);
  for (const char* task : {"two", "named"}) {
    const auto& values = source.target(task).values;
    EXPECT_EQ(values[0], 1);
    EXPECT_TRUE(std::isnan(values[1]));
    EXPECT_EQ(values[2], 0);
    EXPECT_EQ(source.target(task).missing, 1U);
  }
  named.column = "has_tre";
  EXPECT_THAT(error_of([&] { source.read(input(file, {named}), nullptr); }).what(),
              HasSubstr("names no class"));
}

TEST_F(DenseSourceTest, ChangesMapsWithTheirImages) {
  const std::string file = container("a.bin", 4);
  DenseSource source;
  set(source, "scale", "stored");
  set(source, "augment.scales", "[1, 1.5]");
  set(source, "augment.flip", "true");
  source.read(input(file, {kSeg, kEdges, kDepth, kNormals, kHas}), nullptr);
  const DenseMaps maps = parse_dense(read_file(file), file);
  const RowList rows = {3, 1, 1, 0};
  const Rng rng(11);
  const Batch batch = source.batch(rows, &rng);
  const Batch targets = source.target_batch(rows, &rng);
  DenseAugmentation augmentation{{1, 1.5}, true};
  const auto part = [](const auto& values, std::size_t i, std::size_t size) {
    return std::span(values).subspan(i * size, size);
  };
  const auto of = [&](const Batch& arrays, const char* name, std::size_t i, std::size_t size) {
    const auto& all = std::get<std::vector<float>>(array_of(arrays, name).values);
    return std::vector<float>(all.begin() + static_cast<std::ptrdiff_t>(i * size),
                              all.begin() + static_cast<std::ptrdiff_t>((i + 1) * size));
  };
  const auto hide = [](std::vector<float> values) {
    for (float& value : values) value = std::isnan(value) ? 0 : value;
    return values;
  };
  for (std::size_t i = 0; i < rows.size(); ++i) {
    Rng own = rng.fork(rows[i]);
    const DenseChange change = augmentation.draw(kSourceShape, own);
    EXPECT_EQ(of(batch, "image", i, 3 * kSourcePixels),
              changed_image(part(maps.image, rows[i], 3 * kSourcePixels), kSourceShape, change));
    EXPECT_EQ(hide(of(targets, "depth", i, kSourcePixels)),
              changed_depth(part(maps.depth, rows[i], kSourcePixels), kSourceShape, change));
    EXPECT_EQ(hide(of(targets, "normals", i, 3 * kSourcePixels)),
              changed_normals(part(maps.normal, rows[i], 3 * kSourcePixels), kSourceShape, change));
    const auto label =
        changed_label(part(maps.label, rows[i], kSourcePixels), kSourceShape, change);
    EXPECT_EQ(hide(of(targets, "edges", i, kSourcePixels)), hide(edges_of(label, kSourceShape)));
    const double has = std::count(label.begin(), label.end(), 2) > 0 ? 1 : 0;
    EXPECT_EQ(std::get<std::vector<double>>(array_of(targets, "two").values)[i], has);
  }
  // Predictions see them as they are.
  EXPECT_EQ(of(source.batch(rows, nullptr), "image", 0, 3 * kSourcePixels),
            std::vector<float>(maps.image.begin() + 9 * kSourcePixels,
                               maps.image.begin() + 12 * kSourcePixels));
}

TEST_F(DenseSourceTest, ARowChangesAlikeInAnyBatch) {
  const std::string file = container("a.bin", 6);
  DenseSource source;
  set(source, "augment.scales", "[1, 1.2, 1.5]");
  set(source, "augment.flip", "true");
  source.read(input(file, {kSeg, kDepth, kNormals, kHas}), nullptr);
  test::expect_rows_draw_alone(source, {4, 0, 5, 2, 1}, Rng(3));
}

TEST_F(DenseSourceTest, EdgesOfAFlippedMapAreTheFlippedEdges) {
  const DenseMaps maps = parse_dense(dense_container(1, kSourceShape, 3, false), "file");
  const DenseChange flip{.height = 4, .width = 5, .flip = true};
  const auto edges = edges_of(changed_label(maps.label, kSourceShape, flip), kSourceShape);
  const auto flipped = changed_depth(edges_of(maps.label, kSourceShape), kSourceShape, flip);
  for (std::size_t p = 0; p < kSourcePixels; ++p) {
    EXPECT_TRUE(std::isnan(edges[p]) ? std::isnan(flipped[p]) : edges[p] == flipped[p]);
  }
}

TEST_F(DenseSourceTest, KeepsMapsThatAreMissingAsAWhole) {
  // Labels of the second image: none.
  std::string bytes = "DNS1" + std::string("\2\0\0\0\1\0\0\0\2\0\0\0\1\0\0\0", 16);
  bytes += std::string("\1\2\3\4", 4) + std::string("\0\1\xff\xff", 4);
  DenseSource source;
  source.read(input(folder_.write("a.bin", bytes), {kSeg}), nullptr);
  EXPECT_EQ(source.target("seg").missing, 1U);
  EXPECT_TRUE(std::isnan(source.target("seg").values[1]));
  const std::string none = bytes.substr(0, bytes.size() - 4) + "\xff\xff\xff\xff";
  EXPECT_THAT(message(folder_.write("none.bin", none), kSeg),
              AllOf(HasSubstr("none.bin"), HasSubstr("no target")));
}

TEST_F(DenseSourceTest, RefusesTasksThatDoNotFit) {
  const std::string file = container("a.bin", 3);
  TargetColumn target = kSeg;
  target.classes = 2;
  EXPECT_THAT(message(file, target),
              AllOf(HasSubstr("a.bin"), HasSubstr("has class 2"), HasSubstr("from 0 to 1")));
  target = kDepth;
  target.column = "label";
  EXPECT_THAT(message(file, target), HasSubstr("set its head to segmentation"));
  target.column = "dept";
  EXPECT_THAT(message(file, target), HasSubstr("Did you mean 'depth'?"));
  target = kEdges;
  target.classes = 3;
  EXPECT_THAT(message(file, target), HasSubstr("set classes to 2"));
  EXPECT_THAT(message(folder_.file("nowhere.bin"), kSeg), HasSubstr("nowhere.bin"));
}

TEST_F(DenseSourceTest, RefusesImagesOfAnotherSizeThanTheTrainingsOnes) {
  DenseSource train;
  train.read(input(container("a.bin", 3), {kSeg}), nullptr);
  SourceInput other;
  other.files.dev = folder_.write("b.bin", dense_container(2, {3, 5, 4}, 3, false));
  other.part = Part::kDev;
  DenseSource dev;
  EXPECT_THAT(error_of([&] { dev.read(other, &train); }).what(),
              AllOf(HasSubstr("b.bin"), HasSubstr("5 x 4"), HasSubstr("4 x 5")));
}

TEST_F(DenseSourceTest, TakesPartsAndTheFirstRows) {
  SourceInput some = input(container("a.bin", 10, false), {kSeg});
  some.files.max_rows = 4;
  DenseSource source;
  source.read(some, nullptr);
  EXPECT_EQ(source.size(), 4U);
  EXPECT_THAT(source.shown().at(0).cells, ElementsAre("0", "1", "2", "3"));
}

TEST_F(DenseSourceTest, TellsOtherRowsByTheirDigest) {
  const auto digest = [&](const std::string& file, const TargetColumn& target) {
    DenseSource source;
    source.read(input(file, {target}), nullptr);
    return source.digest();
  };
  const std::string file = container("a.bin", 3);
  EXPECT_EQ(digest(file, kSeg), digest(file, kSeg));
  EXPECT_NE(digest(file, kSeg), digest(file, kEdges));
  EXPECT_NE(digest(file, kSeg), digest(container("b.bin", 3, true, 1), kSeg));
}

TEST_F(DenseSourceTest, LoadsWhatItSaved) {
  folder_.write("names.txt", "하늘\nroad: \"end\"\n'tree'\n");
  DenseSource source;
  set(source, "class_file", folder_.file("names.txt"));
  source.read(input(container("a.bin", 3), {kSeg}), nullptr);
  source.save(folder_.path());
  DenseSource loaded;
  loaded.load(folder_.path());
  EXPECT_EQ(loaded.shape(), source.shape());
  EXPECT_EQ(loaded.means(), source.means());
  EXPECT_EQ(loaded.deviations(), source.deviations());
  for (const char* bad : {"",
                          "{}",
                          "[]",
                          R"({"format": "detente-dense-1", "classes": []})",
                          R"({"format": "detente-dense-1", "classes": [1], "height": 1, "width": 1,
                              "channels": 1, "means": [0], "deviations": [1]})",
                          R"({"format": "detente-dense-1", "classes": [], "height": 1, "width": 1,
                              "channels": 1, "means": [0], "deviations": [0]})"}) {
    folder_.write("dense.json", bad);
    EXPECT_EQ(error_of([&] { loaded.load(folder_.path()); }).code(), ErrorCode::kData) << bad;
  }
}

}  // namespace
}  // namespace detente::data

// SPDX-License-Identifier: Apache-2.0
#include <detente/data/propose_arrays.h>
#include <gmock/gmock.h>
#include <tests/support/error_of.h>
#include <tests/support/temp_dir.h>
#include <tests/support/write_npy.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace detente::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ProposeArraysTest : public ::testing::Test {
 protected:
  // Numbers of the shape, all different.
  static std::string floats(const std::vector<std::size_t>& shape) {
    std::size_t count = 1;
    std::string text;
    for (const std::size_t side : shape) {
      count *= side;
      text += std::to_string(side) + ",";
    }
    std::vector<float> values(count);
    for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i) / 7;
    return test::npy_file("<f4", "(" + text + ")", test::raw_bytes(values));
  }
  // 0, 1, 2, 0, ...
  static std::string ids(std::size_t count) {
    std::vector<std::int64_t> values(count);
    for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<std::int64_t>(i % 3);
    return test::npy_file("<i8", "(" + std::to_string(count) + ",)", test::raw_bytes(values));
  }
  FileProposal proposed(const std::vector<std::pair<std::string, std::string>>& members,
                        const std::vector<std::string>& targets = {}) {
    return *propose_arrays(folder_.write("a.npz", test::zip_file(members)), targets);
  }
  static std::vector<std::string> columns_of(const FileProposal& proposal) {
    std::vector<std::string> columns;
    for (const ProposedTask& task : proposal.tasks) columns.push_back(task.column);
    return columns;
  }

  test::TempDir folder_;
};

TEST_F(ProposeArraysTest, TheShapeSaysTheModelAndTheLayout) {
  struct Case {
    std::vector<std::size_t> shape;
    const char* model;
    const char* layout;
    std::vector<std::int64_t> channels;
  };
  const Case cases[] = {
      {{60}, "mlp", "channels_first", {}},
      {{60, 5}, "mlp", "channels_first", {}},
      {{60, 3, 40}, "convnet1d", "channels_first", {32, 64, 128}},
      {{60, 40, 3}, "convnet1d", "channels_last", {32, 64, 128}},
      {{60, 5, 2}, "convnet1d", "channels_last", {32}},
      {{60, 12, 10}, "convnet", "no_channels", {16, 32}},
      {{60, 1, 12, 16}, "convnet", "channels_first", {16, 32}},
      {{60, 12, 16, 3}, "convnet", "channels_last", {16, 32}},
      {{60, 3, 4, 8, 8}, "convnet3d", "channels_first", {16}},
      {{60, 8, 8, 8, 1}, "convnet3d", "channels_last", {16, 32}},
  };
  for (const Case& c : cases) {
    const FileProposal found = proposed({{"X.npy", floats(c.shape)}, {"y.npy", ids(60)}});
    const std::string what = testing::PrintToString(c.shape);
    EXPECT_EQ(found.kind, "arrays");
    EXPECT_EQ(found.inputs, "X");
    EXPECT_EQ(found.rows, 60U);
    EXPECT_EQ(found.model, c.model) << what;
    EXPECT_EQ(found.layout, c.layout) << what;
    EXPECT_EQ(found.channels, c.channels) << what;
    EXPECT_EQ(found.widths.empty(), found.model != "mlp") << what;
    EXPECT_THAT(columns_of(found), ElementsAre("y"));
    EXPECT_GT(found.dev, 0);
    EXPECT_GT(found.test, 0);
  }
}

TEST_F(ProposeArraysTest, AllOthersWithFewNumbersAreTargets) {
  const std::string words =
      test::npy_file("|S1", "(60,)", std::string(20, 'a') + std::string(40, 'b'));
  const std::vector<std::pair<std::string, std::string>> members = {
      {"embedding.npy", floats({60, 30})},
      {"grade.npy", ids(60)},
      {"kind.npy", words},
      {"place.npy", floats({60, 2})},
      {"same.npy", test::npy_file("|b1", "(60,)", std::string(60, '\1'))},
      {"index.npy", floats({60})},
      {"settings.npy", floats({3})},
      {"subject.npy", ids(60)},
      {"scalar.npy", test::npy_file("<f4", "()", test::raw_bytes(std::vector<float>{1}))},
  };
  const FileProposal found = proposed(members);
  EXPECT_EQ(found.inputs, "embedding");
  EXPECT_THAT(columns_of(found), ElementsAre("grade", "kind", "place.0", "place.1"));
  EXPECT_EQ(found.tasks[1].kind, TaskKind::kClasses);
  EXPECT_THAT(found.tasks[1].class_names, ElementsAre("a", "b"));
  EXPECT_EQ(found.tasks[2].name, "place_0");
  EXPECT_THAT(found.notes,
              ElementsAre(HasSubstr("'index' is no target: it names the rows"),
                          HasSubstr("'same' is no target: every row holds the same"),
                          HasSubstr("'subject' is no target: it says which examples belong")));
  EXPECT_THAT(columns_of(proposed(members, {"place.1", "grade"})), ElementsAre("place.1", "grade"));
  EXPECT_THAT(test::said([&] { proposed(members, {"plce.1"}); }), HasSubstr("'place.1'"));
  EXPECT_THAT(test::said([&] { proposed(members, {"same"}); }), HasSubstr("every row"));
}

TEST_F(ProposeArraysTest, PartsOfTheirOwnAreTaken) {
  const std::vector<std::pair<std::string, std::string>> parts = {
      {"train_images.npy", floats({40, 9, 9})},
      {"train_labels.npy", ids(40)},
      {"val_images.npy", floats({6, 9, 9})},
      {"val_labels.npy", ids(6)},
      {"test_images.npy", floats({6, 9, 9})},
      {"test_labels.npy", ids(6)}};
  const FileProposal all = proposed(parts);
  EXPECT_EQ(all.inputs, "images");
  EXPECT_EQ(all.rows, 40U);
  EXPECT_THAT(columns_of(all), ElementsAre("labels"));
  EXPECT_THAT(all.why_parts, HasSubstr("validation and for the test"));
  EXPECT_EQ(all.dev, 0);
  const FileProposal two = proposed({parts[0], parts[1], parts[4], parts[5]});
  EXPECT_THAT(two.why_parts, IsEmpty());
  EXPECT_GT(two.dev, 0);
  EXPECT_EQ(two.test, 0);
  EXPECT_TRUE(two.own_test);
}

TEST_F(ProposeArraysTest, FilesOfOneArray) {
  folder_.write("run1_X_train.npy", floats({30, 4}));
  folder_.write("run1_y_train.npy", ids(30));
  folder_.write("run2_y_train.npy", ids(7));
  folder_.write("label.npy", ids(30));
  folder_.write("grade.npy", ids(30));
  const FileProposal found = *propose_arrays(folder_.file("run1_X_train.npy"), {});
  EXPECT_EQ(found.inputs, "X");
  EXPECT_THAT(columns_of(found), ElementsAre("grade", "label", "y"));
  const FileProposal own = *propose_arrays(folder_.file("label.npy"), {"grade"});
  EXPECT_EQ(own.inputs, "label");
  std::filesystem::create_directories(folder_.file("arrays"));
  folder_.write("arrays/X.npy", floats({30, 4}));
  folder_.write("arrays/y.npy", ids(30));
  EXPECT_THAT(columns_of(*propose_arrays(folder_.file("arrays"), {})), ElementsAre("y"));
}

TEST_F(ProposeArraysTest, WhatIsNoneOrCannotBe) {
  EXPECT_FALSE(propose_arrays(folder_.write("t.csv", "a,b\n1,2\n"), {}).has_value());
  EXPECT_FALSE(propose_arrays(folder_.path().string(), {}).has_value());
  EXPECT_THAT(test::said([&] {
                proposed({{"X.npy", floats({60, 5})}, {"index.npy", floats({60})}});
              }),
              HasSubstr("'index' is no target: it names the rows"));
  EXPECT_THAT(test::said([&] { propose_arrays(folder_.write("b.npz", "PK, not an archive"), {}); }),
              HasSubstr("b.npz"));
  EXPECT_THAT(test::said([&] {
                proposed({{"X.npy", floats({60, 5})}});
              }),
              HasSubstr("no array beside the inputs 'X'"));
  EXPECT_THAT(test::said([&] {
                proposed({{"X.npy", floats({1, 5})}, {"y.npy", ids(1)}});
              }),
              HasSubstr("expected at least 2"));
  EXPECT_THAT(test::said([&] {
                proposed({{"w.npy", test::npy_file("|S1", "(3,)", "abc")}});
              }),
              HasSubstr("no array that can be inputs"));
  EXPECT_THAT(test::said([&] {
                proposed({{"X.npy", floats({2, 2, 2, 2, 2, 2})}});
              }),
              HasSubstr("no array that can be inputs"));
}

}  // namespace
}  // namespace detente::data

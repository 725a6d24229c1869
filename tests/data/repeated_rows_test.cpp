// SPDX-License-Identifier: Apache-2.0
#include <detente/core/fields.h>
#include <detente/core/file.h>
#include <detente/data/repeated_rows.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/temp_dir.h>

#include <memory>
#include <string>

namespace detente::data {
namespace {

class RepeatedRowsTest : public ::testing::Test {
 protected:
  struct Parts {
    std::unique_ptr<Source> train, dev;
  };

  Parts table(const std::string& train, const std::string& dev) {
    return read("table", "x,word,side,value\n" + train, "x,word,side,value\n" + dev);
  }
  Parts read(const char* kind, const std::string& train, const std::string& dev) {
    SourceInput input;
    write_file_atomic(folder_.path() / "train.csv", train);
    write_file_atomic(folder_.path() / "dev.csv", dev);
    input.files.train = folder_.file("train.csv");
    input.files.dev = folder_.file("dev.csv");
    input.targets = {{.task = "side", .column = "side", .kind = TaskKind::kBinary},
                     {.task = "value", .column = "value"}};
    Parts parts{make_source(kind), nullptr};
    parts.train->read(input, nullptr);
    input.part = Part::kDev;
    parts.dev = parts.train->fresh();
    parts.dev->read(input, parts.train.get());
    return parts;
  }

  test::TempDir folder_;
};

TEST_F(RepeatedRowsTest, NamesTheFirstOfEqualRows) {
  const Parts parts = table("1,a,0,1\n2,b,1,2\n1,a,0,1\n1,b,0,1\n1.0,a,1,1\n2,b,1,\n3,a,0,1\n",
                            "7,a,0,1\n2,b,1,2\n1,a,1,1\n3,b,0,1\n");
  const RepeatedRows found = repeated_rows(*parts.train, *parts.dev);
  ASSERT_EQ(found.train.size(), 3U);
  EXPECT_EQ(found.train[0].row, 2U);
  EXPECT_EQ(found.train[0].first, 0U);
  EXPECT_FALSE(found.train[0].other_target);
  // A number that is written otherwise, with another label.
  EXPECT_EQ(found.train[1].row, 4U);
  EXPECT_EQ(found.train[1].first, 0U);
  EXPECT_TRUE(found.train[1].other_target);
  // A target that is not there is no other one.
  EXPECT_EQ(found.train[2].row, 5U);
  EXPECT_EQ(found.train[2].first, 1U);
  EXPECT_FALSE(found.train[2].other_target);
  ASSERT_EQ(found.dev.size(), 2U);
  EXPECT_EQ(found.dev[0].row, 1U);
  EXPECT_EQ(found.dev[0].first, 1U);
  EXPECT_FALSE(found.dev[0].other_target);
  EXPECT_EQ(found.dev[1].row, 2U);
  EXPECT_EQ(found.dev[1].first, 0U);
  EXPECT_TRUE(found.dev[1].other_target);
}

TEST_F(RepeatedRowsTest, FindsNothingWhereAllDiffer) {
  // (Words that occur once are all the unknown word.)
  const Parts parts = table("1,a,0,1\n2,b,1,2\n1,b,0,1\n2,a,1,2\n", "3,b,0,1\n1.5,a,0,1\n");
  const RepeatedRows found = repeated_rows(*parts.train, *parts.dev);
  EXPECT_TRUE(found.train.empty());
  EXPECT_TRUE(found.dev.empty());
}

TEST_F(RepeatedRowsTest, RowsThatAreAllAlikeRepeatTheFirst) {
  const Parts parts = table("1,a,0,1\n1,a,1,2\n1,a,0,1\n2,a,0,1\n", "1,a,0,1\n");
  const RepeatedRows found = repeated_rows(*parts.train, *parts.dev);
  ASSERT_EQ(found.train.size(), 2U);
  EXPECT_EQ(found.train[1].row, 2U);
  EXPECT_EQ(found.train[1].first, 0U);
  ASSERT_EQ(found.dev.size(), 1U);
}

}  // namespace
}  // namespace detente::data

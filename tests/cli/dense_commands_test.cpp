// SPDX-License-Identifier: Apache-2.0
// train, eval and predict on tasks with an answer for each pixel as a user types them.
#include <detente/core/npy.h>
#include <gmock/gmock.h>
#include <tests/cli/train_commands.h>
#include <tests/support/write_dense.h>

#include <cmath>

namespace detente::cli {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class DenseCommandsTest : public TrainCommandsTest {
 protected:
  void SetUp() override {
    TinyRunTest::SetUp();
    write_file_atomic(folder_ / "train.bin", test::dense_scenes(24, 1));
    write_file_atomic(folder_ / "dev.bin", test::dense_scenes(6, 2));
    write_file_atomic(recipe_path(),
                      "data: {kind: dense, train: train.bin, dev: dev.bin}\n"
                      "model: {channels: [4, 6]}\n"
                      "tasks:\n"
                      "  - {name: things, column: label, head: segmentation, classes: 4}\n"
                      "  - {name: normals, column: normal, head: normals}\n"
                      "  - {name: green, column: has_2, head: binary}\n"
                      "optimizer: {lr: 0.02}\n"
                      "train: {epochs: 2, batch_size: 8}\n"
                      "threads: 1\n");
  }
};

TEST_F(DenseCommandsTest, TrainEvalPredict) {
  ASSERT_EQ(call({"train", path("tiny.yaml"), "--out", path("run"), "--quiet"}), 0) << err_.str();
  ASSERT_EQ(call({"eval", path("run"), "--data", path("dev.bin")}), 0) << err_.str();
  EXPECT_THAT(out_.str(), AllOf(HasSubstr("6 rows"), HasSubstr("the mean of 3 classes")));
  ASSERT_EQ(call({"predict", path("run"), "--data", path("dev.bin"), "--out", path("maps")}), 0)
      << err_.str();
  for (int i = 0; i < 6; ++i) {
    const std::string name = std::to_string(i) + ".npy";
    const NpyArray things = read_npy(folder_ / "maps" / "things" / name);
    EXPECT_THAT(things.shape, ElementsAre(16, 16));
    for (const double id : things.values) EXPECT_TRUE(id >= 0 && id < 4 && id == std::floor(id));
    const NpyArray normals = read_npy(folder_ / "maps" / "normals" / name);
    EXPECT_THAT(normals.shape, ElementsAre(16, 16, 3));
    for (std::size_t p = 0; p < 256; ++p) {
      EXPECT_NEAR(
          std::hypot(normals.values[3 * p], normals.values[3 * p + 1], normals.values[3 * p + 2]),
          1,
          1e-4);
    }
  }
  EXPECT_THAT(read_file(folder_ / "maps" / "predictions.tsv"),
              AllOf(HasSubstr("example\tgreen\tgreen_probability\n0\t"), HasSubstr("\n5\t")));
  // What is there stays.
  EXPECT_NE(call({"predict", path("run"), "--data", path("dev.bin"), "--out", path("maps")}), 0);
  EXPECT_THAT(err_.str(), HasSubstr("no empty folder"));
}

TEST_F(DenseCommandsTest, CheckSaysWhatThePixelsAre) {
  ASSERT_EQ(call({"data", "check", path("tiny.yaml")}), 0) << err_.str();
  EXPECT_THAT(out_.str(),
              AllOf(HasSubstr("dense, 3 tasks\n"),
                    HasSubstr("things"),
                    HasSubstr("pixels with a target"),
                    HasSubstr("no training pixel is of class 3")));
  EXPECT_EQ(call({"data", "check", path("tiny.yaml"), "--strict", "--set", "data.dev=nowhere"}), 3);
  EXPECT_THAT(err_.str(), HasSubstr("there is nothing at"));
}

TEST_F(DenseCommandsTest, SayWhatTheyCannotDo) {
  ASSERT_EQ(
      call(
          {"train", path("tiny.yaml"), "--out", path("run"), "--quiet", "--set", "train.epochs=1"}),
      0)
      << err_.str();
  EXPECT_NE(call({"predict", path("run"), "--data", path("dev.bin"), "--out", path("p.tsv")}), 0);
  EXPECT_THAT(err_.str(), AllOf(HasSubstr("things, normals"), HasSubstr("--out FOLDER")));
  for (const char* form : {"onnx", "torchscript", "safetensors"}) {
    EXPECT_EQ(call({"export", path("run"), "--to", form, "--out", path(form)}), 0) << err_.str();
  }
  write_file_atomic(folder_ / "cut.bin", read_file(folder_ / "dev.bin").substr(0, 5000));
  EXPECT_NE(call({"eval", path("run"), "--data", path("cut.bin")}), 0);
  EXPECT_THAT(err_.str(), AllOf(HasSubstr("cut.bin"), HasSubstr("cut short")));
  EXPECT_NE(call({"eval", path("run"), "--data", path("nowhere")}), 0);
  EXPECT_THAT(err_.str(), HasSubstr("nowhere"));
}

}  // namespace
}  // namespace detente::cli

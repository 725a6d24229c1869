// SPDX-License-Identifier: Apache-2.0
// train, eval and predict on clips as a user types them, wrong input included.
#include <gmock/gmock.h>
#include <tests/cli/train_commands.h>
#include <tests/support/write_images.h>
#include <tests/support/write_npy.h>

namespace detente::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class VideoCommandsTest : public TrainCommandsTest {
 protected:
  // A bright bar that goes down or up, in folders of pictures and in arrays, of several lengths.
  void SetUp() override {
    TinyRunTest::SetUp();
    for (int i = 0; i < 40; ++i) {
      const bool down = i % 2 == 0;
      const int frames = 4 + i % 3;
      std::string all;
      for (int t = 0; t < frames; ++t) {
        data::Image image{{8, 8, 1}, std::vector<std::uint8_t>(64, 10)};
        const int row = ((down ? t : -t) + i) % 8;
        for (int x = 0; x < 8; ++x) {
          image.values[static_cast<std::size_t>((row + 8) % 8 * 8 + x)] = 250;
        }
        all.append(image.values.begin(), image.values.end());
        if (i % 4 < 2) continue;
        const auto name = folder_ / "t" / (down ? "down \"1\"" : "위로") / std::to_string(i) /
                          ("f" + std::to_string(t) + ".png");
        std::filesystem::create_directories(name.parent_path());
        write_file_atomic(name, test::png_file(image));
      }
      if (i % 4 >= 2) continue;
      const auto name =
          folder_ / "t" / (down ? "down \"1\"" : "위로") / (std::to_string(i) + ".npy");
      std::filesystem::create_directories(name.parent_path());
      write_file_atomic(name, test::npy_file("|u1", "(" + std::to_string(frames) + ", 8, 8)", all));
    }
    write_clip_recipe("{channels: [8, 8], hidden: 8}", 1);
  }
  void write_clip_recipe(const std::string& model, int epochs) {
    write_file_atomic(recipe_path(),
                      "data: {kind: video, train: t, frames: 4, split: {dev: 0.25}}\n"
                      "model: " +
                          model +
                          "\n"
                          "tasks: [{name: way, column: label, head: classes, classes: 2}]\n"
                          "optimizer: {lr: 0.02}\n"
                          "train: {epochs: " +
                          std::to_string(epochs) +
                          ", batch_size: 8}\n"
                          "threads: 1\n");
  }
};

TEST_F(VideoCommandsTest, TrainEvalPredictAndExport) {
  const std::pair<const char*, int> models[] = {
      {"{kind: convnet3d, channels: [8, 8], hidden: 8}", 20},
      {"{kind: convnet, channels: [4], hidden: 8}", 1},
      {"{kind: vit, patch: 4, width: 8, heads: 2, layers: 1, ffn: 8}", 1},
      {"{kind: resnet, small: true}", 1}};
  for (const auto& [model, epochs] : models) {
    write_clip_recipe(model, epochs);
    ASSERT_EQ(train_again({"--set", "data.augment.temporal=true"}), 0) << err_.str();
    ASSERT_EQ(call({"eval", path("run"), "--data", path("t"), "--json"}), 0) << err_.str();
    const Json eval = Json::parse(out_.str());
    EXPECT_EQ(eval["rows"], 40);
    if (epochs > 1) {
      EXPECT_GT(eval["tasks"]["way"]["accuracy"].get<double>(), 0.85);
    }
    write_file_atomic(folder_ / "list.tsv", "id\tvideo\n7\tt/위로/3\n8\tt/down \"1\"/4.npy\n");
    ASSERT_EQ(call({"predict", path("run"), "--data", path("list.tsv"), "--out", "-"}), 0)
        << err_.str();
    EXPECT_THAT(out_.str(),
                AllOf(StartsWith("id\tvideo\tway\t"), HasSubstr("\n8\tt/down \"1\"/4.npy\t")));
    ASSERT_EQ(call({"export", path("run"), "--to", "onnx", "--out", path("m.onnx")}), 0)
        << err_.str();
    EXPECT_THAT(read_file(path("m.onnx")), AllOf(HasSubstr("clip"), HasSubstr("위로")));
    ASSERT_EQ(call({"data", "check", path("tiny.yaml")}), 0) << err_.str();
  }
}

TEST_F(VideoCommandsTest, ClipsOfMovingPictures) {
  write_file_atomic(recipe_path(),
                    "data: {kind: video, train: " DETENTE_SOURCE_DIR
                    "/data/digits/digits-images-idx3-ubyte.gz, frames: 4, max_rows: 60, split: "
                    "{dev: 0.02}, moving: {side: 12, clips: 2}}\n"
                    "model: {channels: [4], hidden: 8}\n"
                    "tasks:\n"
                    "  - {name: digit, column: label, head: classes, classes: 10}\n"
                    "  - {name: direction, head: classes, classes: 8}\n"
                    "train: {epochs: 1, batch_size: 16}\n"
                    "threads: 1\n");
  ASSERT_EQ(train_again(), 0) << err_.str();
  ASSERT_EQ(call({"predict",
                  path("run"),
                  "--data",
                  DETENTE_SOURCE_DIR "/data/digits/digits-images-idx3-ubyte.gz",
                  "--out",
                  path("p.csv")}),
            0)
      << err_.str();
  EXPECT_THAT(read_file(path("p.csv")), AllOf(StartsWith("image,"), HasSubstr("\n1796,")));
}

TEST_F(VideoCommandsTest, WrongInputIsThreeAndLeavesNothing) {
  ASSERT_EQ(train_again({"--set", "train.epochs=1"}), 0) << err_.str();
  const std::string before = read_file(path("run/model.safetensors"));
  const std::string name = "t/위로/3/f1.png";
  const std::string whole = read_file(path(name));
  write_file_atomic(path(name), whole.substr(0, whole.size() / 2));
  EXPECT_EQ(train_again(), 3);
  EXPECT_THAT(err_.str(), HasSubstr("f1.png"));
  EXPECT_EQ(read_file(path("run/model.safetensors")), before);
  EXPECT_EQ(call({"predict", path("run"), "--data", path("t"), "--out", path("p.csv")}), 3);
  EXPECT_FALSE(std::filesystem::exists(path("p.csv")));
  write_file_atomic(path(name), whole);
  EXPECT_EQ(train_again({"--set", "model.kind=mlp", "--set", "model.widths=[4]"}), 2);
  EXPECT_EQ(train_again({"--set", "data.fps=5"}), 2);
  EXPECT_THAT(err_.str(), HasSubstr("data.stride"));
  EXPECT_EQ(train_again({"--set", "model.channels=[4,4,4,4]"}), 2);
  EXPECT_THAT(err_.str(), HasSubstr("8 x 8"));
}

}  // namespace
}  // namespace detente::cli

// SPDX-License-Identifier: Apache-2.0
// train, eval and predict on images as a user types them, wrong input included.
#include <gmock/gmock.h>
#include <tests/cli/train_commands.h>
#include <tests/support/write_images.h>

namespace detente::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class ImageCommandsTest : public TrainCommandsTest {
 protected:
  // Folders of dark and of bright pictures, in sizes that differ.
  void SetUp() override {
    TinyRunTest::SetUp();
    for (int i = 0; i < 40; ++i) {
      const auto side = static_cast<std::size_t>(8 + i % 5);
      data::Image image = test::noise(side, side, 3, i);
      const bool dark = i % 2 == 0;
      for (auto& value : image.values) {
        value = static_cast<std::uint8_t>(dark ? value / 3 : 255 - value / 3);
      }
      const std::string name = (dark ? "dark \"1\"/" : "밝음/") + std::to_string(i);
      std::filesystem::create_directories(folder_ / "t" / (dark ? "dark \"1\"" : "밝음"));
      if (i % 4 < 2) {
        write_file_atomic(folder_ / "t" / (name + ".png"), test::png_file(image));
      } else {
        write_file_atomic(folder_ / "t" / (name + ".JPEG"), test::jpeg_file(image, JCS_RGB));
      }
    }
    write_file_atomic(recipe_path(),
                      "data: {kind: images, train: t, split: {dev: 0.25}, size: [8, 8], "
                      "resize: crop}\n"
                      "model: {channels: [4], hidden: 8}\n"
                      "tasks: [{name: light, column: label, head: classes, "
                      "class_names: ['dark \"1\"', 밝음]}]\n"
                      "optimizer: {lr: 0.01}\n"
                      "train: {epochs: 8, batch_size: 8}\n"
                      "threads: 1\n");
  }
};

TEST_F(ImageCommandsTest, TrainEvalPredict) {
  ASSERT_EQ(train_again(), 0) << err_.str();
  ASSERT_EQ(call({"eval", path("run"), "--data", path("t"), "--json"}), 0) << err_.str();
  const Json eval = Json::parse(out_.str());
  EXPECT_EQ(eval["rows"], 40);
  EXPECT_GT(eval["tasks"]["light"]["accuracy"].get<double>(), 0.9);
  // A folder without classes, and a list of it in another order, which names the same pictures.
  const std::string flat = path("t/밝음");
  ASSERT_EQ(call({"predict", path("run"), "--data", flat, "--out", path("p.csv")}), 0)
      << err_.str();
  EXPECT_THAT(read_file(path("p.csv")), StartsWith("image,light,light_probability\n1.png,밝음,"));
  write_file_atomic(folder_ / "list.tsv", "image\nt/밝음/3.JPEG\nt/밝음/1.png\n");
  ASSERT_EQ(call({"predict", path("run"), "--data", path("list.tsv"), "--out", "-"}), 0);
  EXPECT_THAT(out_.str(), HasSubstr("\nt/밝음/1.png\t밝음\t"));
}

TEST_F(ImageCommandsTest, WrongInputIsThreeAndLeavesNothing) {
  ASSERT_EQ(train_again(), 0) << err_.str();
  const std::string before = read_file(path("run/model.safetensors"));
  const std::string whole = read_file(path("t/밝음/1.png"));
  write_file_atomic(path("t/밝음/1.png"), whole.substr(0, whole.size() / 2));
  EXPECT_EQ(call({"train", path("tiny.yaml"), "--out", path("other"), "--quiet"}), 3);
  EXPECT_THAT(err_.str(), AllOf(HasSubstr("1.png"), HasSubstr("cut short")));
  EXPECT_FALSE(std::filesystem::exists(path("other")));
  EXPECT_EQ(train_again(), 3) << "--force";
  EXPECT_EQ(read_file(path("run/model.safetensors")), before);
  EXPECT_EQ(call({"predict", path("run"), "--data", path("t"), "--out", path("p.csv")}), 3);
  EXPECT_FALSE(std::filesystem::exists(path("p.csv")));
  write_file_atomic(path("t/밝음/1.png"), whole);
  EXPECT_EQ(train_again({"--set", "data.resize=none"}), 3);
  EXPECT_THAT(err_.str(), HasSubstr("data.resize"));
}

TEST_F(ImageCommandsTest, PredictionsNeverTakeThePlaceOfTheClassFile) {
  write_file_atomic(folder_ / "classes.csv", "label,kind\n\"dark \"\"1\"\"\",a\n밝음,b\n");
  ASSERT_EQ(train_again({"--set", "data.class_file=" + path("classes.csv")}), 0) << err_.str();
  EXPECT_EQ(call({"predict", path("run"), "--data", path("t"), "--out", path("classes.csv")}), 2);
  EXPECT_THAT(err_.str(), HasSubstr("is the data itself"));
  // What the classes are, the run knows by itself.
  std::filesystem::remove(folder_ / "classes.csv");
  EXPECT_EQ(call({"eval", path("run"), "--data", path("t")}), 0) << err_.str();
}

}  // namespace
}  // namespace detente::cli

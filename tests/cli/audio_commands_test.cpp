// SPDX-License-Identifier: Apache-2.0
// train, eval and predict on recordings as a user types them, wrong input included.
#include <gmock/gmock.h>
#include <tests/cli/train_commands.h>
#include <tests/support/write_sounds.h>

namespace detente::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class AudioCommandsTest : public TrainCommandsTest {
 protected:
  // Folders of low and of high tones, of several lengths.
  void SetUp() override {
    TinyRunTest::SetUp();
    for (int i = 0; i < 40; ++i) {
      const bool low = i % 2 == 0;
      const auto tone =
          test::tone(low ? 250 + 5 * i : 1500 + 20 * i, static_cast<std::size_t>(900 + 20 * i));
      const std::string name = std::string(low ? "low \"1\"/" : "높은/") + std::to_string(i);
      std::filesystem::create_directories((folder_ / "t" / name).parent_path());
      write_file_atomic(folder_ / "t" / (name + ".wav"), test::wav_file(test::pcm16(tone)));
    }
    write_file_atomic(recipe_path(),
                      "data: {kind: audio, train: t, split: {dev: 0.25}, mel: {mels: 16}}\n"
                      "model: {channels: [4], hidden: 8}\n"
                      "tasks: [{name: pitch, column: label, head: classes, classes: 2}]\n"
                      "optimizer: {lr: 0.01}\n"
                      "train: {epochs: 8, batch_size: 8}\n"
                      "threads: 1\n");
  }
};

TEST_F(AudioCommandsTest, TrainEvalPredict) {
  for (const char* kind : {"convnet", "convnet1d"}) {
    ASSERT_EQ(train_again({"--set",
                           std::string("model.kind=") + kind,
                           "--set",
                           "data.augment.shift=1",
                           "--set",
                           "data.augment.time_masks=1",
                           "--set",
                           "data.augment.time_width=2"}),
              0)
        << err_.str();
    ASSERT_EQ(call({"eval", path("run"), "--data", path("t"), "--json"}), 0) << err_.str();
    const Json eval = Json::parse(out_.str());
    EXPECT_EQ(eval["rows"], 40);
    EXPECT_GT(eval["tasks"]["pitch"]["accuracy"].get<double>(), 0.9) << kind;
    // A folder without classes, and a list of it in another order. Nobody listed the classes: their
    // names are the folders'.
    const std::string flat = path("t/높은");
    ASSERT_EQ(call({"predict", path("run"), "--data", flat, "--out", path("p.csv")}), 0)
        << err_.str();
    EXPECT_THAT(read_file(path("p.csv")), StartsWith("audio,pitch,pitch_probability\n1.wav,높은,"));
    write_file_atomic(folder_ / "list.tsv", "audio\nt/높은/3.wav\nt/low \"1\"/2.wav\n");
    ASSERT_EQ(call({"predict", path("run"), "--data", path("list.tsv"), "--out", "-"}), 0);
    EXPECT_THAT(out_.str(), HasSubstr("\nt/low \"1\"/2.wav\tlow \"1\"\t"));
    ASSERT_EQ(call({"export", path("run"), "--to", "onnx", "--out", path("m.onnx")}), 0)
        << err_.str();
    EXPECT_THAT(read_file(path("m.onnx")), HasSubstr("높은"));
  }
}

TEST_F(AudioCommandsTest, AStreamWithAnIndex) {
  std::string stream;
  std::string index = "offset,length,pitch\n";
  for (int i = 0; i < 40; ++i) {
    const auto tone = test::tone(i % 2 == 0 ? 300 : 1800, static_cast<std::size_t>(800 + i));
    index += std::to_string(stream.size() / 2) + "," + std::to_string(tone.size()) + "," +
             (i % 2 == 0 ? "low" : "high") + "\n";
    stream += test::pcm16(tone);
  }
  write_file_atomic(folder_ / "all.bin", stream);
  write_file_atomic(folder_ / "index.csv", index);
  write_file_atomic(recipe_path(),
                    "data: {kind: audio, train: index.csv, pcm: all.bin, rate: 8000, split: {dev: "
                    "0.25}, mel: {mels: 16}}\n"
                    "model: {channels: [4], hidden: 8}\n"
                    "tasks: [{name: pitch, head: classes, class_names: [low, high]}]\n"
                    "optimizer: {lr: 0.01}\n"
                    "train: {epochs: 4, batch_size: 8}\n"
                    "threads: 1\n");
  ASSERT_EQ(train_again(), 0) << err_.str();
  write_file_atomic(folder_ / "new.tsv", "offset\tlength\n800\t801\n");
  ASSERT_EQ(call({"predict", path("run"), "--data", path("new.tsv"), "--out", "-"}), 0)
      << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("\n800\t801\thigh\t"));
  EXPECT_EQ(call({"predict", path("run"), "--data", path("new.tsv"), "--out", path("all.bin")}), 2);
}

TEST_F(AudioCommandsTest, WrongInputIsThreeAndLeavesNothing) {
  ASSERT_EQ(train_again(), 0) << err_.str();
  const std::string before = read_file(path("run/model.safetensors"));
  const std::string whole = read_file(path("t/높은/1.wav"));
  write_file_atomic(path("t/높은/1.wav"), whole.substr(0, whole.size() / 2));
  EXPECT_EQ(call({"train", path("tiny.yaml"), "--out", path("other"), "--quiet"}), 3);
  EXPECT_THAT(err_.str(), AllOf(HasSubstr("1.wav"), HasSubstr("cut short")));
  EXPECT_FALSE(std::filesystem::exists(path("other")));
  EXPECT_EQ(train_again(), 3) << "--force";
  EXPECT_EQ(read_file(path("run/model.safetensors")), before);
  EXPECT_EQ(call({"predict", path("run"), "--data", path("t"), "--out", path("p.csv")}), 3);
  EXPECT_FALSE(std::filesystem::exists(path("p.csv")));
  write_file_atomic(path("t/높은/1.wav"), whole);
  EXPECT_EQ(train_again({"--set", "data.rate=16000"}), 3);
  EXPECT_THAT(err_.str(), HasSubstr("8000 samples a second; expected 16000"));
  EXPECT_EQ(train_again({"--set", "data.mel.fmax=5000"}), 2);
  EXPECT_THAT(err_.str(), HasSubstr("data.mel.fmax"));
  EXPECT_EQ(train_again({"--set", "model.kind=mlp", "--set", "model.widths=[4]"}), 2);
}

}  // namespace
}  // namespace detente::cli

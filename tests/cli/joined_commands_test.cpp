// SPDX-License-Identifier: Apache-2.0
// Examples of several parts as a user types them: a picture, a recording and numbers in one list.
#include <gmock/gmock.h>
#include <tests/cli/train_commands.h>
#include <tests/support/write_images.h>
#include <tests/support/write_sounds.h>

namespace detente::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class JoinedCommandsTest : public TrainCommandsTest {
 protected:
  // A bar that lies or stands, a tone that is low or high, two numbers. Some have no picture, others
  // no sound.
  void SetUp() override {
    TrainCommandsTest::SetUp();
    for (int way = 0; way < 2; ++way) {
      for (int i = 0; i < 8; ++i) {
        data::Image image = test::noise(8, 8, 1, 8 * way + i);
        for (auto& value : image.values) value = static_cast<std::uint8_t>(value / 8);
        const auto at = static_cast<std::size_t>(i % 7);
        for (std::size_t j = 0; j < 8; ++j) image.values[way == 1 ? at * 8 + j : j * 8 + at] = 230;
        write(name_of_picture(way, i), test::png_file(image));
        const auto tone =
            test::tone((way == 1 ? 1500 : 300) + 20 * i, static_cast<std::size_t>(700 + 9 * i));
        write(name_of_sound(way, i), test::wav_file(test::pcm16(tone)));
      }
    }
    write("list.csv", list(96, true));
    write_joined_recipe("");
  }
  static std::string name_of_picture(int way, int i) { return fmt::format("p{}-{}.png", way, i); }
  static std::string name_of_sound(int way, int i) { return fmt::format("s{}-{}.wav", way, i); }
  void write(const std::string& name, const std::string& content) {
    write_file_atomic(folder_ / name, content);
  }
  static std::string list(int rows, bool lacking) {
    Rng rng(3);
    std::string text = "image,audio,weight,length,way,pitch,differ\n";
    for (int i = 0; i < rows; ++i) {
      const int way = static_cast<int>(rng.below(2));
      const int pitch = static_cast<int>(rng.below(2));
      const bool blind = lacking && i % 12 == 5;
      const bool deaf = lacking && i % 12 == 9;
      text += fmt::format("{},{},{},{},{},{},{}\n",
                          blind ? "" : name_of_picture(way, i % 8),
                          deaf ? "" : name_of_sound(pitch, i % 7),
                          rng.below(9),
                          rng.below(9),
                          way == 1 ? "lies" : "stands",
                          pitch,
                          blind || deaf  ? ""
                          : way == pitch ? "0"
                                         : "1");
    }
    return text;
  }
  void write_joined_recipe(const std::string& data) {
    write("tiny.yaml",
          "data:\n  kind: joined\n  train: list.csv\n  split: {dev: 0.25}\n" +
              (data.empty()
                   ? std::string("  parts:\n"
                                 "    - {name: \"null\", kind: images}\n"
                                 "    - {name: 'the \"sound\": yes', kind: audio, mel: {mels: 8, "
                                 "hop: 20}}\n"
                                 "    - {name: numbers, kind: table}\n")
                   : data) +
              "model:\n"
              "  kind: joined\n"
              "  parts:\n"
              "    - {name: 'the \"sound\": yes', kind: convnet1d, channels: [8], hidden: 8}\n"
              "    - {name: \"null\", kind: convnet, channels: [4], hidden: 8}\n"
              "  widths: [16]\n"
              "tasks:\n"
              "  - {name: way, head: classes, class_names: [lies, stands]}\n"
              "  - {name: pitch, head: binary}\n"
              "  - {name: differ, head: binary}\n"
              "optimizer: {lr: 0.01}\n"
              "train: {epochs: 12, batch_size: 16}\n"
              "threads: 1\n");
  }
};

TEST_F(JoinedCommandsTest, TrainEvalPredictExplainExport) {
  for (const char* join : {"concat", "gated"}) {
    ASSERT_EQ(train_again({"--set", std::string("model.join=") + join}), 0) << err_.str();
    ASSERT_EQ(call({"eval", path("run"), "--json"}), 0) << err_.str();
    const Json eval = Json::parse(out_.str());
    EXPECT_EQ(eval["rows"], 24);
    EXPECT_GT(eval["tasks"]["way"]["accuracy"].get<double>(), 0.8) << join;
    EXPECT_GT(eval["tasks"]["pitch"]["accuracy"].get<double>(), 0.8) << join;
    // Each part by itself: what a task is about costs it most.
    ASSERT_EQ(call({"predict", path("run"), "--explain", "--json"}), 0) << err_.str();
    const Json explained = Json::parse(out_.str())["tasks"];
    EXPECT_EQ(explained["way"]["inputs"].size(), 3U);
    EXPECT_EQ(explained["way"]["inputs"][0]["input"], "null");
    EXPECT_EQ(explained["pitch"]["inputs"][0]["input"], "the \"sound\": yes");
    // Rows that lack a part are answered; so is a file in which all lack one.
    write("new.csv", "image,audio,weight,length\np1-0.png,,1,2\np0-1.png,,,2\n");
    ASSERT_EQ(call({"predict", path("run"), "--data", path("new.csv"), "--out", "-"}), 0)
        << err_.str();
    EXPECT_THAT(out_.str(), StartsWith("image\taudio\tweight\tlength\tway\t"));
    EXPECT_THAT(out_.str(), HasSubstr("\np1-0.png\t\t1\t2\t"));
    for (const char* kind : {"safetensors", "torchscript", "onnx"}) {
      ASSERT_EQ(call({"export", path("run"), "--to", kind, "--out", path("m")}), 0) << err_.str();
      EXPECT_THAT(read_file(path("m")), HasSubstr("joined.json"));
    }
  }
}

TEST_F(JoinedCommandsTest, RecipeIsCheckedShownAndReadBack) {
  ASSERT_EQ(call({"recipe", "check", path("tiny.yaml")}), 0) << err_.str();
  ASSERT_EQ(call({"recipe", "show", path("tiny.yaml")}), 0) << err_.str();
  const std::string shown = out_.str();
  // The part that the recipe's model leaves out is there with its default.
  EXPECT_THAT(shown, AllOf(HasSubstr("kind: mlp"), HasSubstr("name: \"null\"")));
  write("again.yaml", shown);
  ASSERT_EQ(call({"recipe", "show", path("again.yaml")}), 0) << err_.str();
  EXPECT_EQ(out_.str(), shown);
  ASSERT_EQ(call({"recipe", "show", path("tiny.yaml"), "--set", "model.parts.null.kind=resnet"}), 0)
      << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("kind: resnet"));
  ASSERT_EQ(call({"data", "check", path("tiny.yaml")}), 0) << err_.str();
  EXPECT_THAT(out_.str(), AllOf(HasSubstr("joined"), HasSubstr("weight"), HasSubstr("file")));
}

TEST_F(JoinedCommandsTest, ResumedEqualsNeverStopped) {
  expect_resumed_equals_whole("whole", "stopped", {"train.epochs=3", "engine.diagnose_every=2"});
  expect_resumed_equals_whole(
      "whole-gated",
      "stopped-gated",
      {"train.epochs=3", "model.join=gated", "model.parts.null.norm=batch", "model.sharing=mmoe"});
}

TEST_F(JoinedCommandsTest, WrongRecipesNameThePart) {
  const auto complaint = [&](const std::string& parts) {
    write_joined_recipe(parts);
    EXPECT_EQ(train_again(), 2) << parts << err_.str();
    return err_.str();
  };
  const std::string others =
      "    - {name: 'the \"sound\": yes', kind: audio}\n    - {name: numbers, kind: table}\n";
  EXPECT_THAT(complaint("  parts: []\n"), HasSubstr("data.parts"));
  EXPECT_THAT(complaint("  parts:\n    - {name: nul, kind: images}\n" + others),
              AllOf(HasSubstr("model.parts names 'null'"), HasSubstr("'nul'")));
  EXPECT_THAT(complaint("  parts:\n    - {name: \"null\"}\n" + others),
              AllOf(HasSubstr("'kind' is missing"), HasSubstr("'null'")));
  EXPECT_THAT(complaint("  parts:\n    - {name: \"null\", kind: dense}\n" + others),
              AllOf(HasSubstr("data.parts[0].kind"), HasSubstr("images")));
  EXPECT_THAT(complaint("  parts:\n    - {name: \"null\", kind: images, overlay: 20}\n" + others),
              HasSubstr("overlay"));
  EXPECT_THAT(complaint("  parts:\n    - {name: \"null\", kind: images, widht: 20}\n" + others),
              AllOf(HasSubstr("'widht'"), HasSubstr("data.parts[0]")));
  EXPECT_THAT(complaint("  parts:\n    - {kind: images}\n" + others), HasSubstr("has no name"));
  EXPECT_THAT(complaint("  parts:\n    - {name: numbers, kind: images}\n" + others),
              HasSubstr("called 'numbers'"));
  write_joined_recipe("");
  EXPECT_EQ(train_again({"--set", "model.parts.numbers.widths=[4]", "--set", "model.kind=mlp"}), 2);
  EXPECT_EQ(train_again({"--set", "model.parts.null.kind=mlp"}), 2);
  EXPECT_THAT(err_.str(), HasSubstr("convnet"));
}

TEST_F(JoinedCommandsTest, WrongDataIsThreeAndLeavesNothing) {
  ASSERT_EQ(train_again({"--set", "train.epochs=1"}), 0) << err_.str();
  const std::string before = read_file(path("run/model.safetensors"));
  const std::string whole = read_file(path("s0-1.wav"));
  write("s0-1.wav", whole.substr(0, whole.size() / 2));
  EXPECT_EQ(train_again(), 3);
  EXPECT_THAT(err_.str(), AllOf(HasSubstr("s0-1.wav"), HasSubstr("part 'the \"sound\": yes'")));
  EXPECT_EQ(read_file(path("run/model.safetensors")), before);
  write("s0-1.wav", whole);
  write("new.csv", "image,audio,weight,length\np0-0.png,s0-0.wav,1,2\n,,3,4\n");
  EXPECT_EQ(call({"predict", path("run"), "--data", path("new.csv"), "--out", "-"}), 0)
      << err_.str();
  write("new.csv", "image,weight,length\np0-0.png,1,2\n");
  EXPECT_EQ(call({"predict", path("run"), "--data", path("new.csv"), "--out", path("p.csv")}), 3);
  EXPECT_THAT(err_.str(), HasSubstr("audio"));
  EXPECT_FALSE(std::filesystem::exists(path("p.csv")));
  // A run whose record of its parts is damaged, then one whose parts are others.
  const std::string record = read_file(path("run/joined.json"));
  write("run/joined.json", record.substr(0, record.size() / 2));
  EXPECT_EQ(call({"eval", path("run")}), 3);
  EXPECT_EQ(call({"eval", path("run"), "--accept-changed"}), 3);
  EXPECT_THAT(err_.str(), HasSubstr("joined.json"));
}

TEST_F(JoinedCommandsTest, FilesOfAPartAreKept) {
  write("facts.csv", "who,size\nann,1\nbo,3\ncy,2\n");
  std::string people = "who,image,way,pitch,differ\n";
  for (int i = 0; i < 24; ++i) {
    people += fmt::format("{},{},{},{},{}\n",
                          i % 3 == 0   ? "ann"
                          : i % 3 == 1 ? "bo"
                                       : "cy",
                          name_of_picture(i % 2, i % 8),
                          i % 2 == 1 ? "lies" : "stands",
                          i % 3 == 1 ? 1 : 0,
                          i % 2);
  }
  write("list.csv", people);
  write_joined_recipe(
      "  parts:\n    - {name: \"null\", kind: images}\n"
      "    - {name: 'the \"sound\": yes', kind: table, file: facts.csv, key: who}\n");
  std::string recipe = read_file(path("tiny.yaml"));
  const std::string sound = "kind: convnet1d, channels: [8], hidden: 8";
  recipe.replace(recipe.find(sound), sound.size(), "widths: [8]");
  write("tiny.yaml", recipe);
  ASSERT_EQ(train_again({"--set", "train.epochs=2"}), 0) << err_.str();
  write("new.csv", "who,image\nzoe,p0-0.png\nbo,p1-1.png\n");
  ASSERT_EQ(call({"predict", path("run"), "--data", path("new.csv"), "--out", "-"}), 0)
      << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("\nzoe\tp0-0.png\t"));
  EXPECT_THAT(err_.str(), HasSubstr("missing for 1 of 2 rows"));
  const std::string facts = read_file(path("facts.csv"));
  EXPECT_EQ(call({"predict", path("run"), "--data", path("new.csv"), "--out", path("facts.csv")}),
            2);
  EXPECT_EQ(read_file(path("facts.csv")), facts);
}

}  // namespace
}  // namespace detente::cli

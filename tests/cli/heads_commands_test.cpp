// SPDX-License-Identifier: Apache-2.0
// The commands with ordered classes, labels, several values and ways of sharing.
#include <gmock/gmock.h>
#include <tests/cli/train_commands.h>

#include <string>

namespace detente::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class HeadsCommandsTest : public TrainCommandsTest {
 protected:
  void SetUp() override {
    TrainCommandsTest::SetUp();
    std::string text = "x,grade,tags,left,right\n";
    for (int i = 0; i < 60; ++i) {
      const int x = (i * 7) % 20;
      text += fmt::format("{},{},{},{},{}\n",
                          x,
                          x < 7    ? "low"
                          : x < 14 ? "mid"
                                   : "\"high, 고\"",
                          x % 3 == 0   ? "|"
                          : x % 2 == 0 ? "\"say \"\"a\"\"\""
                                       : "\"b|say \"\"a\"\"\"",
                          10 * x,
                          -x);
    }
    write_file_atomic(folder_ / "t.csv", text);
    write_file_atomic(recipe_path(),
                      "data: {kind: table, train: t.csv, split: {dev: 0.3}}\n"
                      "model: {widths: [16], sharing: cgc, expert_widths: [8]}\n"
                      "tasks:\n"
                      "  - {name: grade, head: ordinal, class_names: [low, mid, 'high, 고']}\n"
                      "  - {name: tags, head: labels, separator: '|', "
                      "class_names: ['say \"a\"', b]}\n"
                      "  - {name: place, columns: [left, right]}\n"
                      "train: {epochs: 1, batch_size: 16}\n"
                      "threads: 1\n");
  }
};

TEST_F(HeadsCommandsTest, TrainEvaluatePredictExportAndCompare) {
  ASSERT_EQ(train_tiny({"--quiet"}), 0) << err_.str();
  ASSERT_EQ(call({"eval", path("run"), "--json"}), 0) << err_.str();
  const Json tasks = Json::parse(out_.str())["tasks"];
  EXPECT_TRUE(tasks["grade"].contains("quadratic_kappa"));
  EXPECT_TRUE(tasks["tags"].contains("micro_f1"));
  EXPECT_TRUE(tasks["place"].contains("pearson"));

  ASSERT_EQ(call({"predict", path("run"), "--data", path("t.csv"), "--out", path("p.csv")}), 0)
      << err_.str();
  EXPECT_THAT(read_file(folder_ / "p.csv"),
              StartsWith("x,left,right,grade,grade_probability,tags,\"tags_say \"\"a\"\"\",tags_b,"
                         "place_left,place_right\n"));
  ASSERT_EQ(call({"predict", path("run"), "--data", path("t.csv"), "--out", path("p.jsonl")}), 0);
  const std::string lines = read_file(folder_ / "p.jsonl");
  const Json first = Json::parse(lines.substr(0, lines.find('\n')));
  EXPECT_TRUE(first["grade"].is_string());
  EXPECT_TRUE(first["tags"].is_string());
  EXPECT_TRUE(first["tags_say \"a\""].is_number());
  EXPECT_TRUE(first["place_right"].is_number());

  for (const char* kind : {"onnx", "torchscript", "safetensors"}) {
    EXPECT_EQ(call({"export", path("run"), "--to", kind, "--out", path("model")}), 0)
        << kind << err_.str();
  }
  EXPECT_EQ(call({"compare", path("run"), "--baseline"}), 0) << err_.str();
  EXPECT_THAT(out_.str(), AllOf(HasSubstr("quadratic_kappa"), HasSubstr("constant")));
  EXPECT_EQ(call({"data", "check", path("tiny.yaml")}), 0) << err_.str();
  EXPECT_THAT(out_.str(), AllOf(HasSubstr("tags.b"), HasSubstr("place.left"), HasSubstr("grade")));
  EXPECT_EQ(call({"inspect", path("run")}), 0) << err_.str();
  EXPECT_EQ(call({"recipe", "show", path("tiny.yaml")}), 0) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("task_experts"));
}

TEST_F(HeadsCommandsTest, PredictionsOfLabelsAreTargetsAgain) {
  ASSERT_EQ(train_tiny({"--quiet"}), 0) << err_.str();
  ASSERT_EQ(call({"predict", path("run"), "--data", path("t.csv"), "--out", path("p.csv")}), 0);
  // What was predicted is a file that the run can be measured on; of this column all is right.
  write_file_atomic(folder_ / "again.csv", read_file(folder_ / "p.csv"));
  ASSERT_EQ(call({"eval",
                  path("run"),
                  "--data",
                  path("again.csv"),
                  "--set",
                  "tasks.tags.metrics=[exact_match]",
                  "--json"}),
            0)
      << err_.str();
  EXPECT_EQ(Json::parse(out_.str())["tasks"]["tags"]["exact_match"], 1.0);
  EXPECT_EQ(Json::parse(out_.str())["tasks"]["grade"]["accuracy"], 1.0);
}

TEST_F(HeadsCommandsTest, NameTheCellThatIsWrong) {
  std::string text = read_file(folder_ / "t.csv");
  text += "3,mid,c,1,2\n";
  write_file_atomic(folder_ / "t.csv", text);
  EXPECT_EQ(train_tiny({"--quiet"}), 3);
  EXPECT_THAT(err_.str(), AllOf(HasSubstr("line 62"), HasSubstr("'c' is no label")));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "run"));
}

}  // namespace
}  // namespace detente::cli

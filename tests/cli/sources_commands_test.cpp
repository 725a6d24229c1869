// SPDX-License-Identifier: Apache-2.0
// A recipe whose tasks have files of their own, from check to prediction.
#include <gmock/gmock.h>
#include <tests/cli/train_commands.h>

#include <cmath>
#include <csignal>
#include <sstream>

namespace detente::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class SourcesCommandsTest : public TrainCommandsTest {
 protected:
  void SetUp() override {
    TrainCommandsTest::SetUp();
    write_file_atomic(folder_ / "big.csv", table("amount", 300, 1));
    write_file_atomic(folder_ / "big_dev.csv", table("amount", 60, 2));
    write_file_atomic(folder_ / "small.csv", table("good", 60, 3));
    write("");
  }

  // x, y and either amount = 2x + 100 or good = [x + y > 0], which the other file has not.
  static std::string table(const std::string& task, int rows, std::uint64_t seed) {
    Rng rng(seed);
    std::string text = "x,y," + task + "\n";
    for (int i = 0; i < rows; ++i) {
      const double x = rng.normal();
      const double y = rng.normal();
      text += std::to_string(x) + "," + std::to_string(y) + ",";
      text += task == "good" ? std::to_string(x + y > 0 ? 1 : 0) : std::to_string(2 * x + 100);
      text += "\n";
    }
    return text;
  }

  void write(const std::string& data) {
    write_file_atomic(recipe_path(),
                      "data:\n"
                      "  kind: table\n"
                      "  sources:\n"
                      "    - {name: big, train: big.csv, dev: big_dev.csv}\n"
                      "    - {name: small, train: small.csv, split: {dev: 0.3, test: 0.2}}\n" +
                          data +
                          "model: {widths: [16]}\n"
                          "tasks:\n"
                          "  - {name: amount, source: big, head: regression, metrics: [r2]}\n"
                          "  - {name: good, source: small, head: binary, metrics: [accuracy]}\n"
                          "optimizer: {lr: 0.02}\n"
                          "engine: {diagnose_every: 1}\n"
                          "train: {epochs: 6, batch_size: 20}\n"
                          "threads: 1\n");
  }
  Json summary() const { return Json::parse(read_file(folder_ / "run/summary.json")); }
};

TEST_F(SourcesCommandsTest, TrainsEvaluatesAndPredicts) {
  ASSERT_EQ(train_tiny({"--set", "data.sampler=square_root"}), 0) << err_.str();
  EXPECT_GT(summary()["tasks"]["amount"]["r2"].get<double>(), 0.7);
  EXPECT_GT(summary()["tasks"]["good"]["accuracy"].get<double>(), 0.7);
  EXPECT_EQ(summary()["train_rows"], 330);
  EXPECT_EQ(summary()["dev_rows"], 78);
  ASSERT_EQ(call({"eval", path("run"), "--json"}), 0) << err_.str();
  Json all = Json::parse(out_.str());
  EXPECT_EQ(all["rows"], 78);
  for (const char* task : {"amount", "good"}) {
    for (const auto& [name, value] : summary()["tasks"][task].items()) {
      EXPECT_NEAR(all["tasks"][task][name].get<double>(), value.get<double>(), 1e-5) << name;
    }
  }
  // The file of one source, which its columns tell.
  ASSERT_EQ(call({"eval", path("run"), "--data", path("big_dev.csv"), "--json"}), 0) << err_.str();
  Json one = Json::parse(out_.str());
  EXPECT_EQ(one["rows"], 60);
  EXPECT_FALSE(one["tasks"].contains("good"));
  EXPECT_NEAR(one["tasks"]["amount"]["r2"].get<double>(),
              summary()["tasks"]["amount"]["r2"].get<double>(),
              1e-5);
  // The part that one source alone has.
  ASSERT_EQ(call({"eval", path("run"), "--part", "test", "--json"}), 0) << err_.str();
  one = Json::parse(out_.str());
  EXPECT_EQ(one["rows"], 12);
  EXPECT_FALSE(one["tasks"].contains("amount"));
  // Inputs alone are enough for predictions, of all tasks.
  write_file_atomic(folder_ / "new.csv", "x,y\n1,2\n-1,0\n");
  ASSERT_EQ(call({"predict", path("run"), "--data", path("new.csv"), "--out", "-"}), 0)
      << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("x\ty\tamount\tgood\tgood_probability"));
  EXPECT_NE(call({"predict", path("run"), "--data", path("new.csv"), "--out", path("small.csv")}),
            0);
  EXPECT_THAT(err_.str(), HasSubstr("data itself"));
}

TEST_F(SourcesCommandsTest, TheSourceOfAFileIsNamedWhereItIsNotClear) {
  ASSERT_EQ(train_tiny({"--quiet", "--set", "train.epochs=1"}), 0) << err_.str();
  write_file_atomic(folder_ / "both.csv", "x,y,amount,good\n1,2,100,1\n0,1,101,0\n1,1,99,1\n");
  const auto eval = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"eval", path("run"), "--json"});
    return call(more);
  };
  EXPECT_EQ(eval({"--data", path("both.csv")}), 2);
  EXPECT_THAT(err_.str(), AllOf(HasSubstr("--source NAME"), HasSubstr("big, small")));
  EXPECT_EQ(eval({"--data", path("both.csv"), "--source", "small"}), 0) << err_.str();
  EXPECT_TRUE(Json::parse(out_.str())["tasks"].contains("good"));
  EXPECT_EQ(eval({"--data", path("both.csv"), "--source", "smal"}), 2);
  EXPECT_THAT(err_.str(), HasSubstr("small"));
  write_file_atomic(folder_ / "none.csv", "x,y\n1,2\n0,1\n");
  EXPECT_EQ(eval({"--data", path("none.csv")}), 2);
  EXPECT_THAT(err_.str(), HasSubstr("of none of data.sources"));
}

TEST_F(SourcesCommandsTest, ChecksSayWhatEachSourceHas) {
  EXPECT_EQ(call({"recipe", "check", path("tiny.yaml")}), 0) << err_.str();
  ASSERT_EQ(call({"data", "check", path("tiny.yaml")}), 0) << err_.str();
  EXPECT_THAT(out_.str(), AllOf(HasSubstr("Sources"), HasSubstr("small"), HasSubstr("300")));
  EXPECT_THAT(out_.str(), Not(HasSubstr("No training row has a target of both")));
  ASSERT_EQ(call({"data", "check", path("tiny.yaml"), "--json"}), 0);
  EXPECT_EQ(Json::parse(out_.str())["parts"][0]["sources"][1]["rows"], 30);
}

TEST_F(SourcesCommandsTest, RefusesRecipesThatCannotBe) {
  const auto refuse = [&](const std::vector<std::string>& set) {
    std::vector<std::string> args = {"recipe", "check", path("tiny.yaml")};
    for (const std::string& assignment : set) args.insert(args.end(), {"--set", assignment});
    EXPECT_EQ(call(args), 2) << set.front();
    return err_.str();
  };
  EXPECT_THAT(refuse({"tasks.good.source=smal"}), AllOf(HasSubstr("'good'"), HasSubstr("small")));
  EXPECT_THAT(refuse({"tasks.good.source=big"}), HasSubstr("no task is from the source 'small'"));
  EXPECT_THAT(refuse({"tasks.good.source=\"\""}), HasSubstr("'source' is missing"));
  EXPECT_THAT(refuse({"data.train=big.csv"}), HasSubstr("'data.train' and 'data.sources'"));
  EXPECT_THAT(refuse({"data.sampler=fair"}), HasSubstr("square_root"));
  EXPECT_THAT(refuse({"data.temperature=0"}), HasSubstr("temperature"));
  EXPECT_THAT(refuse({"data.sources=[]", "data.train=big.csv", "data.dev=big.csv"}),
              HasSubstr("there are no 'data.sources'"));
  EXPECT_THAT(refuse({"data.kind=graph"}), HasSubstr("data"));
}

TEST_F(SourcesCommandsTest, AFileThatIsWrongIsNamedWithItsSource) {
  write_file_atomic(folder_ / "small.csv", "x,y,good\n1,2,5\n1,2,5\n0,0,5\n3,4,5\n");
  EXPECT_EQ(train_tiny({"--quiet"}), 3);
  EXPECT_THAT(err_.str(), AllOf(HasSubstr("source 'small'"), HasSubstr("small.csv")));
  write_file_atomic(folder_ / "small.csv", "");
  EXPECT_EQ(train_tiny({"--quiet"}), 3);
  EXPECT_THAT(err_.str(), AllOf(HasSubstr("source 'small'"), HasSubstr("is empty")));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "run"));
}

TEST_F(SourcesCommandsTest, OneSourceIsPlainTraining) {
  write_file_atomic(recipe_path(),
                    "data: {kind: table, train: big.csv, dev: big_dev.csv}\n"
                    "model: {widths: [16]}\n"
                    "tasks: [{name: amount, head: regression}]\n"
                    "train: {epochs: 2, batch_size: 20}\n"
                    "threads: 1\n");
  ASSERT_EQ(train_tiny({"--quiet"}), 0) << err_.str();
  const std::string plain = read_file(folder_ / "run/metrics.jsonl");
  write_file_atomic(recipe_path(),
                    "data: {kind: table, sampler: equal,\n"
                    "       sources: [{name: big, train: big.csv, dev: big_dev.csv}]}\n"
                    "model: {widths: [16]}\n"
                    "tasks: [{name: amount, head: regression}]\n"
                    "train: {epochs: 2, batch_size: 20}\n"
                    "threads: 1\n");
  ASSERT_EQ(train_tiny({"--quiet", "--force"}), 0) << err_.str();
  const auto losses = [](const Json& lines) {
    Json found = Json::array();
    for (const Json& line : lines) {
      if (line["type"] == "step") found.push_back(line["losses"]);
    }
    return found;
  };
  write_file_atomic(folder_ / "plain.jsonl", plain);
  const Json first = losses(train::timeless(train::read_lines(folder_ / "plain.jsonl")));
  ASSERT_EQ(first.size(), 30U);
  EXPECT_EQ(first, losses(train::timeless(train::read_lines(folder_ / "run/metrics.jsonl"))));
}

TEST_F(SourcesCommandsTest, ATinySourceIsDrawnAsTheSamplerSays) {
  write_file_atomic(folder_ / "small.csv", table("good", 4, 5));
  ASSERT_EQ(train_tiny({"--quiet",
                        "--set",
                        "data.sources.small.split={dev: 0.25}",
                        "--set",
                        "data.sampler=equal",
                        "--set",
                        "train.epochs=2"}),
            0)
      << err_.str();
  // Every step has both tasks.
  for (const Json& line : train::read_lines(folder_ / "run/metrics.jsonl")) {
    if (line["type"] == "step") {
      EXPECT_TRUE(line["losses"]["good"].is_number()) << line;
    }
  }
}

TEST_F(SourcesCommandsTest, ResumedEqualsNeverStopped) {
  write("  sampler: temperature\n  temperature: 3\n");
  expect_resumed_equals_whole("whole", "stopped", {"train.epochs=3", "data.sources.small.batch=4"});
  // Within an epoch, too: a snapshot after every step.
  run("again", {"train.epochs=3", "data.sources.small.batch=4"});
  const auto stopped = run_with_trigger("middle",
                                        "step",
                                        [] { std::raise(SIGINT); },
                                        {"train.epochs=3", "data.sources.small.batch=4"});
  if (stopped.interrupted) {
    run("middle", {"train.epochs=3", "data.sources.small.batch=4"}, train::ExistingRun::kResume);
  }
  EXPECT_EQ(read_file(folder_ / "again/model.safetensors"),
            read_file(folder_ / "middle/model.safetensors"));
}

// The same rows as JSON lines: the same run, and the same answers.
TEST_F(SourcesCommandsTest, JsonLinesAreTablesLikeOthers) {
  const auto as_json = [](const std::string& csv) {
    std::istringstream in(csv);
    std::string line;
    std::getline(in, line);
    const std::string task = line.substr(4);
    std::string json;
    while (std::getline(in, line)) {
      const std::size_t first = line.find(',');
      const std::size_t second = line.find(',', first + 1);
      json += "{\"x\": " + line.substr(0, first) +
              ", \"y\": " + line.substr(first + 1, second - first - 1) + ", \"" + task +
              "\": " + line.substr(second + 1) + "}\n";
    }
    return json;
  };
  write_file_atomic(folder_ / "big.jsonl", as_json(table("amount", 300, 1)));
  ASSERT_EQ(train_tiny({"--quiet", "--set", "train.epochs=1"}), 0) << err_.str();
  const std::string fitted = read_file(folder_ / "run/columns.json");
  ASSERT_EQ(train_tiny({"--quiet",
                        "--force",
                        "--set",
                        "train.epochs=1",
                        "--set",
                        "data.sources.big.train=" + path("big.jsonl")}),
            0)
      << err_.str();
  EXPECT_EQ(read_file(folder_ / "run/columns.json"), fitted);
  write_file_atomic(folder_ / "new.csv", "x,y\n1.5,2\n-1,0\n");
  write_file_atomic(folder_ / "new.jsonl", "{\"x\": 1.5, \"y\": 2}\n{\"y\": 0, \"x\": -1}\n");
  std::string answers[2];
  for (const bool json : {false, true}) {
    ASSERT_EQ(
        call(
            {"predict", path("run"), "--data", path(json ? "new.jsonl" : "new.csv"), "--out", "-"}),
        0)
        << err_.str();
    answers[json ? 1 : 0] = out_.str();
  }
  EXPECT_EQ(answers[0], answers[1]);
  write_file_atomic(folder_ / "new.jsonl", "{\"x\": 1.5, \"y\": 2}\n{\"x\": {\"a\": 1}}\n");
  EXPECT_EQ(call({"predict", path("run"), "--data", path("new.jsonl"), "--out", "-"}), 3);
  EXPECT_THAT(err_.str(), AllOf(HasSubstr("line 2"), HasSubstr("key 'x'")));
}

TEST_F(SourcesCommandsTest, ATaskAloneLeavesTheOtherSourceOut) {
  ASSERT_EQ(train_tiny({"--quiet", "--set", "train.tasks=[good]", "--set", "train.epochs=1"}), 0)
      << err_.str();
  EXPECT_EQ(summary()["train_rows"], 30);
  EXPECT_EQ(call({"eval", path("run")}), 0) << err_.str();
}

}  // namespace
}  // namespace detente::cli

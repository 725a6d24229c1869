// SPDX-License-Identifier: Apache-2.0
// eval and predict: the rows they are given, and where predictions go.
#include <gmock/gmock.h>
#include <tests/cli/train_commands.h>
#include <tests/support/standard_input.h>

#include <algorithm>

namespace detente::cli {
namespace {

using ::testing::HasSubstr;

using RowCommandsTest = TrainCommandsTest;

TEST_F(RowCommandsTest, PredictsSentencesWithoutTargets) {
  ASSERT_EQ(train_tiny({"--quiet"}), 0);
  write_file_atomic(folder_ / "new.tsv",
                    "sentence2\tsentence1\n새가 난다\t새가 난다\n비가\t산이\n");
  ASSERT_EQ(call({"predict", path("run"), "--data", path("new.tsv"), "--out", path("p.tsv")}), 0)
      << err_.str();
  EXPECT_THAT(read_file(folder_ / "p.tsv"),
              ::testing::StartsWith(
                  "sentence1\tsentence2\tscore\tsame\tsame_probability\n새가 난다\t새가 난다\t"));
  ASSERT_EQ(call({"predict", path("run"), "--data", path("new.tsv"), "--out", path("p.jsonl")}), 0);
  const std::string lines = read_file(folder_ / "p.jsonl");
  const Json first = Json::parse(lines.substr(0, lines.find('\n')));
  EXPECT_TRUE(first["score"].is_number());
  EXPECT_EQ(first["sentence1"], "새가 난다");
  ASSERT_EQ(call({"predict",
                  path("run"),
                  "--data",
                  path("new.tsv"),
                  "--out",
                  path("p.csv"),
                  "--no-inputs"}),
            0);
  EXPECT_THAT(read_file(folder_ / "p.csv"), ::testing::StartsWith("score,same,same_probability\n"));
  EXPECT_EQ(call({"predict", path("run"), "--explain", "--no-inputs"}), 2);
}

TEST_F(RowCommandsTest, PredictionsTakeTheirFormFromTheEnding) {
  ASSERT_EQ(train_tiny({"--quiet"}), 0);
  const auto predict = [&](const std::string& name) {
    return call({"predict", path("run"), "--data", path("dev.tsv"), "--out", path(name)});
  };
  EXPECT_EQ(predict("p.csv"), 0) << err_.str();
  EXPECT_THAT(read_file(folder_ / "p.csv"),
              ::testing::StartsWith("sentence1,sentence2,score,same,same_probability\n"));
  for (const char* name : {"p.TSV", "p.tab", "p.txt"}) {
    EXPECT_EQ(predict(name), 0);
    EXPECT_THAT(read_file(folder_ / name), ::testing::StartsWith("sentence1\tsentence2\t"));
  }
  for (const char* name : {"p.json", "p", "p.csv.gz", "p.parquet"}) {
    EXPECT_EQ(predict(name), 2) << name;
    EXPECT_THAT(err_.str(), HasSubstr("expected .tsv, .csv or .jsonl"));
    EXPECT_FALSE(std::filesystem::exists(folder_ / name));
  }
}

TEST_F(RowCommandsTest, DataFormatHoldsForEvalAndPredictToo) {
  ASSERT_EQ(train_tiny({"--quiet"}), 0);
  write_file_atomic(folder_ / "new.tsv",
                    "sentence1,sentence2,score,same\n\"새가, 난다\",비가,1,0\n산이,높다,2,1\n");
  const std::vector<std::string> csv = {"--set", "data.format=csv"};
  const auto with = [](std::vector<std::string> args, const std::vector<std::string>& more) {
    args.insert(args.end(), more.begin(), more.end());
    return args;
  };
  const std::vector<std::string> eval = {"eval", path("run"), "--data", path("new.tsv"), "--json"};
  const std::vector<std::string> predict = {
      "predict", path("run"), "--data", path("new.tsv"), "--out", "-"};
  EXPECT_EQ(call(eval), 3);
  EXPECT_EQ(call(predict), 3);
  EXPECT_EQ(call(with(eval, csv)), 0) << err_.str();
  EXPECT_EQ(Json::parse(out_.str())["rows"], 2);
  EXPECT_EQ(call(with(predict, csv)), 0) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("\n새가, 난다\t비가\t"));
}

TEST_F(RowCommandsTest, ReadsRowsFromStandardInput) {
  ASSERT_EQ(train_tiny({"--quiet"}), 0);
  write_file_atomic(folder_ / "rows", "sentence1,sentence2,score,same\n\"새가, 난다\",비가,1,0\n");
  const std::vector<std::string> predict = {"predict", path("run"), "--data", "-", "--out", "-"};
  const auto with = [&](std::vector<std::string> args, const std::vector<std::string>& more) {
    args.insert(args.end(), more.begin(), more.end());
    const test::StandardInput input(path("rows"));
    return call(args);
  };
  EXPECT_EQ(with(predict, {"--format", "csv"}), 0) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("\n새가, 난다\t비가\t"));
  EXPECT_EQ(with(predict, {"--set", "data.format=csv"}), 0) << err_.str();
  EXPECT_EQ(with(predict, {}), 2);
  EXPECT_THAT(err_.str(), HasSubstr("--format tsv or --format csv"));
  EXPECT_EQ(with(predict, {"--format", "tsv"}), 3);
  EXPECT_THAT(err_.str(), HasSubstr("'standard input' has no column"));
  EXPECT_EQ(with(predict, {"--format", "xml"}), 2);
  EXPECT_EQ(with({"eval", path("run"), "--data", "-", "--format", "csv"}, {}), 0) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("standard input, 1 rows"));
  EXPECT_EQ(with({"eval", path("run"), "--format", "csv"}, {}), 2);
}

TEST_F(RowCommandsTest, EvalSaysThatTheRowsHaveChangedSinceTheTraining) {
  ASSERT_EQ(train_tiny({"--quiet"}), 0);
  const std::string dev = read_file(folder_ / "dev.tsv");
  const auto evaluate = [&](const std::vector<std::string>& more) {
    std::vector<std::string> args = {"eval", path("run")};
    args.insert(args.end(), more.begin(), more.end());
    EXPECT_EQ(call(args), 0) << err_.str();
    return err_.str();
  };
  const std::vector<std::vector<std::string>> own = {
      {}, {"--json"}, {"--data", path("dev.tsv")}, {"--data", path("./dev.tsv"), "--json"}};
  for (const auto& more : own) EXPECT_EQ(evaluate(more), "");
  EXPECT_EQ(evaluate({"--part", "train"}), "");
  EXPECT_EQ(evaluate({"--data", path("train.tsv")}), "") << "rows that are others on purpose";

  write_file_atomic(folder_ / "dev.tsv", dev.substr(0, dev.rfind('\n', dev.size() - 2) + 1));
  for (const auto& more : own) {
    const std::string said = evaluate(more);
    EXPECT_THAT(said, HasSubstr("dev.tsv' are not those that the run was validated with"));
    EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1);
  }
  EXPECT_EQ(evaluate({"--part", "train"}), "");
  EXPECT_EQ(evaluate({"--accept-changed"}), "");
  EXPECT_EQ(evaluate({"--set", "data.dev=" + path("train.tsv")}), "");
  write_file_atomic(folder_ / "train.tsv", dev);
  EXPECT_THAT(evaluate({"--part", "train"}), HasSubstr("not those that the run was trained with"));
  std::filesystem::remove_all(folder_ / "run/snapshots");  // a copy that is for use alone
  EXPECT_EQ(evaluate({}), "");
}

TEST_F(RowCommandsTest, ARunThatHasEndedIsNotTrainedAgainForWantOfASnapshot) {
  ASSERT_EQ(train_tiny({"--quiet"}), 0);
  std::filesystem::remove_all(folder_ / "run/snapshots");
  const std::string model = read_file(folder_ / "run/model.safetensors");
  EXPECT_EQ(train_tiny({"--quiet", "--resume"}), 2);
  EXPECT_THAT(err_.str(), HasSubstr("has ended and has no snapshot"));
  EXPECT_EQ(read_file(folder_ / "run/model.safetensors"), model);
  EXPECT_EQ(train_tiny({"--quiet", "--force"}), 0);
}

TEST_F(RowCommandsTest, APipeInARunsFolderIsRefusedAndNotWaitedFor) {
  ASSERT_EQ(train_tiny({"--quiet"}), 0);
  for (const char* name : {"summary.json", "metrics.jsonl", "manifest.json", "recipe.yaml"}) {
    const auto path_of = folder_ / "run" / name;
    std::filesystem::rename(path_of, folder_ / "kept");
    ASSERT_EQ(::mkfifo(path_of.c_str(), 0600), 0);
    for (const char* command : {"inspect", "report", "eval"}) {
      EXPECT_EQ(call({command, path("run")}), 3) << command << " " << name;
      EXPECT_THAT(err_.str(), HasSubstr("is a pipe")) << command << " " << name;
    }
    EXPECT_EQ(train_tiny({"--quiet", "--resume"}), 3) << name;
    std::filesystem::remove(path_of);
    std::filesystem::rename(folder_ / "kept", path_of);
  }
}

TEST_F(RowCommandsTest, PredictionsNeverTakeThePlaceOfTheirSource) {
  ASSERT_EQ(train_tiny({"--quiet"}), 0);
  for (const char* name :
       {"dev.tsv", "train.tsv", "run/metrics.jsonl", "run/tokenizer/vocab.txt"}) {
    const std::string before = read_file(folder_ / name);
    EXPECT_EQ(call({"predict", path("run"), "--data", path("dev.tsv"), "--out", path(name)}), 2)
        << name;
    EXPECT_THAT(err_.str(), HasSubstr("Name another file"));
    EXPECT_EQ(read_file(folder_ / name), before);
  }
  EXPECT_EQ(call({"predict", path("run"), "--data", path("dev.tsv"), "--out", path("run/p.tsv")}),
            0);
}

TEST_F(RowCommandsTest, RefusesTsvForClassNamesItCannotHold) {
  write_file_atomic(folder_ / "words.csv", "x,kind\n1,\"a\tb\"\n2,c\n1,\"a\tb\"\n2,c\n3,c\n");
  write_file_atomic(folder_ / "words.yaml",
                    "data: {kind: table, train: words.csv, split: {dev: 0.2}}\n"
                    "tasks: [{name: kind, head: classes, class_names: [\"a\\tb\", c]}]\n"
                    "train: {epochs: 1}\n");
  ASSERT_EQ(call({"train", path("words.yaml"), "--out", path("run"), "--quiet"}), 0) << err_.str();
  EXPECT_EQ(call({"predict", path("run"), "--data", path("words.csv"), "--out", "-"}), 2);
  EXPECT_THAT(err_.str(), HasSubstr("\"a\\tb\""));
  EXPECT_EQ(call({"predict", path("run"), "--data", path("words.csv"), "--out", path("p.csv")}), 0);
}

TEST_F(RowCommandsTest, ExplainsWhichInputsMatter) {
  std::string rows = "a,b \x1b[31m,y\n";
  for (int i = 0; i < 60; ++i) rows += fmt::format("{},{},{}\n", i % 7, (i * 5) % 11, i % 7);
  write_file_atomic(folder_ / "t.csv", rows);
  write_file_atomic(folder_ / "t.yaml",
                    "data: {kind: table, train: t.csv, split: {dev: 0.3}}\n"
                    "tasks: [{name: y, head: regression}]\n"
                    "optimizer: {lr: 0.02}\ntrain: {epochs: 20, batch_size: 8}\nthreads: 1\n");
  ASSERT_EQ(call({"train", path("t.yaml"), "--out", path("run"), "--quiet"}), 0) << err_.str();
  ASSERT_EQ(call({"predict", path("run"), "--explain"}), 0) << err_.str();
  EXPECT_LT(out_.str().find("\na "), out_.str().find("\nb "));
  EXPECT_EQ(out_.str().find('\x1b'), std::string::npos);
  ASSERT_EQ(call({"predict", path("run"), "--explain", "--json"}), 0);
  const Json own = Json::parse(out_.str());
  EXPECT_EQ(own["tasks"]["y"]["inputs"][0]["input"], "a");
  EXPECT_GT(own["tasks"]["y"]["inputs"][0]["mean"], own["tasks"]["y"]["inputs"][1]["mean"]);
  // Rows without the target.
  write_file_atomic(folder_ / "new.csv", "a,b \x1b[31m\n1,2\n5,3\n2,2\n");
  ASSERT_EQ(call({"predict", path("run"), "--explain", "--json", "--data", path("new.csv")}), 0);
  EXPECT_EQ(Json::parse(out_.str())["tasks"]["y"]["metric"], "change");
  EXPECT_EQ(Json::parse(out_.str())["rows"], 3);
  // One row has no other to exchange with; answers need both flags.
  write_file_atomic(folder_ / "one.csv", "a,b \x1b[31m\n1,2\n");
  EXPECT_EQ(call({"predict", path("run"), "--explain", "--data", path("one.csv")}), 2);
  EXPECT_EQ(call({"predict", path("run"), "--data", path("new.csv")}), 2);
  EXPECT_EQ(call({"predict", path("run"), "--out", path("p.csv")}), 2);
}

TEST_F(RowCommandsTest, SentencesHaveNoColumnsToExplain) {
  ASSERT_EQ(train_tiny({"--quiet"}), 0);
  EXPECT_EQ(call({"predict", path("run"), "--explain"}), 2);
  EXPECT_THAT(err_.str(), HasSubstr("expected a table"));
}

}  // namespace
}  // namespace detente::cli

// SPDX-License-Identifier: Apache-2.0
// train, eval, compare and recipe as a user types them, wrong input included.
#include <detente/config/tree.h>
#include <detente/data/table.h>
#include <gmock/gmock.h>
#include <tests/cli/train_commands.h>

#include <algorithm>

namespace detente::cli {
namespace {

using ::testing::HasSubstr;

TEST_F(TrainCommandsTest, TrainPrintsATableAndWhereTheReportLies) {
  EXPECT_EQ(train_tiny(), 0) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("pearson"));
  EXPECT_THAT(out_.str(), HasSubstr("report.html"));
  EXPECT_THAT(err_.str(), HasSubstr("epoch 3/3"));
}

TEST_F(TrainCommandsTest, QuietIsSilentAndJsonIsJson) {
  EXPECT_EQ(train_tiny({"--quiet"}), 0);
  EXPECT_EQ(out_.str() + err_.str(), "");
  EXPECT_EQ(train_tiny({"--quiet", "--json", "--force"}), 0);
  EXPECT_EQ(Json::parse(out_.str())["status"], "finished");
}

TEST_F(TrainCommandsTest, RefusesAUsedFolder) {
  EXPECT_EQ(train_tiny({"--quiet"}), 0);
  EXPECT_EQ(train_tiny({"--quiet"}), 2);
  EXPECT_THAT(err_.str(), HasSubstr("--resume"));
  EXPECT_EQ(train_tiny({"--quiet", "--force"}), 0);
  EXPECT_EQ(train_tiny({"--quiet", "--resume"}), 0);
  EXPECT_EQ(train_tiny({"--resume", "--force"}), 2);
}

TEST_F(TrainCommandsTest, EvalGivesTheMetricsOfTheSummary) {
  ASSERT_EQ(train_tiny({"--quiet"}), 0);
  ASSERT_EQ(call({"eval", path("run"), "--json"}), 0) << err_.str();
  const Json eval = Json::parse(out_.str());
  const Json summary = Json::parse(read_file(folder_ / "run/summary.json"));
  EXPECT_EQ(eval["tasks"], summary["tasks"]);
  EXPECT_EQ(eval["rows"], 40);
  ASSERT_EQ(call({"eval", path("run"), "--data", path("train.tsv"), "--json"}), 0);
  EXPECT_EQ(Json::parse(out_.str())["rows"], 96);
}

TEST_F(TrainCommandsTest, EvalWritesAPageOfWhatWasAnswered) {
  ASSERT_EQ(train_tiny({"--quiet"}), 0);
  ASSERT_EQ(call({"eval", path("run"), "--data", path("train.tsv"), "--out", path("p.html")}), 0)
      << err_.str();
  const std::string page = read_file(folder_ / "p.html");
  EXPECT_THAT(page, HasSubstr("train.tsv"));
  EXPECT_THAT(page, HasSubstr("96 rows"));
  EXPECT_THAT(page, HasSubstr("same: confusion matrix"));
  EXPECT_THAT(page, HasSubstr("score: predicted against true"));
  EXPECT_EQ(call({"eval", path("run"), "--out", path("p.txt")}), 2);
  EXPECT_THAT(err_.str(), HasSubstr("expected FILE.html"));
  EXPECT_EQ(call({"eval", path("run"), "--out", path("run/report.html")}), 2);
  EXPECT_THAT(err_.str(), HasSubstr("a file of the run itself"));
  EXPECT_EQ(call({"eval", path("run"), "--out", path("none/p.html")}), 3);
}

TEST_F(TrainCommandsTest, ExportWritesOneFileAndNothingOfTheRun) {
  ASSERT_EQ(train_tiny({"--quiet"}), 0);
  const auto write = [&](const std::string& to, const std::string& out) {
    return call({"export", path("run"), "--to", to, "--out", out});
  };
  for (const char* kind : {"safetensors", "torchscript", "onnx"}) {
    EXPECT_EQ(write(kind, path(std::string("m.") + kind)), 0) << err_.str();
    EXPECT_THAT(read_file(folder_ / (std::string("m.") + kind)), HasSubstr("detente-model-1"));
  }
  EXPECT_EQ(write("keras", path("m")), 2);
  EXPECT_THAT(err_.str(), HasSubstr("torchscript"));
  const std::string model = read_file(folder_ / "run/model.safetensors");
  EXPECT_EQ(write("safetensors", path("run/model.safetensors")), 2);
  EXPECT_EQ(write("onnx", path("train.tsv")), 2);
  EXPECT_THAT(err_.str(), HasSubstr("would be gone"));
  EXPECT_EQ(read_file(folder_ / "run/model.safetensors"), model);
  EXPECT_EQ(call({"export", path("nothing"), "--to", "onnx", "--out", path("m")}), 3);
}

TEST_F(TrainCommandsTest, PredictionsOfOneNameAreRefusedWithTheRecipe) {
  EXPECT_EQ(
      call({"recipe", "check", path("tiny.yaml"), "--set", "tasks.score.name=same_probability"}),
      2);
  EXPECT_THAT(err_.str(), HasSubstr("have a column 'same_probability', and so has"));
  EXPECT_EQ(call({"recipe", "check", path("tiny.yaml"), "--set", "tasks.score.name=sentence1"}), 2);
  EXPECT_THAT(err_.str(), HasSubstr("and so has an input column"));
  EXPECT_EQ(call({"recipe", "check", path("tiny.yaml"), "--set", "data.text_b=sentence1"}), 2);
  EXPECT_EQ(call({"recipe", "check", path("tiny.yaml"), "--set", "tasks.score.name=probability"}),
            0);
}

TEST_F(TrainCommandsTest, WeightsThatAreNoNumbersAreFourAndNamed) {
  ASSERT_EQ(train_tiny({"--quiet"}), 0);
  std::string model = read_file(folder_ / "run/model.safetensors");
  // The last number of the file, as NaN and as infinity.
  for (const char* bits : {"\x01\x02\xc0\x7f", "\x01\x02\x80\xff"}) {
    model.replace(model.size() - 4, 4, bits);
    if (bits[2] == '\x80') model.replace(model.size() - 4, 2, std::string(2, '\0'));
    write_file_atomic(folder_ / "run/model.safetensors", model);
    for (std::vector<std::string> args :
         {std::vector<std::string>{
              "predict", path("run"), "--data", path("dev.tsv"), "--out", path("p.jsonl")},
          std::vector<std::string>{"eval", path("run"), "--json"}}) {
      EXPECT_EQ(call(args), 3);
      EXPECT_THAT(err_.str(), HasSubstr("--accept-changed"));
      args.emplace_back("--accept-changed");
      EXPECT_EQ(call(args), 4);
      EXPECT_THAT(err_.str(), ::testing::ContainsRegex("'[a-z0-9_.]+' in '.*model.safetensors'"));
      EXPECT_EQ(out_.str(), "");
    }
  }
  EXPECT_FALSE(std::filesystem::exists(folder_ / "p.jsonl"));
}

TEST_F(TrainCommandsTest, QuietSaysWhatIsDamagedAndAcceptsItWhenTold) {
  ASSERT_EQ(train_tiny({"--quiet"}), 0);
  const auto newest = folder_ / "run/snapshots/step-18/optimizer.safetensors";
  ASSERT_TRUE(std::filesystem::exists(newest));
  std::filesystem::resize_file(newest, std::filesystem::file_size(newest) - 1);
  EXPECT_EQ(train_tiny({"--quiet", "--resume"}), 0) << err_.str();
  EXPECT_THAT(err_.str(), HasSubstr("damaged-step-18"));

  const auto vocabulary = folder_ / "run/tokenizer/vocab.txt";
  const std::string whole = read_file(vocabulary);
  write_file_atomic(vocabulary, whole.substr(0, whole.size() - 2));
  EXPECT_EQ(train_tiny({"--quiet", "--resume"}), 3);
  EXPECT_THAT(err_.str(), HasSubstr("tokenizer/vocab.txt"));
  EXPECT_EQ(train_tiny({"--quiet", "--resume", "--accept-changed"}), 0) << err_.str();
  EXPECT_EQ(read_file(vocabulary), whole);
}

TEST_F(TrainCommandsTest, ResumeSaysWhichLinesOfTheLogItLeftOut) {
  ASSERT_EQ(train_tiny({"--quiet", "--set", "train.epochs=2"}), 0);
  const std::string log = read_file(folder_ / "run/metrics.jsonl");
  const std::size_t second = log.find('\n') + 1;
  write_file_atomic(folder_ / "run/metrics.jsonl",
                    log.substr(0, second) + "\x01{{\n" + log.substr(second) + "{\"type\":\"st");
  ASSERT_EQ(train_tiny({"--resume"}), 0) << err_.str();
  EXPECT_THAT(err_.str(), ::testing::ContainsRegex("warning: lines 2, [0-9]+ of metrics.jsonl"));
  for (const Json& line : train::read_lines(folder_ / "run/metrics.jsonl")) {
    EXPECT_TRUE(line.is_object());
  }
}

TEST_F(TrainCommandsTest, WordsOfARunReachATerminalAsTextOnly) {
  const std::string evil = "\x1b[31mred\x07";
  const std::string out = path("run" + evil);
  const auto expect_text = [&] {
    EXPECT_THAT(out_.str() + err_.str(), ::testing::Not(::testing::ContainsRegex("\x1b|\x07")));
    EXPECT_THAT(out_.str() + err_.str(), HasSubstr("\\x1b[31mred"));
  };
  ASSERT_EQ(call({"train", path("tiny.yaml"), "--out", out, "--set", "train.epochs=1"}), 0)
      << err_.str();
  expect_text();
  EXPECT_EQ(call({"train", path("tiny.yaml"), "--out", out}), 2);
  expect_text();
  EXPECT_EQ(call({"predict", out, "--data", path("dev.tsv"), "--out", path(evil + ".csv")}), 0);
  expect_text();
  EXPECT_EQ(call({"compare", out, "--out", path(evil + ".html")}), 0);
  expect_text();
  EXPECT_EQ(call({"recipe", "check", path("tiny.yaml"), "--set", "tasks.score.name=" + evil}), 2);
  expect_text();
  EXPECT_EQ(train_on("sentence1\tsentence2\tscore\tsame\n가\t나\t" + evil + "\t0\n"), 3);
  expect_text();
}

TEST_F(TrainCommandsTest, ComparesRunsWithABaseline) {
  ASSERT_EQ(train_tiny({"--quiet"}), 0);
  ASSERT_EQ(call({"train",
                  path("tiny.yaml"),
                  "--out",
                  path("ew"),
                  "--quiet",
                  "--set",
                  "balance.method=ew"}),
            0);
  ASSERT_EQ(call({"compare", path("run"), path("ew"), "--baseline", "--out", path("c.html")}), 0)
      << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("tf-idf"));
  EXPECT_THAT(read_file(folder_ / "c.html"), HasSubstr("cagrad"));
}

TEST_F(TrainCommandsTest, RecipeCheckAndShow) {
  EXPECT_EQ(call({"recipe", "check", path("tiny.yaml")}), 0);
  EXPECT_EQ(call({"recipe", "show", path("tiny.yaml"), "--set", "seed=9"}), 0);
  EXPECT_THAT(out_.str(), HasSubstr("seed: 9"));
  EXPECT_EQ(call({"recipe", "check", path("tiny.yaml"), "--set", "sed=9"}), 2);
  EXPECT_THAT(err_.str(), HasSubstr("Did you mean 'seed'?"));
  EXPECT_EQ(call({"recipe", "check", path("none.yaml")}), 3);
  EXPECT_EQ(call({"recipe", "check", path("tiny.yaml"), "--set", "data.text_b=''"}), 2);
  EXPECT_THAT(err_.str(), HasSubstr("'data.text_b' is empty"));
  EXPECT_EQ(call({"recipe", "check", path("tiny.yaml"), "--set", "engine.surgery=layers"}), 0);
  EXPECT_THAT(err_.str(), HasSubstr("'engine.granularity' now"));
}

TEST_F(TrainCommandsTest, UsageErrorsAreTwo) {
  EXPECT_EQ(call({"train"}), 2);
  EXPECT_EQ(train_tiny({"--quite"}), 2);
  EXPECT_THAT(err_.str(), HasSubstr("Did you mean '--quiet'?"));
  EXPECT_EQ(train_tiny({"--set", "train.epochs"}), 2);
  EXPECT_EQ(train_tiny({"--set", "device=cdua"}), 2);
  EXPECT_EQ(call({"eval"}), 2);
  EXPECT_EQ(call({"predict", path("run"), "--dat", "x.tsv", "--out", "-"}), 2);
  EXPECT_THAT(err_.str(), HasSubstr("'--dat' is not known here. Did you mean '--data'?"));
  EXPECT_EQ(train_tiny({"--learning-rate", "3"}), 2);
  EXPECT_THAT(
      err_.str(),
      HasSubstr("'--learning-rate' is not known here. What a recipe holds is set by --set"));
  EXPECT_EQ(call({"predict", "--dta", "x.tsv", path("run"), "--out", "-"}), 2);
  EXPECT_THAT(err_.str(), HasSubstr("Did you mean '--data'?"));
  EXPECT_EQ(call({"recipe", "chekc", path("tiny.yaml")}), 2);
  EXPECT_THAT(err_.str(), HasSubstr("'chekc' is not a command. Did you mean 'check'?"));
  EXPECT_EQ(train_tiny({"--set", "tasks.scroe.weight=1"}), 2);
  EXPECT_THAT(err_.str(), HasSubstr("expected one of: score, same. Did you mean 'score'?"));
}

TEST_F(TrainCommandsTest, DataErrorsAreThreeAndNameThePlace) {
  const std::string header = "sentence1\tsentence2\tscore\tsame\n";
  EXPECT_EQ(train_on(""), 3);
  EXPECT_THAT(err_.str(), HasSubstr("train.tsv"));
  EXPECT_EQ(train_on(header), 3);
  EXPECT_EQ(train_on("sentence1\tsentence2\tscor\tsame\n가\t나\t1\t0\n"), 3);
  EXPECT_THAT(err_.str(), HasSubstr("'scor'"));
  EXPECT_EQ(train_on(header + "가\t나\thigh\t0\n"), 3);
  EXPECT_THAT(err_.str(), HasSubstr("high"));
  EXPECT_EQ(train_on(header + "\xff\t나\t1\t0\n"), 3);
  EXPECT_THAT(err_.str(), HasSubstr("UTF-8"));
  EXPECT_EQ(train_on(header + "가\t나\t\t0\n다\t라\t\t1\n"), 3);
  EXPECT_THAT(err_.str(), HasSubstr("score"));
  EXPECT_EQ(train_on(header + "가\t나\t1\t2\n"), 3);
  EXPECT_EQ(train_on(header + "가\t나\tinf\t1\n"), 3);
  std::filesystem::remove(folder_ / "train.tsv");
  EXPECT_EQ(train_tiny({"--quiet"}), 3);
  EXPECT_THAT(err_.str(), HasSubstr("train.tsv"));
}

TEST_F(TrainCommandsTest, AConstantTargetIsAWarning) {
  write_file_atomic(
      folder_ / "train.tsv",
      "sentence1\tsentence2\tscore\tsame\n가 나\t나\t2\t0\n다\t라\t2\t1\n마\t바\t2\t0\n");
  EXPECT_EQ(train_tiny(), 0) << err_.str();
  EXPECT_THAT(err_.str(), HasSubstr("warning:"));
  EXPECT_THAT(err_.str(), HasSubstr("score"));
}

TEST_F(TrainCommandsTest, WhatIsTrueOfAllPartsOfAFileIsSaidOnce) {
  std::string rows = "x,y,z\n";
  for (int i = 0; i < 40; ++i) rows += std::to_string(i) + "," + std::to_string(i % 7) + ",3\n";
  write_file_atomic(folder_ / "t.csv", rows);
  write_file_atomic(folder_ / "t.yaml",
                    "data: {kind: table, train: t.csv, split: {dev: 0.2}}\n"
                    "tasks: [{name: y}, {name: z}]\n"
                    "train: {epochs: 1}\n");
  EXPECT_EQ(call({"train", path("t.yaml"), "--out", path("run")}), 0) << err_.str();
  const std::string said = err_.str();
  const std::size_t first = said.find("every target in column 'z'");
  EXPECT_NE(first, std::string::npos) << said;
  EXPECT_EQ(said.find("every target in column 'z'", first + 1), std::string::npos) << said;
}

TEST_F(TrainCommandsTest, HugeNumbersHaveAnExponent) {
  std::string rows = "x,y,z\n";
  for (int i = 0; i < 40; ++i) {
    rows += fmt::format("{},{}e300,{}\n", i, 1 + i % 7, 1 + i % 5);
  }
  write_file_atomic(folder_ / "t.csv", rows);
  write_file_atomic(folder_ / "t.yaml",
                    "data: {kind: table, train: t.csv, split: {dev: 0.2}}\n"
                    "precision: float64\n"
                    "tasks: [{name: y, metrics: [mae]}, {name: z}]\n"
                    "train: {epochs: 1}\n");
  ASSERT_EQ(call({"train", path("t.yaml"), "--out", path("run")}), 0) << err_.str();
  std::string shown = out_.str() + err_.str();
  ASSERT_EQ(call({"eval", path("run")}), 0) << err_.str();
  shown += out_.str();
  ASSERT_EQ(call({"compare", path("run"), "--out", path("c.html")}), 0) << err_.str();
  shown += out_.str() + read_file(folder_ / "run/report.html") + read_file(folder_ / "c.html");
  EXPECT_THAT(shown, HasSubstr("e+300"));
  EXPECT_THAT(shown, ::testing::Not(::testing::ContainsRegex("[0-9]{20}")));
}

TEST_F(TrainCommandsTest, NumericErrorsAreFour) {
  write_file_atomic(folder_ / "train.tsv",
                    "sentence1\tsentence2\tscore\tsame\n가\t나\t1e30\t0\n다\t라\t-1e30\t1\n");
  EXPECT_EQ(train_tiny({"--quiet", "--set", "tasks.score.loss={name: mse}"}), 4);
  EXPECT_THAT(err_.str(), HasSubstr("step 1"));
  EXPECT_THAT(err_.str(), HasSubstr("'score'"));
}

TEST_F(TrainCommandsTest, BrokenRunsAreThree) {
  EXPECT_EQ(call({"eval", path("none")}), 3);
  ASSERT_EQ(train_tiny({"--quiet"}), 0);
  const std::string model = read_file(folder_ / "run/model.safetensors");
  write_file_atomic(folder_ / "run/model.safetensors", model.substr(0, 100));
  EXPECT_EQ(call({"eval", path("run")}), 3);
  EXPECT_THAT(err_.str(), HasSubstr("model.safetensors"));
  write_file_atomic(folder_ / "run/model.safetensors", model);
  write_file_atomic(folder_ / "run/tokenizer/vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n");
  EXPECT_EQ(call({"eval", path("run")}), 3);
  std::filesystem::remove(folder_ / "run/model.safetensors");
  EXPECT_EQ(call({"eval", path("run")}), 3);
  EXPECT_THAT(err_.str(), HasSubstr("--resume"));
}

TEST_F(TrainCommandsTest, AnUnwritableOutputIsThree) {
  write_file_atomic(folder_ / "file", "x");
  EXPECT_EQ(call({"train", path("tiny.yaml"), "--out", path("file/run"), "--quiet"}), 3)
      << err_.str();
  EXPECT_EQ(call({"train", path("tiny.yaml"), "--out", "/proc/detente", "--quiet"}), 3);
}

TEST_F(TrainCommandsTest, ClassNamesSurviveARun) {
  const std::vector<std::string> names = {
      "yes?", "yes", "NULL", "no", "on", "-", "~", " a ", "1", "예, 아니오", "\"q\"", "a: b #c"};
  std::string rows = "x\tkind\n";
  for (std::size_t i = 0; i < 10 * names.size(); ++i) {
    rows += std::to_string(i % names.size()) + "\t" + names[i % names.size()] + "\n";
  }
  write_file_atomic(folder_ / "words.tsv", rows);
  std::string list;
  for (const std::string& name : names)
    list += (list.empty() ? "" : ", ") + config::text_yaml(name);
  write_file_atomic(folder_ / "words.yaml",
                    "name: \"NULL\"\n"
                    "data: {kind: table, train: words.tsv, split: {dev: 0.2}}\n"
                    "tasks: [{name: kind, head: classes, class_names: [" +
                        list + "]}]\ntrain: {epochs: 2}\n");
  ASSERT_EQ(call({"train", path("words.yaml"), "--out", path("run"), "--quiet"}), 0) << err_.str();
  EXPECT_EQ(call({"eval", path("run")}), 0) << err_.str();
  ASSERT_EQ(call({"predict", path("run"), "--data", path("words.tsv"), "--out", path("p.tsv")}), 0)
      << err_.str();
  const data::Table table = data::Table::read(path("p.tsv"));
  for (const std::string_view cell : table.text_column("kind")) {
    EXPECT_TRUE(std::find(names.begin(), names.end(), cell) != names.end()) << cell;
  }
  EXPECT_EQ(call({"train", path("words.yaml"), "--out", path("run"), "--quiet", "--resume"}), 0)
      << err_.str();
  EXPECT_EQ(call({"train", path("run/recipe.yaml"), "--out", path("run"), "--quiet", "--resume"}),
            0)
      << err_.str();
}

// Each has its exit code, none is called a defect, and nothing is left behind.
TEST_F(TrainCommandsTest, WrongInputLeavesNothing) {
  const auto refused =
      [&](const std::vector<std::string>& args, int code, const std::string& text) {
        EXPECT_EQ(call(args), code) << err_.str();
        EXPECT_THAT(err_.str(), HasSubstr(text));
        EXPECT_THAT(err_.str(), ::testing::Not(HasSubstr("defect of Detente")));
        EXPECT_FALSE(std::filesystem::exists(folder_ / "run"));
      };
  const auto train = [&](const std::vector<std::string>& more) {
    std::vector<std::string> args = {"train", path("tiny.yaml"), "--out", path("run")};
    args.insert(args.end(), more.begin(), more.end());
    return args;
  };
  std::filesystem::create_symlink("loop", folder_ / "loop");
  const std::string long_name(300, 'x');
  for (const std::string& name : {path("loop"), path("loop/x"), path(long_name)}) {
    refused({"train", path("tiny.yaml"), "--out", name}, 3, "refuses");
    refused({"train", name, "--out", path("run")}, 3, "cannot open");
    refused({"eval", name}, 3, "refuses");
    refused({"inspect", name}, 3, "refuses");
    refused({"compare", name, "--out", path("c.html")}, 3, "refuses");
    refused(train({"--set", "data.train=" + name}), 3, name);
  }
  write_file_atomic(folder_ / "latin.yaml", "name: caf\xe9\n" + read_file(folder_ / "tiny.yaml"));
  refused({"train", path("latin.yaml"), "--out", path("run")}, 2, "latin.yaml:1");
  refused(train({"--set", "name=caf\xe9"}), 2, "not valid UTF-8");
  refused(train({"--set", "data.train=caf\xe9.tsv"}), 2, "not valid UTF-8");
  refused(train({"--set", "name=,"}), 2, "goes on after its end");
  refused(train({"--set", "train.tasks=\"a\",\"b\""}), 2, "--set train.tasks");
  refused(train({"--set", "train.epochs="}), 2, "gives no value");
  write_file_atomic(folder_ / "train.tsv", read_file(folder_ / "train.tsv") + "가\t나\t1e308\t1\n");
  refused(train({"--set", "tasks.score.output=raw"}), 3, "float64");
}

TEST_F(TrainCommandsTest, PathsOfFlagsAreRelativeToTheCurrentFolder) {
  const std::string here =
      std::filesystem::relative(folder_ / "train.tsv", std::filesystem::current_path()).string();
  EXPECT_EQ(train_tiny({"--quiet", "--set", "data.dev=" + here}), 0) << err_.str();
  EXPECT_EQ(train_tiny({"--quiet", "--force", "--set", "data.dev=train.tsv"}), 3);
  EXPECT_EQ(call({"recipe", "show", path("tiny.yaml"), "--set", "data.dev=x #1.tsv"}), 0);
  EXPECT_THAT(out_.str(), HasSubstr((std::filesystem::current_path() / "x #1.tsv").string()));
}

TEST_F(TrainCommandsTest, AnotherLossDropsTheOptionsOfTheOld) {
  write_file_atomic(folder_ / "tiny.yaml",
                    read_file(folder_ / "tiny.yaml") + "output: {tensorboard: false}\n");
  EXPECT_EQ(call({"recipe",
                  "show",
                  path("tiny.yaml"),
                  "--set",
                  "tasks.score.loss={name: huber, delta: 2}",
                  "--set",
                  "tasks.score.loss.name=mse"}),
            0)
      << err_.str();
}

TEST_F(TrainCommandsTest, ANearlyConstantSeriesIsDrawn) {
  EXPECT_EQ(train_tiny({"--quiet", "--set", "train.tasks=[same]", "--set", "train.epochs=1"}), 0)
      << err_.str();
}

TEST_F(TrainCommandsTest, TooManyThreadsAreANotice) {
  EXPECT_EQ(train_tiny({"--set", "threads=4096", "--set", "train.epochs=1"}), 0) << err_.str();
  EXPECT_THAT(err_.str(), HasSubstr("'threads' is 4096"));
}

}  // namespace
}  // namespace detente::cli

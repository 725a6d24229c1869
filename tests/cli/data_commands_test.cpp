// SPDX-License-Identifier: Apache-2.0
// What `detente new` writes is a recipe that loads, passes `detente data check` and trains as it is.
#include <detente/cli/cli.h>
#include <detente/core/file.h>
#include <detente/core/json.h>
#include <detente/core/rng.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/temp_dir.h>
#include <tests/support/write_images.h>
#include <tests/support/write_sounds.h>

#include <filesystem>
#include <sstream>

namespace detente::cli {
namespace {

using ::testing::HasSubstr;

class DataCommandsTest : public ::testing::Test {
 protected:
  int call(std::vector<std::string> args) {
    out_.str("");
    err_.str("");
    return cli::run(args, out_, err_);
  }
  // Writes a recipe for the file and checks its data; what the check found.
  Json propose(const std::string& file, const std::vector<std::string>& targets = {}) {
    std::vector<std::string> args = {
        "new", "--from", file, "--out", folder_.file("r.yaml"), "--force"};
    for (const std::string& target : targets) args.insert(args.end(), {"--targets", target});
    EXPECT_EQ(call(args), 0) << err_.str();
    EXPECT_EQ(call({"data", "check", folder_.file("r.yaml"), "--json"}), 0) << err_.str();
    return Json::parse(out_.str(), nullptr, false);
  }
  static std::size_t count_about(const Json& found, const std::string& about) {
    std::size_t count = 0;
    for (const Json& warning : found["warnings"]) count += warning["about"] == about ? 1 : 0;
    return count;
  }

  test::TempDir folder_;
  std::ostringstream out_;
  std::ostringstream err_;
};

TEST_F(DataCommandsTest, ShippedTablesGetRecipesThatPass) {
  const std::string data = DETENTE_SOURCE_DIR "/data/";
  const Json adult = propose(data + "adult/train.csv.gz");
  EXPECT_EQ(adult["tasks"].size(), 3U);
  EXPECT_EQ(adult["tasks"][2]["kind"], "classes");
  const Json bike = propose(data + "bike/hour.csv.gz", {"target:casual,target:registered"});
  EXPECT_EQ(bike["tasks"].size(), 2U);
  for (const Json& input : bike["inputs"]) {
    EXPECT_NE(input["name"], "instant");
    EXPECT_NE(input["name"], "target:cnt");
  }
  const Json yeast = propose(data + "yeast/train.csv.gz");
  EXPECT_EQ(yeast["tasks"].size(), 14U);
  const Json parkinsons = propose(data + "parkinsons/visits.csv.gz");
  EXPECT_EQ(parkinsons["parts"].size(), 3U);
  EXPECT_THAT(read_file(folder_.path() / "r.yaml"), HasSubstr("group: \"subject#\""));
}

TEST_F(DataCommandsTest, FoldersOfFilesGetRecipesThatPassAndTrain) {
  for (int i = 0; i < 24; ++i) {
    const std::string name = std::string(i % 2 == 0 ? "no/" : "'~': [a]/") + std::to_string(i);
    for (const std::string kind : {"pictures", "sounds"}) {
      std::filesystem::create_directories((folder_.path() / kind / name).parent_path());
    }
    folder_.write("pictures/" + name + ".png",
                  test::png_file(test::noise(9, static_cast<std::size_t>(9 + i % 4), 1, i)));
    folder_.write("sounds/" + name + ".wav",
                  test::wav_file(test::pcm16(
                      test::tone(i % 2 == 0 ? 300 : 2000, static_cast<std::size_t>(700 + i)))));
  }
  for (const std::string kind : {"pictures", "sounds"}) {
    const Json found = propose(folder_.file(kind));
    EXPECT_EQ(found["parts"][0]["rows"], 20) << kind;
    EXPECT_EQ(found["tasks"][0]["column"], "label");
    EXPECT_EQ(call({"train",
                    folder_.file("r.yaml"),
                    "--set",
                    "train.epochs=1",
                    "--quiet",
                    "--out",
                    folder_.file(kind + "-run")}),
              0)
        << err_.str();
    ASSERT_EQ(call({"predict",
                    folder_.file(kind + "-run"),
                    "--data",
                    folder_.file(kind),
                    "--out",
                    folder_.file("p.csv")}),
              0)
        << err_.str();
    EXPECT_THAT(
        read_file(folder_.path() / "p.csv"),
        ::testing::AnyOf(HasSubstr(",no,0."), HasSubstr(",'~': [a],0."), HasSubstr(",1\n")));
  }
}

TEST_F(DataCommandsTest, MissingLabelsAreCounted) {
  Rng rng(1);
  std::string text = "mol_id,weight,target:NR-AR,target:SR-p53\n";
  for (int i = 0; i < 300; ++i) {
    text += fmt::format("TOX{},{},{},{}\n",
                        i,
                        rng.normal(),
                        i % 5 == 0 ? "" : std::to_string(rng.below(2)),
                        i % 5 < 3 ? std::to_string(rng.below(2)) : "");
  }
  const Json found = propose(folder_.write("tox.csv", text));
  ASSERT_EQ(found["tasks"].size(), 2U);
  const double rows = found["parts"][0]["rows"];
  EXPECT_NEAR(found["tasks"][0]["train"]["labelled"].get<double>() / rows, 0.8, 0.05);
  EXPECT_NEAR(found["pairs"][0]["rows"].get<double>() / rows, 0.4, 0.08);
  ASSERT_EQ(call({"data", "check", folder_.file("r.yaml")}), 0);
  EXPECT_THAT(out_.str(), HasSubstr("NR-AR"));
  EXPECT_THAT(out_.str(), HasSubstr("rows with both"));
}

TEST_F(DataCommandsTest, HostileNamesTrain) {
  const std::vector<std::string> names = {"no",
                                          "NULL",
                                          "~",
                                          "a: b",
                                          "it's",
                                          "\"\"quoted\"\"",
                                          "열",
                                          "#hash",
                                          "[y]",
                                          "1e3",
                                          "line\nend",
                                          ""};
  std::string text;
  for (const std::string& name : names) text += "\"" + name + "\",";
  text += "\"yes, no\",\"y: \"\"x\"\"\"\n";
  Rng rng(2);
  for (int i = 0; i < 80; ++i) {
    for (std::size_t j = 0; j < names.size(); ++j) text += fmt::format("{},", rng.normal());
    text += fmt::format("{},{}\n", i % 2 == 0 ? "\"~\"" : "no", rng.normal());
  }
  const Json found = propose(folder_.write("no: data.csv", text), {"yes, no", "y: \"x\""});
  EXPECT_EQ(found["inputs"].size(), names.size());
  EXPECT_EQ(found["tasks"][0]["column"], "yes, no");
  EXPECT_EQ(found["tasks"][0]["train"]["classes"][0]["class"], "no");
  EXPECT_EQ(call({"train",
                  folder_.file("r.yaml"),
                  "--out",
                  folder_.file("run"),
                  "--quiet",
                  "--set",
                  "train.epochs=1"}),
            0)
      << err_.str();
}

TEST_F(DataCommandsTest, SaysWhatGivesTheTargetAway) {
  Rng rng(3);
  std::string text = "group,fahrenheit,noise,celsius\n";
  for (int i = 0; i < 200; ++i) {
    const double celsius = 20 * rng.uniform();
    text += fmt::format("g{},{},{},{}\n", i % 9, 32 + 1.8 * celsius, i % 40, celsius);
  }
  folder_.write("t.csv", text);
  folder_.write("r.yaml",
                "data: {kind: table, train: t.csv, split: {group: group, dev: 0.2}}\n"
                "tasks: [{name: celsius, head: regression}]\n");
  ASSERT_EQ(call({"data", "check", folder_.file("r.yaml"), "--json"}), 0) << err_.str();
  const Json found = Json::parse(out_.str());
  ASSERT_EQ(found["given_away"].size(), 1U);
  EXPECT_EQ(found["given_away"][0]["how"], "correlates");
  EXPECT_EQ(count_about(found, "leak"), 1U);
  EXPECT_EQ(found["inputs"].size(), 2U) << "the group is no input";
  EXPECT_EQ(call({"data", "check", folder_.file("r.yaml"), "--strict"}), 1);
  EXPECT_THAT(out_.str(), HasSubstr("warning: Input 'fahrenheit'"));
}

TEST_F(DataCommandsTest, PairsAreCheckedToo) {
  const std::string recipe = DETENTE_SOURCE_DIR "/recipes/klue_sts.yaml";
  ASSERT_EQ(call({"data", "check", recipe, "--set", "data.max_rows=500", "--json"}), 0)
      << err_.str();
  const Json found = Json::parse(out_.str());
  EXPECT_EQ(found["kind"], "pairs");
  EXPECT_EQ(found["parts"][1]["rows"], 519);
  EXPECT_EQ(found["inputs"][0]["kind"], "text");
}

TEST_F(DataCommandsTest, ASplitByColumnTrainsAndTests) {
  std::string text = "part,x,y\n";
  Rng rng(4);
  for (int i = 0; i < 60; ++i) {
    text += fmt::format("{},{},{}\n",
                        i % 5 == 0   ? "valid"
                        : i % 5 == 1 ? "test"
                                     : "train",
                        rng.normal(),
                        rng.normal());
  }
  folder_.write("t.csv", text);
  const std::string recipe =
      folder_.write("r.yaml",
                    "data: {kind: table, train: t.csv, split: {column: part}}\n"
                    "tasks: [{name: y, head: regression}]\n"
                    "train: {epochs: 1}\n");
  const std::string run = folder_.file("run");
  ASSERT_EQ(call({"train", recipe, "--out", run, "--quiet"}), 0) << err_.str();
  for (const auto& [part, rows] :
       std::vector<std::pair<std::string, int>>{{"train", 36}, {"dev", 12}, {"test", 12}}) {
    ASSERT_EQ(call({"eval", run, "--part", part, "--json"}), 0) << err_.str();
    EXPECT_EQ(Json::parse(out_.str())["rows"], rows);
  }
  // A file of its own needs no such column.
  const std::string fresh = folder_.write("new.csv", "x,y\n1,2\n3,4\n");
  EXPECT_EQ(call({"eval", run, "--data", fresh}), 0) << err_.str();
}

TEST_F(DataCommandsTest, ContradictorySplitsAreErrorsOfTheRecipe) {
  folder_.write("t.csv", "g,x,y\na,1,2\nb,2,3\n");
  const std::string recipe = folder_.write("r.yaml",
                                           "data: {kind: table, train: t.csv, split: {dev: 0.5}}\n"
                                           "tasks: [{name: y, head: regression}]\n");
  EXPECT_EQ(call({"recipe", "check", recipe, "--set", "data.split.folds=3"}), 2);
  EXPECT_THAT(err_.str(), HasSubstr("dev and folds"));
  EXPECT_EQ(call({"recipe", "check", recipe, "--set", "data.split.column=g"}), 2);
  EXPECT_EQ(call({"data", "check", recipe, "--set", "data.split.group=h"}), 3);
  EXPECT_THAT(err_.str(), HasSubstr("no column 'h'"));
}

TEST_F(DataCommandsTest, ScalesAndLabelsGetTheirHeadsAndTrain) {
  std::string text = "a,b,target:risk,target:stars,target:tags\n";
  Rng rng(7);
  const char* risk[] = {"low", "medium", "high"};
  for (int row = 0; row < 90; ++row) {
    const double a = rng.uniform();
    const int step = static_cast<int>(3 * a);
    text += fmt::format("{},{},{},{},{}\n",
                        a,
                        rng.uniform(),
                        risk[step],
                        1 + 2 * step,
                        step == 0   ? "null it;yes"
                        : step == 1 ? "yes"
                                    : "null it");
  }
  const Json found = propose(folder_.write("t.csv", text));
  ASSERT_EQ(found["tasks"].size(), 4U);  // labels one by one
  EXPECT_EQ(found["tasks"][0]["kind"], "ordinal");
  EXPECT_EQ(found["tasks"][1]["kind"], "ordinal");
  EXPECT_EQ(found["tasks"][2]["name"], "tags.null it");
  EXPECT_EQ(call({"train",
                  folder_.file("r.yaml"),
                  "--set",
                  "train.epochs=1",
                  "--set",
                  "train.select=mean",
                  "--quiet",
                  "--out",
                  folder_.file("run")}),
            0)
      << err_.str();
}

}  // namespace
}  // namespace detente::cli

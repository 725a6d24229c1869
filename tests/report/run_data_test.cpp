// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/report/run_data.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

namespace detente::report {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(RunData, ReadsStepsAndEpochs) {
  const RunData run = parse_run(
      "r",
      R"({"name":"x","conflict_share":0.25,"tasks":{"a":{"f1":0.5}}})",
      R"({"type":"step","step":1,"lr":0.1,"loss":2,"losses":{"a":1,"b":3},"conflict":true,"ms":{"total":5}}
{"type":"step","step":2,"lr":0.2,"loss":1,"losses":{"a":0.5,"b":null},"cosines":{"a|b":-0.5},"conflict":false}
{"type":"epoch","epoch":1,"step":2,"train_losses":{"a":0.7},"dev":{"a":{"f1":0.4}},"seconds":3,"best":true}
)",
      "seed: 0\n");
  EXPECT_THAT(run.steps, ElementsAre(1, 2));
  EXPECT_THAT(run.learning_rate, ElementsAre(0.1, 0.2));
  EXPECT_THAT(run.conflict, ElementsAre(1, 0));
  EXPECT_THAT(run.tasks, ElementsAre("a", "b"));
  EXPECT_THAT(*run.losses.find("a"), ElementsAre(1, 0.5));
  EXPECT_TRUE(std::isnan((*run.losses.find("b"))[1]));
  EXPECT_TRUE(std::isnan((*run.cosines.find("a|b"))[0]));
  EXPECT_EQ((*run.cosines.find("a|b"))[1], -0.5);
  EXPECT_EQ(run.milliseconds.find("total")->size(), 2U);
  ASSERT_EQ(run.epochs.size(), 1U);
  EXPECT_TRUE(run.epochs[0].best);
  EXPECT_EQ(run.epochs[0].dev[0].second[0].second, 0.4);
  EXPECT_EQ(run.conflict_share(), 0.25);
  EXPECT_EQ(run.mean_cosine(), -0.5);
  EXPECT_EQ(run.results()[0].second[0].second, 0.5);
  EXPECT_EQ(run.recipe, "seed: 0\n");
}

TEST(RunData, SkipsWhatItCannotRead) {
  const RunData run = parse_run("r",
                                "not json",
                                "{\"type\":\"step\",\"step\":1,\"loss\":\"high\"}\n"
                                "[1,2]\n"
                                "\n"
                                "{\"type\":\"note\"}\n"
                                "{\"type\":\"step\"}\n"
                                "{\"type\":\"step\",\"st",
                                "");
  EXPECT_EQ(run.steps.size(), 1U);
  EXPECT_TRUE(std::isnan(run.loss[0]));
  EXPECT_THAT(run.unreadable_lines, ElementsAre(2, 5, 6));
  EXPECT_THAT(run.warnings(),
              ElementsAre("lines 2, 5, 6 of metrics.jsonl could not be read and are left out.",
                          "summary.json is damaged (no JSON object) and is left out."));
  EXPECT_THAT(run.tasks, IsEmpty());
  EXPECT_TRUE(std::isnan(run.conflict_share()));
  EXPECT_THAT(run.results(), IsEmpty());
}

TEST(RunData, HasNothingToSayOfASoundRun) {
  EXPECT_THAT(parse_run("r", "", "", "").warnings(), IsEmpty());
  EXPECT_THAT(parse_run("r", "{}", "{\"type\":\"note\"}\n", "").warnings(), IsEmpty());
}

TEST(RunData, NamesTheFirstOfManyLines) {
  EXPECT_EQ(lines_text({7}), "line 7");
  EXPECT_EQ(lines_text({1, 2, 3, 4, 5}), "lines 1, 2, 3, 4, 5");
  EXPECT_EQ(lines_text({1, 2, 3, 4, 5, 6, 9}), "lines 1, 2, 3, 4, 5 and 2 more");
}

TEST(RunData, CountsRepeatedStepsOfAResumedRunOnce) {
  const RunData run = parse_run("r",
                                "{}",
                                R"({"type":"step","step":1,"loss":1,"losses":{"a":1}}
{"type":"step","step":2,"loss":2,"losses":{"a":2}}
{"type":"epoch","epoch":1,"dev":{}}
{"type":"step","step":3,"loss":3,"losses":{"a":3}}
{"type":"step","step":2,"loss":20,"losses":{"a":20}}
{"type":"epoch","epoch":1,"dev":{"a":{"f1":1}}}
{"type":"step","step":3,"loss":30,"losses":{"a":30}}
)",
                                "");
  EXPECT_THAT(run.steps, ElementsAre(1, 2, 3));
  EXPECT_THAT(run.loss, ElementsAre(1, 20, 30));
  EXPECT_THAT(*run.losses.find("a"), ElementsAre(1, 20, 30));
  EXPECT_EQ(run.epochs.size(), 1U);
}

TEST(RunData, TakesResultsOfBestEpochWithoutSummary) {
  const RunData run = parse_run("r",
                                "",
                                R"({"type":"epoch","epoch":1,"dev":{"a":{"f1":0.9}},"best":true}
{"type":"epoch","epoch":2,"dev":{"a":{"f1":0.1}},"best":false}
)",
                                "");
  EXPECT_EQ(run.results()[0].second[0].second, 0.9);
}

TEST(RunData, SaysWhatAFolderLacks) {
  const fs::path folder = fs::path(::testing::TempDir()) / "detente_empty_run";
  fs::remove_all(folder);
  try {
    read_run(folder);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kIo);
  }
  fs::create_directories(folder);
  try {
    read_run(folder);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kData);
    EXPECT_THAT(error.what(), HasSubstr("none of summary.json"));
  }
  write_file_atomic(folder / "recipe.yaml", "seed: 3\n");
  EXPECT_EQ(read_run(folder / "").folder, "detente_empty_run");
  fs::remove_all(folder);
}

TEST(RunData, KnowsWhichMetricsAreErrors) {
  for (const char* name : {"mae", "mse", "rmse", "loss", "log_loss", "abs_err"}) {
    EXPECT_TRUE(lower_is_better(name)) << name;
  }
  for (const char* name : {"pearson", "spearman", "f1", "accuracy", "r2"}) {
    EXPECT_FALSE(lower_is_better(name)) << name;
  }
}

TEST(RunData, ReadsEpochsWithoutTheSteps) {
  const std::string lines =
      "{\"type\":\"step\",\"step\":1,\"losses\":{\"a\":1}}\n"
      "{\"type\": \"step\", \"step\": 2}\n"
      "broken\n"
      "{\"type\":\"epoch\",\"epoch\":1,\"step\":2,\"dev\":{\"type\":{\"r2\":0.5}},\"best\":true}\n";
  const RunData all = parse_run("r", "", lines, "");
  const RunData epochs = parse_run("r", "", lines, "", RunParts::kEpochs);
  EXPECT_EQ(all.steps.size(), 2U);
  EXPECT_TRUE(epochs.steps.empty());
  ASSERT_EQ(epochs.epochs.size(), 1U);
  EXPECT_EQ(epochs.epochs[0].to_json(), all.epochs[0].to_json());
  EXPECT_EQ(epochs.unreadable_lines, all.unreadable_lines);
  EXPECT_EQ(epochs.unreadable_lines, std::vector<std::size_t>{3});
}

TEST(GrowingRun, IsTheRunOfTheSameLinesAtAnyMoment) {
  std::string log;
  GrowingRun growing("r");
  for (int i = 1; i <= 40; ++i) {
    // Steps 21 to 25 come twice, as after --resume; "late" appears on the way.
    const int step = i <= 25 ? i : i - 5;
    std::string line =
        fmt::format(R"({{"type":"step","epoch":1,"step":{},"loss":{},"losses":{{"a":{}{}}}}})",
                    step,
                    i,
                    i,
                    i > 10 && i % 3 == 0 ? R"(,"late":2)" : "");
    if (i % 7 == 0) line = R"({"type":"epoch","epoch":1,"step":3,"dev":{"a":{"f1":0.5}}})";
    if (i % 11 == 0) line = "{broken";
    growing.add_line(line);
    log += line + "\n";
    if (i % 2 == 0) continue;
    const RunData& found = growing.data();
    const RunData expected = parse_run("r", "", log, "");
    EXPECT_EQ(found.steps, expected.steps);
    EXPECT_EQ(found.tasks, expected.tasks);
    EXPECT_EQ(found.losses.names, expected.losses.names);
    ASSERT_EQ(found.losses.values.size(), expected.losses.values.size());
    for (std::size_t t = 0; t < found.losses.values.size(); ++t) {
      EXPECT_THAT(
          found.losses.values[t],
          ::testing::Pointwise(::testing::NanSensitiveDoubleEq(), expected.losses.values[t]));
    }
    EXPECT_EQ(found.epochs.size(), expected.epochs.size());
    EXPECT_EQ(found.unreadable_lines, expected.unreadable_lines);
  }
}

}  // namespace
}  // namespace detente::report

// SPDX-License-Identifier: Apache-2.0
#include <detente/train/recipe.h>
#include <detente/train/selection.h>
#include <gmock/gmock.h>
#include <tests/train/tiny_run.h>

#include <cmath>
#include <string>
#include <vector>

namespace detente::train {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Task "score" (regression: pearson, spearman, mae) and "same" (binary: f1, accuracy).
class SelectionTest : public TinyRunTest {
 protected:
  std::vector<std::string> names(const std::string& select) {
    const Recipe r = recipe();
    std::vector<std::string> result;
    for (const auto& one : parse_selection(select, r.tasks)) {
      result.push_back(r.tasks[one.task].name + "." + one.metric);
    }
    return result;
  }
  std::string error_with(const std::string& select) {
    const Error error = error_of([&] { recipe({"train.select=\"" + select + "\""}); });
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument) << error.what();
    return error.what();
  }
};

TEST_F(SelectionTest, TheFirstMetricOfTheFirstTaskOrWhatIsNamed) {
  EXPECT_THAT(names(""), ElementsAre("score.pearson"));
  EXPECT_THAT(names("same.accuracy"), ElementsAre("same.accuracy"));
  EXPECT_THAT(names("score.mae"), ElementsAre("score.mae"));
  EXPECT_THAT(names("mean"), ElementsAre("score.pearson", "same.f1"));
  EXPECT_THAT(names("same.accuracy , score.spearman"),
              ElementsAre("same.accuracy", "score.spearman"));
}

TEST_F(SelectionTest, MeanTakesTheFirstMetricOfWhichMoreIsBetter) {
  const Recipe r = recipe({"tasks.score.metrics=[mae,r2,pearson]"});
  const auto chosen = parse_selection("mean", r.tasks);
  EXPECT_EQ(chosen.front().metric, "r2");
}

TEST_F(SelectionTest, NamesWithCommasAreWhole) {
  Recipe r = recipe();
  r.tasks[0].name = "same.accuracy, too";
  EXPECT_THAT(parse_selection("same.accuracy, too.pearson,same.f1", r.tasks),
              ElementsAre(::testing::Field(&SelectedMetric::metric, "pearson"),
                          ::testing::Field(&SelectedMetric::metric, "f1")));
}

TEST_F(SelectionTest, RefusesWhatHasNoMeanAndWhatIsUnknown) {
  EXPECT_THAT(error_with("score.mae, same.f1"), HasSubstr("less is better"));
  EXPECT_THAT(error_with("score.pearson, same.f2"), HasSubstr("'same.f2'"));
  EXPECT_THAT(error_with("score.pearson,"), HasSubstr("train.select"));
  EXPECT_THAT(error_with(","), HasSubstr("train.select"));
  EXPECT_THAT(error_with("meen"), HasSubstr("mean"));
  const Error error = error_of([&] { recipe({"train.select=mean", "tasks.score.metrics=[mae]"}); });
  EXPECT_THAT(error.what(), HasSubstr("task 'score'"));
}

TEST(SelectedValue, IsTheMeanWithZeroForUndefined) {
  const double undefined = std::nan("");
  const std::vector<std::vector<MetricValue>> metrics{{{"r2", -0.5, ""}, {"mae", 3.0, ""}},
                                                      {{"f1", undefined, "no positives"}},
                                                      {{"auroc", 0.75, ""}}};
  std::vector<std::string> told;
  const auto value = [&](const std::vector<SelectedMetric>& selection) {
    return selected_value(selection, metrics, [&](const SelectedMetric&, const std::string& why) {
      told.push_back(why);
    });
  };
  EXPECT_EQ(value({{0, "r2", true}}), -0.5);
  EXPECT_EQ(value({{0, "mae", false}}), -3.0);
  EXPECT_EQ(value({{0, "r2", true}, {2, "auroc", true}}), 0.125);
  EXPECT_TRUE(told.empty());
  EXPECT_EQ(value({{0, "r2", true}, {1, "f1", true}, {2, "auroc", true}}), 0.25 / 3);
  EXPECT_THAT(told, ElementsAre("no positives"));
  EXPECT_TRUE(std::isnan(value({{1, "f1", true}})));
  EXPECT_TRUE(std::isnan(value({{1, "f1", true}, {1, "f1", true}})));
}

TEST_F(SelectionTest, TheEpochWithTheBestMeanIsKept) {
  const TrainOutcome outcome = run("run", {"train.select=mean", "train.epochs=5"});
  double highest = -HUGE_VAL;
  for (const Json& line : read_lines(outcome.run.metrics())) {
    if (line["type"] != "epoch") continue;
    const double mean =
        (line["dev"]["score"]["pearson"].get<double>() + line["dev"]["same"]["f1"].get<double>()) /
        2;
    EXPECT_EQ(line["best"].get<bool>(), mean > highest);
    highest = std::max(highest, mean);
  }
}

}  // namespace
}  // namespace detente::train

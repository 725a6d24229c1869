// SPDX-License-Identifier: Apache-2.0
// Training on tables: two regression tasks of different units, a binary and a class task.
#include <detente/metrics/metrics.h>
#include <detente/train/corpus.h>
#include <detente/train/evaluate.h>
#include <detente/train/importance.h>
#include <detente/train/loaded_run.h>
#include <detente/train/untrained_baseline.h>
#include <gmock/gmock.h>
#include <tests/train/tiny_run.h>

#include <cmath>

namespace detente::train {
namespace {

using ::testing::HasSubstr;

class TableRunTest : public TinyRunTest {
 protected:
  void SetUp() override {
    TinyRunTest::SetUp();
    Rng rng(5);
    std::string text = "x,y,colour,small,large,above,kind\n";
    for (int i = 0; i < 240; ++i) {
      const double x = rng.normal();
      const double y = rng.normal();
      const auto c = static_cast<int>(rng.below(3));
      static const char* kColours[] = {"red", "green", "blue"};
      const std::string gap = i % 10 == 3 ? "" : std::to_string(y);
      text += fmt::format("{},{},{},{},{},{},{}\n",
                          x,
                          gap,
                          kColours[c],
                          1e-3 * (x + c),
                          i % 7 == 0 ? "" : std::to_string(1e5 * (1 + x - 0.5 * y)),
                          x + y > 0 ? 1 : 0,
                          c);
    }
    write_file_atomic(folder_ / "t.csv", text);
    write_file_atomic(recipe_path(),
                      "data: {kind: table, train: t.csv, split: {dev: 0.2, test: 0.1}}\n"
                      "model: {widths: [32]}\n"
                      "tasks:\n"
                      "  - {name: small, head: regression}\n"
                      "  - {name: large, head: regression, metrics: [r2, mae]}\n"
                      "  - {name: above, head: binary}\n"
                      "  - {name: kind, head: classes, classes: 3}\n"
                      "optimizer: {lr: 0.01}\n"
                      "train: {epochs: 12, batch_size: 16}\n"
                      "threads: 1\n");
  }
};

TEST_F(TableRunTest, LearnsTasksOfAnyUnit) {
  const TrainOutcome outcome = run("run");
  const Json& tasks = outcome.summary["tasks"];
  EXPECT_GT(tasks["small"]["pearson"].get<double>(), 0.9);
  EXPECT_GT(tasks["large"]["r2"].get<double>(), 0.8);
  EXPECT_GT(tasks["above"]["f1"].get<double>(), 0.8);
  EXPECT_GT(tasks["kind"]["accuracy"].get<double>(), 0.9);
  EXPECT_GT(tasks["large"]["mae"].get<double>(), 100) << "in the target's own unit";
  EXPECT_EQ(outcome.summary["train_rows"], 168);
  EXPECT_EQ(outcome.summary["dev_rows"], 48);
  EXPECT_TRUE(std::filesystem::exists(folder_ / "run/columns.json"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "run/tokenizer"));
}

TEST_F(TableRunTest, TheLoadedRunGivesTheMetricsOfTheSummary) {
  const TrainOutcome outcome = run("run");
  const LoadedRun loaded = load_run(folder_ / "run", {});
  const auto metrics_of = [&](data::Part part) {
    const auto rows =
        load_rows(loaded.recipe, loaded.recipe.data.files, part, *loaded.source, true);
    return report::to_json(metrics_by_task(
        loaded.recipe, evaluate(loaded.recipe, predict_rows(*loaded.model, *rows, 7), *rows)));
  };
  const Json dev = metrics_of(data::Part::kDev);
  for (const auto& [task, metrics] : outcome.summary["tasks"].items()) {
    for (const auto& [name, value] : metrics.items()) {
      EXPECT_NEAR(dev[task][name].get<double>(),
                  value.get<double>(),
                  1e-5 * std::abs(value.get<double>()) + 1e-12)
          << task << name;
    }
  }
  EXPECT_NE(metrics_of(data::Part::kTest)["large"], dev["large"]);
}

TEST_F(TableRunTest, ResumedEqualsNeverStopped) {
  expect_resumed_equals_whole("whole", "stopped", {"train.epochs=3"});
}

TEST_F(TableRunTest, RefusesToGoOnWithOtherData) {
  run("run", {"train.epochs=2"});
  const std::string was = read_file(folder_ / "t.csv");
  const std::string learnt = read_file(folder_ / "run/columns.json");
  const auto go_on = [&] { run("run", {"train.epochs=2"}, ExistingRun::kResume); };
  std::string renamed = was;  // as many categories
  for (auto at = renamed.find("red"); at != std::string::npos; at = renamed.find("red", at)) {
    renamed.replace(at, 3, "sad");
  }
  std::string added = was;  // one more: the model's tables would not fit either
  for (int i = 0; i < 40; ++i) added.replace(added.find(",red,", 600), 5, ",sad,");
  for (const std::string& other : {renamed, added}) {
    write_file_atomic(folder_ / "t.csv", other);
    try {
      go_on();
      FAIL() << "resumed";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kData);
      EXPECT_THAT(error.what(), HasSubstr("columns.json"));
    }
    EXPECT_EQ(read_file(folder_ / "run/columns.json"), learnt);
  }
  write_file_atomic(folder_ / "t.csv", was);
  EXPECT_NO_THROW(go_on());
}

TEST_F(TableRunTest, ATaskLeftOutIsNoInput) {
  run("run", {"train.tasks=[above]", "train.epochs=1"});
  const std::string columns = read_file(folder_ / "run/columns.json");
  for (const char* target : {"small", "large", "kind"}) {
    EXPECT_THAT(columns, ::testing::Not(HasSubstr(std::string("\"name\": \"") + target + "\"")));
  }
  // The run's own recipe, which no longer names those tasks, gives the same inputs.
  const Recipe again = load_recipe(folder_ / "run/recipe.yaml", {});
  const Corpus corpus = load_corpus(again, {});
  corpus.train->save(folder_);
  EXPECT_EQ(read_file(folder_ / "columns.json"), columns);
}

TEST_F(TableRunTest, TheConstantBaselineIsTheFloor) {
  run("run", {"train.epochs=1"});
  const auto baselines = untrained_baselines(load_run(folder_ / "run", {}));
  ASSERT_EQ(baselines.size(), 1U);
  EXPECT_EQ(baselines[0].label, "constant");
  EXPECT_LT(baselines[0].tasks["large"]["r2"].get<double>(), 1e-9);
  EXPECT_TRUE(baselines[0].tasks["small"]["pearson"].is_null());
}

TEST_F(TableRunTest, KindsMustFitEachOther) {
  EXPECT_THAT(error_of([&] {
                recipe({"model.kind=pairs", "model.widths=null"});
              }).what(),
              HasSubstr("widths"));
  EXPECT_THAT(error_of([&] { recipe({"data.kind=tables"}); }).what(), HasSubstr("'table'"));
  EXPECT_THAT(error_of([&] { recipe({"data.text_a=x"}); }).what(), HasSubstr("text_a"));
  EXPECT_THAT(error_of([&] { recipe({"tokenizer.kind=syllable"}); }).what(),
              HasSubstr("tokenizer"));
  EXPECT_THAT(error_of([&] { recipe({"data.split.dev=0"}); }).what(), HasSubstr("data.dev"));
}

TEST_F(TinyRunTest, PairsNeedASecondText) {
  EXPECT_THAT(error_of([&] { recipe({"data.text_b=\"\""}); }).what(), HasSubstr("data.text_b"));
  EXPECT_THAT(error_of([&] { recipe({"model={kind: mlp}"}); }).what(), HasSubstr("mlp"));
}

TEST_F(TinyRunTest, PairsCanBeSplitAsWell) {
  const TrainOutcome outcome =
      run("run", {"data.dev=null", "data.split={dev: 0.25, seed: 3}", "train.epochs=1"});
  EXPECT_EQ(outcome.summary["dev_rows"], 24);
  EXPECT_EQ(outcome.summary["train_rows"], 72);
}

// small = x + c, large = 1 + x - y/2 and kind = c alone.
TEST_F(TableRunTest, ImportanceFindsTheInputsThatATaskNeeds) {
  run("run");
  const LoadedRun trained = load_run(folder_ / "run", {});
  const auto rows =
      load_rows(trained.recipe, trained.recipe.data.files, data::Part::kDev, *trained.source, true);
  const Importance importance = permutation_importance(trained.recipe, *trained.model, *rows);
  EXPECT_EQ(importance.rows, rows->size());
  ASSERT_EQ(importance.tasks.size(), 4u);
  const auto of = [&](std::size_t task, const std::string& input) {
    for (const auto& entry : importance.tasks[task].inputs) {
      if (entry.input == input) return entry.mean;
    }
    ADD_FAILURE() << input;
    return 0.0;
  };
  EXPECT_EQ(importance.tasks[3].metric, "accuracy");
  EXPECT_EQ(importance.tasks[3].inputs.front().input, "colour");
  EXPECT_GT(of(3, "colour"), 0.3);
  EXPECT_LT(std::abs(of(3, "y")), 0.1);
  EXPECT_EQ(importance.tasks[1].metric, "r2");
  EXPECT_GT(of(1, "x"), of(1, "y"));
  EXPECT_GT(of(1, "y"), of(1, "colour") + 0.05);

  // The same once more is the same; other exchanges are not.
  const auto again = permutation_importance(trained.recipe, *trained.model, *rows);
  EXPECT_EQ(again.tasks[1].inputs[0].mean, importance.tasks[1].inputs[0].mean);
  const auto other = permutation_importance(trained.recipe, *trained.model, *rows, {.seed = 1});
  EXPECT_NE(other.tasks[1].inputs[0].mean, importance.tasks[1].inputs[0].mean);

  // Without targets: what moves, of a scale of its own.
  const auto unlabelled = load_rows(
      trained.recipe, trained.recipe.data.files, data::Part::kDev, *trained.source, false);
  const auto moved =
      permutation_importance(trained.recipe, *trained.model, *unlabelled, {.repeats = 1});
  EXPECT_EQ(moved.tasks[0].metric, "change");
  EXPECT_EQ(moved.tasks[3].inputs.front().input, "colour");
  EXPECT_GT(moved.tasks[3].inputs.front().mean, 0.4);
  EXPECT_TRUE(std::isnan(moved.tasks[0].inputs.front().deviation));
  for (const auto& task : moved.tasks) {
    for (const auto& input : task.inputs) EXPECT_GE(input.mean, 0);
  }
  EXPECT_THROW(
      permutation_importance(trained.recipe, *trained.model, *rows, {.repeats = 5, .most_rows = 1}),
      Error);
}

}  // namespace
}  // namespace detente::train

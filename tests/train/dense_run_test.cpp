// SPDX-License-Identifier: Apache-2.0
// Training on tasks with an answer for each pixel, on made-up pictures.
#include <detente/data/dense_source.h>
#include <detente/report/answers.h>
#include <detente/train/corpus.h>
#include <detente/train/evaluate.h>
#include <detente/train/loaded_run.h>
#include <detente/train/untrained_baseline.h>
#include <gmock/gmock.h>
#include <tests/support/write_dense.h>
#include <tests/train/tiny_run.h>

#include <cmath>

namespace detente::train {
namespace {

using ::testing::HasSubstr;

class DenseRunTest : public TinyRunTest {
 protected:
  void SetUp() override {
    TinyRunTest::SetUp();
    write_file_atomic(folder_ / "train.bin", test::dense_scenes(48, 1));
    write_file_atomic(folder_ / "dev.bin", test::dense_scenes(16, 2));
    write_dense_recipe("model: {kind: unet, channels: [6, 8]}\n");
  }
  void write_dense_recipe(const std::string& model) {
    write_file_atomic(recipe_path(),
                      "data: {kind: dense, train: train.bin, dev: dev.bin, "
                      "augment: {scales: [1, 1.2], flip: true}}\n" +
                          model +
                          "tasks:\n"
                          "  - {name: things, column: label, head: segmentation, classes: 4}\n"
                          "  - {name: edges, head: segmentation, classes: 2}\n"
                          "  - {name: depth, head: depth}\n"
                          "  - {name: normals, column: normal, head: normals}\n"
                          "  - {name: green, column: has_2, head: binary}\n"
                          "engine: {diagnose_every: 1}\n"
                          "optimizer: {lr: 0.02}\n"
                          "train: {epochs: 3, batch_size: 8}\n"
                          "threads: 1\n");
  }
};

// The green boxes look to the left: mirrored ones could not be told apart.
TEST_F(DenseRunTest, LearnsEveryTaskBetterThanAConstantAnswer) {
  const TrainOutcome outcome =
      run("run", {"train.epochs=30", "data.augment.scales=[]", "data.augment.flip=false"});
  const Json& tasks = outcome.summary["tasks"];
  const auto baselines = untrained_baselines(load_run(folder_ / "run", {}));
  ASSERT_EQ(baselines.size(), 1U);
  const Json& constant = baselines[0].tasks;
  EXPECT_GT(tasks["things"]["miou"].get<double>(), 0.7);
  EXPECT_LT(constant["things"]["miou"].get<double>(), 0.4);
  EXPECT_GT(tasks["edges"]["miou"].get<double>(), constant["edges"]["miou"].get<double>() + 0.1);
  EXPECT_LT(tasks["depth"]["abs_error"].get<double>(),
            0.6 * constant["depth"]["abs_error"].get<double>());
  EXPECT_LT(tasks["normals"]["mean_angle"].get<double>(),
            0.6 * constant["normals"]["mean_angle"].get<double>());
  EXPECT_TRUE(std::filesystem::exists(folder_ / "run/dense.json"));
}

TEST_F(DenseRunTest, TheLoadedRunGivesTheMetricsOfTheSummary) {
  for (const char* norm : {"batch", "group"}) {
    write_dense_recipe(std::string("model: {kind: unet, channels: [4, 6], norm: ") + norm + "}\n");
    const TrainOutcome outcome = run(norm);
    const LoadedRun loaded = load_run(folder_ / norm, {});
    const auto dev =
        load_rows(loaded.recipe, loaded.recipe.data.files, data::Part::kDev, *loaded.source, true);
    const auto metrics = evaluate(
        loaded.recipe, predict_rows(*loaded.model, *dev, prediction_batch(loaded.recipe)), *dev);
    EXPECT_EQ(report::to_json(metrics_by_task(loaded.recipe, metrics)), outcome.summary["tasks"]);
    EXPECT_THAT(metrics[0][0].note, HasSubstr("the mean of 3 classes; the other 1"));
  }
}

TEST_F(DenseRunTest, KeepsExamplesAsPicturesAndTheConfusionOfPixels) {
  const TrainOutcome outcome = run("run");
  const auto answers = report::parse_answers(read_file(outcome.run.answers()));
  ASSERT_TRUE(answers);
  ASSERT_EQ(answers->examples.size(), 3U);
  for (const auto& example : answers->examples) EXPECT_FALSE(example.input.empty());
  EXPECT_EQ(answers->examples[1].row, 9U);  // the middle of 16
  for (std::size_t k = 0; k < 4; ++k) {
    ASSERT_TRUE(answers->tasks[k].maps) << k;
    for (const auto& pair : answers->tasks[k].maps->pairs) {
      EXPECT_FALSE(pair.truth.empty());
      EXPECT_FALSE(pair.answer.empty());
    }
  }
  const report::ConfusionAnswers& things = *answers->tasks[0].confusion;
  EXPECT_DOUBLE_EQ(static_cast<double>(things.right) / static_cast<double>(things.total()),
                   outcome.summary["tasks"]["things"]["pixel_accuracy"].get<double>());
  EXPECT_LT(answers->tasks[2].maps->low, answers->tasks[2].maps->high);
  EXPECT_EQ(answers->tasks[4].confusion->total(), 16U);
}

TEST_F(DenseRunTest, AResumedRunIsTheWholeOne) {
  expect_resumed_equals_whole("whole", "stopped", {});
}

// Batch normalisation apart, the mean over pixels does not depend on how a batch is cut.
TEST_F(DenseRunTest, PartsOfABatchMakeTheSameStep) {
  const auto losses = [&](const std::string& out, const std::string& parts) {
    const TrainOutcome outcome = run(out,
                                     {"train.epochs=1",
                                      "train.micro_batches=" + parts,
                                      "precision=float64",
                                      "data.augment.flip=false",
                                      "data.augment.scales=[]"});
    return outcome.summary["tasks"];
  };
  const Json whole = losses("whole", "1");
  const Json cut = losses("cut", "3");
  for (const char* task : {"things", "depth"}) {
    for (const auto& [name, value] : whole[task].items()) {
      EXPECT_NEAR(value.get<double>(), cut[task][name].get<double>(), 1e-9) << task << name;
    }
  }
}

TEST_F(DenseRunTest, TrainsWithEachClassOfMethodsAndSkipsMissingMaps) {
  // Labels of the first half: none.
  std::string bytes = read_file(folder_ / "train.bin");
  const std::size_t labels = 20 + 48 * 256 * 3;
  bytes.replace(labels, 24 * 256, std::string(24 * 256, '\xff'));
  write_file_atomic(folder_ / "train.bin", bytes);
  for (const char* method : {"ew", "uw", "cagrad", "graddrop", "pcgrad"}) {
    SCOPED_TRACE(method);
    const TrainOutcome outcome = run(std::string("run_") + method,
                                     {std::string("balance.method=") + method,
                                      "train.epochs=1",
                                      "train.batch_size=4",
                                      "train.min_batch=1"});
    EXPECT_TRUE(std::isfinite(outcome.summary["tasks"]["depth"]["abs_error"].get<double>()));
  }
}

TEST_F(DenseRunTest, TrainsMtanOnLargerPictures) {
  write_file_atomic(folder_ / "train.bin", test::dense_container(8, {3, 32, 33}, 3, true, 1));
  write_file_atomic(folder_ / "dev.bin", test::dense_container(4, {3, 32, 33}, 3, true, 2));
  for (const char* kind : {"mtan", "segnet"}) {
    write_dense_recipe(std::string("model: {kind: ") + kind + ", width: 2}\n");
    const TrainOutcome outcome = run(kind, {"train.epochs=2", "train.batch_size=4"});
    EXPECT_TRUE(std::isfinite(outcome.summary["tasks"]["depth"]["abs_error"].get<double>()));
    const LoadedRun loaded = load_run(folder_ / kind, {});
    const auto dev =
        load_rows(loaded.recipe, loaded.recipe.data.files, data::Part::kDev, *loaded.source, true);
    const auto metrics = evaluate(
        loaded.recipe, predict_rows(*loaded.model, *dev, prediction_batch(loaded.recipe)), *dev);
    EXPECT_EQ(report::to_json(metrics_by_task(loaded.recipe, metrics)), outcome.summary["tasks"]);
  }
}

TEST_F(DenseRunTest, RefusesMapsFromOtherModels) {
  write_file_atomic(recipe_path(),
                    "data: {train: train.tsv, dev: dev.tsv}\n"
                    "tasks: [{name: score, head: depth}]\n");
  EXPECT_THAT(error_of([&] { run("run"); }).what(), HasSubstr("Use data.kind: dense"));
}

}  // namespace
}  // namespace detente::train

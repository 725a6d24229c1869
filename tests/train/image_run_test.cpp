// SPDX-License-Identifier: Apache-2.0
// Training on images: a class task and a regression task on made-up pictures.
#include <detente/train/corpus.h>
#include <detente/train/evaluate.h>
#include <detente/train/loaded_run.h>
#include <gmock/gmock.h>
#include <tests/support/write_images.h>
#include <tests/train/tiny_run.h>

#include <cmath>

namespace detente::train {
namespace {

using ::testing::HasSubstr;

class ImageRunTest : public TinyRunTest {
 protected:
  // Bars that lie or stand, as thick as the second task says.
  void SetUp() override {
    TinyRunTest::SetUp();
    Rng rng(5);
    std::filesystem::create_directories(folder_ / "pictures");
    std::string list = "image,way,thickness\n";
    for (int i = 0; i < 120; ++i) {
      const bool lies = rng.below(2) == 1;
      const std::size_t thickness = 1 + rng.below(4);
      data::Image image = test::noise(10, 10, 1, i);
      for (auto& value : image.values) value = static_cast<std::uint8_t>(value / 8);
      const std::size_t at = rng.below(10 - thickness);
      for (std::size_t k = at; k < at + thickness; ++k) {
        for (std::size_t j = 0; j < 10; ++j) image.values[lies ? k * 10 + j : j * 10 + k] = 230;
      }
      const std::string name = "pictures/" + std::to_string(i) + ".png";
      write_file_atomic(folder_ / name, test::png_file(image));
      list += name + (lies ? ",lies," : ",stands,") + std::to_string(thickness) + "\n";
    }
    write_file_atomic(folder_ / "list.csv", list);
    write_file_atomic(recipe_path(),
                      "data: {kind: images, train: list.csv, split: {dev: 0.2, test: 0.1}, "
                      "augment: {flip: true, crop: 1, erase: 0.1, jitter: 0.02}}\n"
                      "model: {channels: [8, 8], hidden: 16}\n"
                      "tasks:\n"
                      "  - {name: way, head: classes, class_names: [lies, stands]}\n"
                      "  - {name: thickness, head: regression, metrics: [r2]}\n"
                      "optimizer: {lr: 0.01}\n"
                      "train: {epochs: 12, batch_size: 16}\n"
                      "threads: 1\n");
  }
};

TEST_F(ImageRunTest, LearnsBothTasks) {
  const TrainOutcome outcome = run("run");
  const Json& tasks = outcome.summary["tasks"];
  EXPECT_GT(tasks["way"]["accuracy"].get<double>(), 0.9);
  EXPECT_GT(tasks["thickness"]["r2"].get<double>(), 0.6);
  EXPECT_TRUE(std::filesystem::exists(folder_ / "run/images.json"));
}

TEST_F(ImageRunTest, TheLoadedRunGivesTheMetricsOfTheSummary) {
  for (const char* norm : {"group", "batch"}) {
    const std::string out = std::string("run-") + norm;
    const TrainOutcome outcome = run(out, {std::string("model.norm=") + norm, "train.epochs=2"});
    const LoadedRun loaded = load_run(folder_ / out, {});
    const auto rows =
        load_rows(loaded.recipe, loaded.recipe.data.files, data::Part::kDev, *loaded.source, true);
    const Json metrics = report::to_json(metrics_by_task(
        loaded.recipe, evaluate(loaded.recipe, predict_rows(*loaded.model, *rows, 7), *rows)));
    for (const auto& [task, values] : outcome.summary["tasks"].items()) {
      for (const auto& [name, value] : values.items()) {
        EXPECT_NEAR(metrics[task][name].get<double>(), value.get<double>(), 1e-5) << task << name;
      }
    }
  }
}

TEST_F(ImageRunTest, ResumedEqualsNeverStopped) {
  for (const char* model : {"model.norm=group", "model.norm=batch"}) {
    const std::string name = model;
    const std::vector<std::string> options = {
        "train.epochs=3", model, "train.curvature_every=2", "engine.diagnose_every=2"};
    expect_resumed_equals_whole("whole" + name, "stopped" + name, options);
  }
}

TEST_F(ImageRunTest, MeasuringCurvatureChangesNothing) {
  for (const char* model : {"model.norm=group", "model.norm=batch"}) {
    const std::string name = model;
    run("with" + name, {"train.epochs=2", model, "train.curvature_every=1"});
    run("without" + name, {"train.epochs=2", model});
    const LoadedRun a = load_run(folder_ / ("with" + name), {});
    const LoadedRun b = load_run(folder_ / ("without" + name), {});
    const NamedTensors other = b.model->state();
    std::size_t i = 0;
    for (const auto& [key, tensor] : a.model->state()) {
      EXPECT_TRUE(tensor.equal(other[i++].second)) << key;
    }
  }
}

TEST_F(ImageRunTest, RefusesToGoOnWithOtherImages) {
  run("run", {"train.epochs=2"});
  const auto go_on = [&] { run("run", {"train.epochs=2"}, ExistingRun::kResume); };
  const std::string was = read_file(folder_ / "pictures/7.png");
  data::Image other = test::noise(10, 10, 1, 1000);
  for (int i = 0; i < 10; ++i) {
    write_file_atomic(folder_ / ("pictures/" + std::to_string(i) + ".png"), test::png_file(other));
  }
  const Error error = error_of(go_on);
  EXPECT_EQ(error.code(), ErrorCode::kData);
  EXPECT_THAT(error.what(), HasSubstr("images.json"));
}

TEST_F(ImageRunTest, ResNetTrains) {
  const TrainOutcome outcome = run("run",
                                   {"model={kind: resnet, small: true}",
                                    "train.epochs=1",
                                    "data.max_rows=32",
                                    "train.batch_size=8"});
  EXPECT_EQ(outcome.summary["steps"], 4);
}

TEST_F(ImageRunTest, KindsMustFitEachOther) {
  EXPECT_THAT(error_of([&] { recipe({"model={kind: mlp}"}); }).what(), HasSubstr("images"));
  EXPECT_THAT(error_of([&] { recipe({"data.size=[3]"}); }).what(), HasSubstr("data.size"));
  EXPECT_THAT(error_of([&] { recipe({"data.channels=2"}); }).what(), HasSubstr("channels"));
  EXPECT_THAT(error_of([&] { recipe({"model.norm=layer"}); }).what(), HasSubstr("norm"));
}

}  // namespace
}  // namespace detente::train

// SPDX-License-Identifier: Apache-2.0
// Tasks with files of their own: what a step makes of a batch of all of them.
#include <detente/data/epoch_plan.h>
#include <detente/train/corpus.h>
#include <detente/train/initial_model.h>
#include <detente/train/label_losses.h>
#include <detente/train/training_step.h>
#include <gmock/gmock.h>
#include <tests/train/tiny_run.h>
#include <torch/torch.h>

#include <cmath>

namespace detente::train {
namespace {

class SeveralSourcesRunTest : public TinyRunTest {
 protected:
  void SetUp() override {
    TinyRunTest::SetUp();
    Rng rng(5);
    const auto table = [&](const char* tasks, int rows) {
      std::string text = std::string("x,y,") + tasks + "\n";
      for (int i = 0; i < rows; ++i) {
        const double x = rng.normal();
        const double y = rng.normal();
        text += fmt::format("{},{},{},{}\n", x, y, x - y, i % 4 == 1 ? "" : x > y ? "1" : "0");
      }
      return text;
    };
    write_file_atomic(folder_ / "a.csv", table("up,down", 120));
    write_file_atomic(folder_ / "b.csv", table("left,down", 40));
    write_file_atomic(recipe_path(),
                      "data:\n"
                      "  kind: table\n"
                      "  sampler: square_root\n"
                      "  sources:\n"
                      "    - {name: a, train: a.csv, split: {dev: 0.2}}\n"
                      "    - {name: b, train: b.csv, split: {dev: 0.2}}\n"
                      "model: {widths: [16, 8], dropout: 0}\n"
                      "tasks:\n"
                      "  - {name: up, source: a, head: regression}\n"
                      "  - {name: left, source: b, head: regression}\n"
                      "  - {name: down, source: b, head: binary}\n"
                      "engine: {diagnose_every: 1}\n"
                      "train: {epochs: 3, batch_size: 24}\n"
                      "threads: 1\n");
  }
};

TEST_F(SeveralSourcesRunTest, GradientsAreThoseOfEachTasksOwnRows) {
  const Recipe recipe = load_recipe(recipe_path(), {"tasks.down.source=a", "precision=float64"});
  const Corpus corpus = load_corpus(recipe, {});
  const auto model = make_model(recipe, *corpus.train);
  start_from_data(recipe, *corpus.train, *model);
  const tensor::Device device = tensor::parse_device("cpu");
  const tensor::DType dtype = tensor::parse_dtype("float64");
  model->to(device, dtype);
  LabelLosses losses({recipe, corpus, *model, device, dtype});
  const data::EpochPlan plan(*corpus.train, recipe.loop.batches, recipe.data.sampler, {0, 0}, 0);
  const auto batches = plan.batches(0);
  TensorList shared;
  for (const auto& [name, tensor] : model->named_shared_parameters()) shared.push_back(tensor);

  // By plain autograd, of each source's rows alone.
  std::vector<at::Tensor> gradients(3);
  std::vector<double> values(3);
  for (const std::uint32_t source : {0U, 1U}) {
    data::RowList own;
    for (const std::size_t row : batches[0]) {
      if (corpus.train->origins()[row] == source) own.push_back(row);
    }
    ASSERT_FALSE(own.empty());
    const TaskLosses alone = losses(own, {Rng(1), {}});
    for (std::size_t k = 0; k < 3; ++k) {
      const bool has = (recipe.tasks[k].source == "a") == (source == 0);
      EXPECT_EQ(alone.values[k].defined(), has) << k;
      if (!has) continue;
      values[k] = alone.values[k].item<double>();
      TensorList parts;
      for (const at::Tensor& part :
           torch::autograd::grad({alone.values[k]}, shared, {}, /*retain_graph=*/true)) {
        parts.push_back(part.reshape(-1));
      }
      gradients[k] = torch::cat(parts);
    }
  }
  TrainingStep step(recipe, model->named_shared_parameters(), losses, 10);
  const StepResult result = step(batches, {});
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_NEAR(result.report->losses[i], values[i], 1e-12 * (1 + std::abs(values[i])));
    for (std::size_t j = 0; j < 3; ++j) {
      const double expected = gradients[i].dot(gradients[j]).item<double>();
      const double scale = (gradients[i].norm() * gradients[j].norm()).item<double>();
      EXPECT_NEAR(result.report->gram(i, j), expected, 1e-10 * scale) << i << j;
    }
  }
}

// Where every source has one task, each task has rows of its own: one backward pass.
TEST_F(SeveralSourcesRunTest, TheEngineTakesTasksBySegments) {
  const Recipe recipe = load_recipe(recipe_path(), {"train.tasks=[up, left]"});
  const Corpus corpus = load_corpus(recipe, {});
  const auto model = make_model(recipe, *corpus.train);
  start_from_data(recipe, *corpus.train, *model);
  const tensor::Device device = tensor::parse_device("cpu");
  LabelLosses losses({recipe, corpus, *model, device, tensor::parse_dtype("float32")});
  const data::EpochPlan plan(*corpus.train, recipe.loop.batches, recipe.data.sampler, {0, 0}, 0);
  const auto batches = plan.batches(0);
  TrainingStep step(recipe, model->named_shared_parameters(), losses, 10);
  for (std::int64_t batch = 0; batch < 3; ++batch) {
    EXPECT_EQ(step(batches, {batch, 0, batch}).report->strategy, engine::Strategy::kSegmented);
  }
}

TEST_F(SeveralSourcesRunTest, ResumedEqualsNeverStopped) {
  expect_resumed_equals_whole("whole", "stopped", {"data.sources.b.batch=4"});
}

// Two rows beside a few hundred: nothing is undefined and nothing is lost.
TEST_F(SeveralSourcesRunTest, TrainsOnATinyAndALargeSource) {
  write_file_atomic(folder_ / "b.csv", "x,y,left,down\n1,0,1,1\n0,1,-1,0\n2,1,1,1\n");
  const TrainOutcome outcome =
      run("run", {"data.sampler=proportional", "data.sources.b.split.dev=0.3"});
  EXPECT_EQ(outcome.summary["train_rows"], 98);
  EXPECT_TRUE(outcome.summary["tasks"]["up"]["pearson"].is_number());
}

}  // namespace
}  // namespace detente::train

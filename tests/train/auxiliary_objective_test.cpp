// SPDX-License-Identifier: Apache-2.0
// Tasks that images give themselves (train.objective: auxiliary), and training with few labels.
#include <detente/data/image_source.h>
#include <detente/train/initial_model.h>
#include <detente/train/loss_context.h>
#include <detente/train/objective.h>
#include <gmock/gmock.h>
#include <tests/support/write_images.h>
#include <tests/train/tiny_run.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace detente::train {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class AuxiliaryTest : public TinyRunTest {
 protected:
  // 60 images of 9 x 9 of noise, each of three classes with a bright row at a height of its own.
  void SetUp() override {
    TinyRunTest::SetUp();
    for (const char* part : {"train", "dev"}) {
      const bool train = std::string(part) == "train";
      const std::uint32_t count = train ? 60 : 30;
      std::string pixels;
      std::string labels;
      for (std::uint32_t i = 0; i < count; ++i) {
        data::Image image = test::noise(9, 9, 1, (train ? 0 : 500) + i);
        for (auto& value : image.values) value = static_cast<std::uint8_t>(value / 6);
        const std::size_t label = i % 3;
        for (std::size_t x = 0; x < 9; ++x) image.values[9 * (2 * label + 1) + x] = 220;
        pixels.append(image.values.begin(), image.values.end());
        labels += static_cast<char>(label);
      }
      write_file_atomic(folder_ / (std::string(part) + "-images-idx3-ubyte"),
                        test::idx_file({count, 9, 9}, pixels));
      write_file_atomic(folder_ / (std::string(part) + "-labels-idx1-ubyte"),
                        test::idx_file({count}, labels));
    }
    write_file_atomic(recipe_path(),
                      "data: {kind: images, train: train-images-idx3-ubyte, "
                      "dev: dev-images-idx3-ubyte}\n"
                      "model: {channels: [6, 6], hidden: 8, dropout: 0}\n"
                      "tasks:\n"
                      "  - {name: label, head: classes, classes: 3}\n"
                      "balance: {method: ew}\n"
                      "optimizer: {lr: 0.01}\n"
                      "train: {objective: auxiliary, epochs: 3, batch_size: 10}\n"
                      "threads: 1\n"
                      "precision: float64\n");
  }

  // The objective's losses of a recipe's first model.
  struct Ready {
    Ready(Recipe of) : recipe(std::move(of)), corpus(load_corpus(recipe, {})) {
      model = make_model(recipe, *corpus.train);
      model->to({}, tensor::DType::kFloat64);
      losses = recipe.loop.objective->losses({recipe, corpus, *model, {}, tensor::DType::kFloat64});
    }
    TaskLosses operator()(std::uint64_t seed = 7, const data::RowList& rows = {0, 5, 11, 30}) {
      StepDraws draws{Rng(seed), {}};
      draws.examples = Rng(seed).fork(1);
      return (*losses)(rows, draws);
    }
    at::Tensor state(const std::string& name) {
      for (const auto& [own, tensor] : losses->state()) {
        if (own == name) return tensor;
      }
      ADD_FAILURE() << "no " << name;
      return {};
    }

    Recipe recipe;
    Corpus corpus;
    std::unique_ptr<nn::Model> model;
    std::unique_ptr<LossSource> losses;
  };
};

TEST_F(AuxiliaryTest, BeginsWhereNothingIsKnown) {
  Ready ready(recipe({"train.auxiliary.cutout=0"}));
  EXPECT_THAT(ready.losses->tasks(), ElementsAre("rotation", "exemplar"));
  const TaskLosses losses = ready();
  EXPECT_NEAR(losses.values[0].item<double>(), 0.5 * std::log(4), 0.2);
  // Two views that coincide, and a teacher that is the model.
  EXPECT_NEAR(losses.values[1].item<double>(), -0.5, 1e-12);
  EXPECT_THAT(losses.rows, ElementsAre(4, 4));
  Ready shifted(recipe({"train.auxiliary.cutout=0",
                        "train.auxiliary.above_zero=true",
                        "train.auxiliary.coefficient=2"}));
  EXPECT_NEAR(shifted().values[1].item<double>(), 0, 1e-12);
  EXPECT_NEAR(shifted().values[0].item<double>(), 4 * losses.values[0].item<double>(), 1e-12);
}

// LibTorch's own turns, the model's features and the head.
TEST_F(AuxiliaryTest, RotationIsTheCrossEntropyOfFourTurns) {
  Ready ready(recipe());
  const data::RowList rows = {0, 5, 11, 30};
  const at::Tensor images =
      nn::tensor_of(data::array_of(ready.corpus.train->batch(rows, nullptr), "image"));
  TensorList turns;
  for (int k = 0; k < 4; ++k) turns.push_back(torch::rot90(images, k, {2, 3}));
  const at::Tensor all = torch::cat(turns).contiguous();
  const float* begin = all.data_ptr<float>();
  const data::Batch batch = {{"image", {16, 1, 9, 9}, std::vector<float>(begin, begin + 16 * 81)}};
  const at::Tensor features = ready.model->trunk().features(batch);
  const at::Tensor logits = torch::nn::functional::linear(
      features, ready.state("rotation.weight"), ready.state("rotation.bias"));
  at::Tensor expected = torch::zeros({}, torch::kFloat64);
  const at::Tensor logs = logits.log_softmax(1);
  for (int i = 0; i < 16; ++i) expected -= logs[i][i / 4] / 16;
  EXPECT_NEAR(ready().values[0].item<double>(), 0.5 * expected.item<double>(), 1e-10);
}

TEST_F(AuxiliaryTest, OneStepSaysTheSameTwice) {
  Ready ready(recipe({"data.augment={flip: true, crop: 2, noise: 0.1}"}));
  for (std::size_t task : {0, 1}) {
    EXPECT_EQ(ready(3).values[task].item<double>(), ready(3).values[task].item<double>());
    EXPECT_NE(ready(3).values[task].item<double>(), ready(4).values[task].item<double>());
  }
  // A row's chance is its own: both halves are the whole.
  const double one = ready(3, {0, 5}).values[1].item<double>();
  const double other = ready(3, {11, 30}).values[1].item<double>();
  EXPECT_NEAR((one + other) / 2, ready(3).values[1].item<double>(), 1e-12);
}

TEST_F(AuxiliaryTest, CuttingOutChangesWhatTheModelSeesAlone) {
  Ready ready(recipe({"train.auxiliary.cutout=6"}));
  const double loss = ready().values[1].item<double>();
  EXPECT_GT(loss, -0.5 + 1e-6);
  EXPECT_LE(loss, 0.5);
}

TEST_F(AuxiliaryTest, TheTeacherFollowsTheModel) {
  Ready ready(recipe({"train.auxiliary.decay=0.7"}));
  ready();
  const auto [name, parameter] = ready.model->trunk().parameters().trained().front();
  at::Tensor expected = parameter.detach().clone();
  for (int t = 1; t <= 6; ++t) {
    {
      const torch::NoGradGuard no_grad;
      at::Tensor(parameter).add_(0.1 * t);
    }
    ready.losses->after_step(t);
    const double d = std::min(1 - 1.0 / (t + 1), 0.7);
    expected = d * expected + (1 - d) * parameter.detach();
    EXPECT_TRUE(torch::allclose(ready.state("teacher.average." + name), expected));
  }
  // It answers with that: the model moved on and it did not.
  EXPECT_GT(ready().values[1].item<double>(), -0.5);
}

TEST_F(AuxiliaryTest, TheTeacherLearnsNothingByGradients) {
  Ready ready(recipe());
  ready().values[1].backward();
  for (const auto& [name, tensor] : ready.model->trunk().parameters().trained()) {
    EXPECT_TRUE(tensor.grad().defined()) << name;
  }
  EXPECT_FALSE(ready.state("rotation.weight").grad().defined());
  ready().values[0].backward();
  EXPECT_TRUE(ready.state("rotation.weight").grad().defined());
}

TEST_F(AuxiliaryTest, RefusesWhatItCannotDo) {
  const auto message = [&](const std::vector<std::string>& options) {
    return std::string(error_of([&] { Ready ready(recipe(options)); }).what());
  };
  EXPECT_THAT(message({"train.auxiliary={rotation: false, exemplar: false}"}),
              HasSubstr("no task"));
  EXPECT_THAT(message({"data.size=[9, 12]", "data.resize=stretch"}), HasSubstr("9 x 12"));
  EXPECT_NO_THROW(Ready(
      recipe({"data.size=[9, 12]", "data.resize=stretch", "train.auxiliary={rotation: false}"})));
}

TEST_F(AuxiliaryTest, StepsHaveLabelledRowsOfTheirOwn) {
  const Recipe few = recipe({"data.labelled={rows: 6, batch: 4, seed: 2}"});
  const Corpus corpus = load_corpus(few, {});
  const data::EpochPlan plan = epoch_plan(few, *corpus.train);
  EXPECT_EQ(plan.steps(), 5);  // 60 rows, 14 a step
  const auto& values = corpus.train->target("label").values;
  std::set<std::size_t> labelled;
  for (const data::RowList& batch : plan.batches(0)) {
    EXPECT_EQ(batch.size(), 14U);
    std::size_t count = 0;
    for (const std::size_t row : batch) {
      if (std::isnan(values[row])) continue;
      ++count;
      labelled.insert(row);
    }
    EXPECT_EQ(count, 4U);
  }
  EXPECT_EQ(labelled.size(), 6U);
  // Without a number of their own they come as they come.
  const Recipe mixed = recipe({"data.labelled={rows: 6}"});
  const Corpus other = load_corpus(mixed, {});
  EXPECT_EQ(epoch_plan(mixed, *other.train).steps(), 6);
}

TEST_F(AuxiliaryTest, LearnsFromFewLabelsAndTheImages) {
  const TrainOutcome outcome = run("run",
                                   {"data.labelled={rows: 9, batch: 6}",
                                    "train.epochs=12",
                                    "balance={method: arml, every: 4, inner: {method: cagrad}}"});
  EXPECT_GT(outcome.summary["tasks"]["label"]["accuracy"].get<double>(), 0.6);
  for (const Json& line : read_lines(folder_ / "run/metrics.jsonl")) {
    if (!line.contains("weights")) continue;
    for (const double weight : line["weights"]) EXPECT_GE(weight, 0);
  }
}

TEST_F(AuxiliaryTest, ResumedEqualsNeverStopped) {
  for (const std::string model :
       {"{channels: [6, 6], hidden: 8}", "{kind: wide_resnet, depth: 10, widen: 1, norm: batch}"}) {
    expect_resumed_equals_whole("whole" + std::to_string(model.size()),
                                "stopped" + std::to_string(model.size()),
                                {"model=" + model,
                                 "data.labelled={rows: 9, batch: 6}",
                                 "data.contrast=5",
                                 "data.zca=0.1",
                                 "data.augment={flip: true, crop: 1, noise: 0.1, pad: reflect}",
                                 "balance={method: arml, every: 3}"});
  }
}

}  // namespace
}  // namespace detente::train

// SPDX-License-Identifier: Apache-2.0
// Training with ordered classes, labels and several values, class weights, and ways of sharing.
#include <detente/balance/registry.h>
#include <detente/train/corpus.h>
#include <detente/train/evaluate.h>
#include <detente/train/initial_model.h>
#include <detente/train/label_losses.h>
#include <detente/train/loaded_run.h>
#include <detente/train/untrained_baseline.h>
#include <gmock/gmock.h>
#include <tests/train/tiny_run.h>
#include <torch/torch.h>

#include <cmath>
#include <numeric>
#include <set>

namespace detente::train {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class HeadsRunTest : public TinyRunTest {
 protected:
  void SetUp() override {
    TinyRunTest::SetUp();
    Rng rng(6);
    std::string text = "x,y,noise,grade,tags,left,right,up,rare\n";
    for (int i = 0; i < 240; ++i) {
      const double x = rng.normal();
      const double y = rng.normal();
      static const char* kGrades[] = {"bad", "fair", "good", "best"};
      const int grade = (x > -1 ? 1 : 0) + (x > 0 ? 1 : 0) + (x > 1 ? 1 : 0);
      std::string tags = x > 0 ? "warm" : "";
      if (y > 0) tags += std::string(tags.empty() ? "" : ";") + "wet";
      if (tags.empty()) tags = ";";
      text += fmt::format("{},{},{},{},{},{},{},{},{}\n",
                          x,
                          y,
                          rng.normal(),
                          i % 9 == 0 ? "" : kGrades[grade],
                          i % 8 == 1 ? "" : tags,
                          i % 7 == 0 ? "" : std::to_string(1e4 * x),
                          i % 5 == 0 ? "" : std::to_string(1e-3 * y),
                          y > 0 ? 1 : 0,
                          x + y > 2 ? 1 : 0);
    }
    write_file_atomic(folder_ / "t.csv", text);
    write_tasks(all_tasks());
  }

  static std::string all_tasks() {
    return "  - {name: grade, head: ordinal, class_names: [bad, fair, good, best], "
           "metrics: [quadratic_kappa, accuracy, mae, ece]}\n"
           "  - {name: tags, head: labels, separator: ';', class_names: [warm, wet], "
           "metrics: [macro_f1, micro_f1, auroc, exact_match]}\n"
           "  - {name: place, columns: [left, right], metrics: [r2, mae]}\n"
           "  - {name: both, head: labels, columns: [up, rare], metrics: [auroc, macro_f1]}\n";
  }

  void write_tasks(const std::string& tasks) {
    write_file_atomic(recipe_path(),
                      "data: {kind: table, train: t.csv, inputs: [x, y], "
                      "split: {dev: 0.2, test: 0.1}}\n"
                      "model: {widths: [32], dropout: 0}\n"
                      "tasks:\n" +
                          tasks +
                          "engine: {diagnose_every: 1}\n"
                          "optimizer: {lr: 0.01}\n"
                          "train: {epochs: 20, batch_size: 16}\n"
                          "threads: 1\n");
  }

  std::string refusal(const std::string& tasks) {
    write_tasks(tasks);
    return error_of([&] { recipe(); }).what();
  }
};

TEST_F(HeadsRunTest, LearnsEveryKindOfAnswer) {
  const TrainOutcome outcome = run("run");
  const Json& tasks = outcome.summary["tasks"];
  EXPECT_GT(tasks["grade"]["quadratic_kappa"].get<double>(), 0.85);
  EXPECT_LT(tasks["grade"]["mae"].get<double>(), 0.3);
  EXPECT_GT(tasks["tags"]["macro_f1"].get<double>(), 0.85);
  EXPECT_GT(tasks["tags"]["auroc"].get<double>(), 0.95);
  EXPECT_GT(tasks["place"]["r2"].get<double>(), 0.85);
  EXPECT_GT(tasks["place"]["mae"].get<double>(), 10) << "in the columns' own units";
  EXPECT_GT(tasks["both"]["auroc"].get<double>(), 0.9);
}

TEST_F(HeadsRunTest, TheLoadedRunGivesTheMetricsOfTheSummary) {
  const TrainOutcome outcome = run("run", {"train.epochs=3", "model.sharing=mmoe"});
  const LoadedRun loaded = load_run(folder_ / "run", {});
  const auto rows =
      load_rows(loaded.recipe, loaded.recipe.data.files, data::Part::kDev, *loaded.source, true);
  const auto predictions =
      predict_rows(*loaded.model, *rows, 7, wanted_probabilities(loaded.recipe));
  check_finite(loaded.recipe, predictions);
  EXPECT_EQ(predictions[1].values.size(), 2 * rows->size());
  const Json dev =
      report::to_json(metrics_by_task(loaded.recipe, evaluate(loaded.recipe, predictions, *rows)));
  for (const auto& [task, metrics] : outcome.summary["tasks"].items()) {
    for (const auto& [name, value] : metrics.items()) {
      EXPECT_NEAR(dev[task][name].get<double>(),
                  value.get<double>(),
                  1e-5 * std::abs(value.get<double>()) + 1e-9)
          << task << name;
    }
  }
}

TEST_F(HeadsRunTest, ResumedEqualsNeverStopped) {
  expect_resumed_equals_whole("whole", "stopped", {"train.epochs=3", "model.sharing=cgc"});
}

TEST_F(HeadsRunTest, MicroBatchesMakeTheSameStep) {
  const Json whole = run("whole", {"train.epochs=2"}).summary["tasks"];
  const Json parts = run("parts", {"train.epochs=2", "train.micro_batches=3"}).summary["tasks"];
  EXPECT_NEAR(whole["place"]["r2"].get<double>(), parts["place"]["r2"].get<double>(), 1e-3);
  EXPECT_NEAR(whole["tags"]["auroc"].get<double>(), parts["tags"]["auroc"].get<double>(), 1e-3);
}

TEST_F(HeadsRunTest, HasAFloorWithoutLearning) {
  run("run", {"train.epochs=1"});
  const auto baselines = untrained_baselines(load_run(folder_ / "run", {}));
  ASSERT_EQ(baselines.size(), 1U);
  const Json& tasks = baselines[0].tasks;
  EXPECT_NEAR(tasks["tags"]["auroc"].get<double>(), 0.5, 1e-12);
  EXPECT_NEAR(tasks["grade"]["quadratic_kappa"].get<double>(), 0.0, 1e-12);
  EXPECT_LE(tasks["place"]["r2"].get<double>(), 0.0);
}

TEST_F(HeadsRunTest, NamesWhatPredictionsAreCalled) {
  const Recipe r = recipe();
  EXPECT_THAT(r.tasks[0].prediction_names(), ElementsAre("grade", "grade_probability"));
  EXPECT_THAT(r.tasks[1].prediction_names(), ElementsAre("tags", "tags_warm", "tags_wet"));
  EXPECT_THAT(r.tasks[2].prediction_names(), ElementsAre("place_left", "place_right"));
  EXPECT_THAT(r.tasks[3].prediction_names(), ElementsAre("both", "both_up", "both_rare"));
}

TEST_F(HeadsRunTest, ARecipeReadsBackWhatItWrites) {
  const Recipe r = recipe({"tasks.grade.class_weights=[1, 0.5, 2, 4]", "model.sharing=ple"});
  write_file_atomic(recipe_path(), r.to_yaml());
  EXPECT_EQ(recipe().to_yaml(), r.to_yaml());
  EXPECT_THAT(r.to_yaml(), HasSubstr("class_weights: [1, 0.5, 2, 4]"));
  EXPECT_THAT(recipe().tasks[0].weights_of_classes({}), ElementsAre(1, 0.5, 2, 4));
}

TEST_F(HeadsRunTest, RefusesTargetsThatDoNotFit) {
  EXPECT_THAT(refusal("  - {name: tags, head: labels}\n"), HasSubstr("'columns' of 0 and 1"));
  EXPECT_THAT(refusal("  - {name: tags, head: labels, separator: ';'}\n"),
              HasSubstr("expected 'class_names'"));
  EXPECT_THAT(refusal("  - {name: tags, head: labels, separator: '; ', class_names: [a, b]}\n"),
              HasSubstr("one character"));
  EXPECT_THAT(refusal("  - {name: tags, head: labels, separator: ';', class_names: [a, 'b;c']}\n"),
              HasSubstr("no cell can hold the label 'b;c'"));
  EXPECT_THAT(refusal("  - {name: g, head: ordinal, columns: [a, b]}\n"),
              HasSubstr("'columns' is for regression and labels"));
  EXPECT_THAT(refusal("  - {name: g, column: left, columns: [left, right]}\n"),
              HasSubstr("one of them"));
  EXPECT_THAT(refusal("  - {name: g, columns: [left]}\n"), HasSubstr("two or more"));
  EXPECT_THAT(refusal("  - {name: g, columns: [left, left]}\n"), HasSubstr("twice"));
  EXPECT_THAT(refusal("  - {name: g, column: x, separator: ';'}\n"), HasSubstr("'separator'"));
  EXPECT_THAT(refusal("  - {name: both, head: labels, columns: [up, rare], class_names: [a, b]}\n"),
              HasSubstr("columns' names"));
  EXPECT_THAT(refusal("  - {name: grade, head: ordinal, loss: {name: cross_entropy}}\n"),
              HasSubstr("expected one of: cumulative, coral"));
  EXPECT_THAT(refusal("  - {name: grade, head: ordinal, metrics: [auroc]}\n"),
              HasSubstr("not a metric of ordinal tasks"));
}

TEST_F(HeadsRunTest, RefusesClassWeightsThatDoNotFit) {
  EXPECT_THAT(refusal("  - {name: up, head: binary, class_weights: [1, 2, 3]}\n"),
              HasSubstr("3 numbers for 2 classes"));
  EXPECT_THAT(refusal("  - {name: up, head: binary, class_weights: balancd}\n"),
              HasSubstr("Did you mean 'balanced'?"));
  EXPECT_THAT(refusal("  - {name: up, head: binary, class_weights: [0, 0]}\n"), HasSubstr("all 0"));
  EXPECT_THAT(refusal("  - {name: up, head: binary, class_weights: [1, -1]}\n"),
              HasSubstr("must be in [0, 1000000]"));
  EXPECT_THAT(refusal("  - {name: left, class_weights: balanced}\n"), HasSubstr("binary, class"));
  EXPECT_THAT(
      refusal("  - {name: both, head: labels, columns: [up, rare], class_weights: [1, 2]}\n"),
      HasSubstr("loss.positive_weight"));
}

TEST_F(HeadsRunTest, BalancedWeightsComeFromTheTrainingRows) {
  write_tasks("  - {name: rare, head: binary, class_weights: balanced}\n");
  const Recipe r = recipe();
  const Corpus corpus = load_corpus(r, {});
  const auto& targets = corpus.train->target("rare").values;
  double ones = 0;
  for (const double t : targets) ones += t;
  const auto n = static_cast<double>(targets.size());
  const auto weights = r.tasks[0].weights_of_classes(targets);
  ASSERT_EQ(weights.size(), 2U);
  EXPECT_NEAR(weights[1], n / (2 * ones), 1e-12);
  EXPECT_NEAR(weights[0], n / (2 * (n - ones)), 1e-12);
  // Over all training rows every class counts the same, and all together as much as without.
  EXPECT_NEAR(weights[1] * ones, weights[0] * (n - ones), 1e-9);
  const auto missing = r.tasks[0].weights_of_classes(std::vector<double>{1, 1, NAN});
  EXPECT_THAT(missing, ElementsAre(1, 0.5)) << "nothing divides by a class without rows";
}

// Where the inputs say nothing the best answer is the share of ones, and a half when both classes weigh
// the same.
TEST_F(HeadsRunTest, BalancedWeightsAnswerForAWorldOfEqualClasses) {
  const auto positives = [&](const char* weights) {
    write_tasks(std::string("  - {name: rare, head: binary, class_weights: ") + weights + "}\n");
    run(weights, {"data.inputs=[noise]", "train.epochs=20", "optimizer.lr=0.03"});
    const LoadedRun loaded = load_run(folder_ / weights, {});
    const auto rows =
        load_rows(loaded.recipe, loaded.recipe.data.files, data::Part::kDev, *loaded.source, true);
    const auto predictions = predict_rows(*loaded.model, *rows, 16);
    double sum = 0;
    for (const double p : predictions[0].values) sum += p;
    return sum / static_cast<double>(rows->size());
  };
  EXPECT_LT(positives("none"), 0.2);
  EXPECT_NEAR(positives("balanced"), 0.5, 0.15);
}

// The engine's gradients against autograd's own, for every way of sharing: with targets that are all
// there, that are missing here and there, and where each row has the target of one task alone.
class SharingLaw : public HeadsRunTest, public ::testing::WithParamInterface<const char*> {
 protected:
  void write_data(int missing) {
    Rng rng(9);
    std::string text = "x,y,a,b,c\n";
    for (int i = 0; i < 90; ++i) {
      const double x = rng.normal();
      const double y = rng.normal();
      const auto keep = [&](int task) {
        if (missing == 0) return true;
        return missing == 1 ? (i + task) % 3 != 0 : i % 3 == task;
      };
      text += fmt::format("{},{},{},{},{}\n",
                          x,
                          y,
                          keep(0) ? std::to_string(x + y) : "",
                          keep(1) ? (x > 0 ? "1" : "0") : "",
                          keep(2) ? std::to_string(i % 4) : "");
    }
    write_file_atomic(folder_ / "t.csv", text);
    write_tasks(
        "  - {name: a}\n  - {name: b, head: binary}\n"
        "  - {name: c, head: ordinal, classes: 4}\n");
  }
};

TEST_P(SharingLaw, TheEnginesGradientsAreAutograds) {
  using engine::Strategy;
  for (const int missing : {0, 1, 2}) {
    write_data(missing);
    const Recipe r = recipe({std::string("model.sharing=") + GetParam(), "precision=float64"});
    const Corpus corpus = load_corpus(r, {});
    const auto model = make_model(r, *corpus.train);
    start_from_data(r, *corpus.train, *model);
    model->to({}, tensor::DType::kFloat64);
    LabelLosses losses({r, corpus, *model, {}, tensor::DType::kFloat64});
    data::RowList rows(48);
    std::iota(rows.begin(), rows.end(), std::size_t{0});
    const StepDraws draws{Rng(1), std::nullopt};

    // Autograd's own, task by task.
    const TensorList shared = model->shared_parameters();
    std::vector<TensorList> own;
    std::set<const void*> seen;
    for (const at::Tensor& p : shared) EXPECT_TRUE(seen.insert(p.unsafeGetTensorImpl()).second);
    for (std::size_t k = 0; k < 3; ++k) {
      own.push_back(model->head_parameters(k));
      for (const at::Tensor& p : own[k]) EXPECT_TRUE(seen.insert(p.unsafeGetTensorImpl()).second);
    }
    const TaskLosses values = losses(rows, draws);
    std::vector<TensorList> expected;
    std::vector<TensorList> expected_own;
    const auto gradient_of = [&](std::size_t k, const TensorList& of) {
      TensorList found = torch::autograd::grad(
          {values.values[k]}, of, {}, /*retain_graph=*/true, false, /*allow_unused=*/true);
      for (std::size_t i = 0; i < of.size(); ++i) {
        if (!found[i].defined()) found[i] = torch::zeros_like(of[i]);
      }
      return found;
    };
    for (std::size_t k = 0; k < 3; ++k) {
      expected.push_back(gradient_of(k, shared));
      expected_own.push_back(gradient_of(k, own[k]));
      // No task reaches what is another's own.
      for (std::size_t j = 0; j < 3; ++j) {
        if (j == k) continue;
        for (const at::Tensor& g : gradient_of(k, own[j])) {
          EXPECT_EQ(g.abs().max().item<double>(), 0.0);
        }
      }
    }

    for (const char* strategy : {"auto", "sequential", "ghost", "segmented"}) {
      for (const bool low : {false, true}) {
        if (low && strategy != std::string("auto")) continue;
        SCOPED_TRACE(fmt::format("missing {} strategy {} low {}", missing, strategy, low));
        engine::MultiTaskOptions options;
        set_field([&](FieldVisitor& v) { options.describe(v); }, "strategy", strategy, "test");
        if (low) options.memory = engine::MultiTaskOptions::Memory::kLow;
        options.diagnose_every = 1;
        // Weights that follow from the Gram matrix, so that a wrong one shows in the direction.
        engine::MultiTaskBackward backward(
            shared, own, balance::make_method("cagrad"), losses.tasks(), options);
        Rng rng(3);
        const engine::StepReport* report = nullptr;
        try {
          report = &backward(losses(rows, draws).values, rng);
        } catch (const Error& error) {
          EXPECT_EQ(error.code(), ErrorCode::kUnsupported) << error.what();
          continue;
        }
        for (std::size_t i = 0; i < 3; ++i) {
          for (std::size_t j = 0; j < 3; ++j) {
            double product = 0;
            for (std::size_t p = 0; p < shared.size(); ++p) {
              product += (expected[i][p] * expected[j][p]).sum().item<double>();
            }
            EXPECT_NEAR(report->gram(i, j), product, 1e-9 * (1 + std::abs(product)));
          }
        }
        for (std::size_t p = 0; p < shared.size(); ++p) {
          at::Tensor direction = torch::zeros_like(shared[p]);
          for (std::size_t k = 0; k < 3; ++k) {
            direction = direction + report->weights[k] * expected[k][p];
          }
          const at::Tensor found =
              shared[p].grad().defined() ? shared[p].grad() : torch::zeros_like(shared[p]);
          EXPECT_TRUE(torch::allclose(found, direction, 1e-8, 1e-10)) << p;
        }
        for (std::size_t k = 0; k < 3; ++k) {
          for (std::size_t p = 0; p < own[k].size(); ++p) {
            const at::Tensor found =
                own[k][p].grad().defined() ? own[k][p].grad() : torch::zeros_like(own[k][p]);
            EXPECT_TRUE(torch::allclose(found, expected_own[k][p], 1e-8, 1e-10)) << k << " " << p;
          }
        }
      }
    }
  }
}

TEST_P(SharingLaw, TrainsResumesAndIsLoaded) {
  write_data(1);
  const std::string way = std::string("model.sharing=") + GetParam();
  const auto runs = expect_resumed_equals_whole("whole", "stopped", {way, "train.epochs=3"});
  const LoadedRun loaded = load_run(folder_ / "whole", {});
  EXPECT_EQ(loaded.model->parameter_count(),
            runs.resumed.summary["parameters"].get<std::int64_t>());
  EXPECT_STREQ(loaded.model->sharing().kind(), GetParam());
}

INSTANTIATE_TEST_SUITE_P(Ways,
                         SharingLaw,
                         ::testing::Values("hard", "mmoe", "cgc", "ple", "cross_stitch"));

}  // namespace
}  // namespace detente::train

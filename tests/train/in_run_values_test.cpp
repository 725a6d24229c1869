// SPDX-License-Identifier: Apache-2.0
// Values of examples from a run, against single gradients, sums and other ways to the same run.
#include <detente/balance/registry.h>
#include <detente/train/corpus.h>
#include <detente/train/in_run_values.h>
#include <detente/train/initial_model.h>
#include <detente/valuation/value_table.h>
#include <gmock/gmock.h>
#include <tests/train/tiny_run.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>

namespace detente::train {
namespace {

using ::testing::HasSubstr;

class InRunValuesTest : public TinyRunTest {
 protected:
  // A table with two targets, every ninth of the first missing.
  void SetUp() override {
    TinyRunTest::SetUp();
    write_table(120);
    write(" ");
  }

  void write_table(int rows) {
    Rng rng(6);
    std::string text = "x,y,left,up\n";
    for (int i = 0; i < rows; ++i) {
      const double x = rng.normal();
      const double y = rng.normal();
      text += fmt::format(
          "{},{},{},{}\n", x, y, i % 9 == 0 ? "" : std::to_string(x - 0.5 * y), y > 0 ? 1 : 0);
    }
    write_file_atomic(folder_ / "t.csv", text);
  }

  void write(const std::string& more) {
    write_file_atomic(recipe_path(),
                      "data: {kind: table, train: t.csv, inputs: [x, y], "
                      "split: {dev: 0.25, seed: 1}}\n"
                      "model: {widths: [12, 8], dropout: 0}\n"
                      "tasks:\n"
                      "  - {name: left, head: regression, loss: {name: mse}}\n"
                      "  - {name: up, head: binary}\n"
                      "optimizer: {lr: 0.01}\n"
                      "train: {epochs: 3, batch_size: 16}\n"
                      "precision: float64\n"
                      "threads: 1\n"
                      "valuation: {method: in_run, every: 3}\n" +
                          more);
  }

  valuation::ValueTable values(const std::string& out) const {
    return valuation::read_values((folder_ / out / "values.csv").string());
  }

  static const valuation::ValueSeries& series(const valuation::ValueTable& table,
                                              const std::string& trained,
                                              const std::string& judged) {
    for (const auto& one : table.series) {
      if (one.task_trained == trained && one.task_judged == judged) return one;
    }
    throw std::runtime_error("no such series");
  }

  static void expect_equal(const valuation::ValueTable& a,
                           const valuation::ValueTable& b,
                           double tolerance) {
    ASSERT_EQ(a.ids, b.ids);
    ASSERT_EQ(a.series.size(), b.series.size());
    for (std::size_t s = 0; s < a.series.size(); ++s) {
      double size = 0;
      for (const double v : a.series[s].values) size = std::max(size, std::abs(v));
      ASSERT_GT(size, 0);
      for (std::size_t i = 0; i < a.ids.size(); ++i) {
        EXPECT_NEAR(a.series[s].values[i], b.series[s].values[i], tolerance * size)
            << s << " " << i;
      }
    }
  }
};

TEST_F(InRunValuesTest, TheAuditClosesForEveryMethod) {
  for (const std::string& method : balance::method_names()) {
    // Their direction is not made of this step's gradients with a weight for each.
    if (method == "graddrop" || method == "trimmed_mean" || method == "m_config" ||
        method == "db_mtl" || method == "moco") {
      continue;
    }
    const auto outcome = run(method, {"balance.method=" + method, "train.epochs=1"});
    const Json& audit = outcome.summary.at("valuation");
    EXPECT_LT(audit.at("max_relative_error").get<double>(), 1e-9) << method;
    EXPECT_EQ(audit.at("steps"), outcome.summary.at("steps")) << method;
  }
}

TEST_F(InRunValuesTest, TheAuditClosesInEveryWayToTrain) {
  for (const std::vector<std::string>& overrides :
       std::vector<std::vector<std::string>>{{"precision=float32"},
                                             {"engine.clip_norm=0.1"},
                                             {"optimizer.clip_each=0.05"},
                                             {"train.micro_batches=3"},
                                             {"engine.granularity=layers", "balance.method=upgrad"},
                                             {"engine.heads=own_loss"},
                                             {"engine.heads=weighted", "balance.method=mgda"},
                                             {"valuation.order=2"},
                                             {"valuation.groups=layers"}}) {
    const auto outcome = run("one", overrides, ExistingRun::kForce);
    EXPECT_LT(outcome.summary.at("valuation").at("max_relative_error").get<double>(),
              overrides[0] == "precision=float32" ? 1e-5 : 1e-9)
        << overrides[0];
  }
}

// One step on one batch of all rows: every value by its own gradient.
TEST_F(InRunValuesTest, AreThoseOfTheExamplesOwnGradients) {
  const std::vector<std::string> overrides = {
      "train.epochs=1", "train.batch_size=1000", "balance.method=ew", "optimizer.weight_decay=0"};
  run("one", overrides);
  const auto table = values("one");
  const Recipe r = recipe(overrides);
  const Corpus corpus = load_corpus(r, {});
  const auto model = make_model(r, *corpus.train);
  start_from_data(r, *corpus.train, *model);
  model->to({}, tensor::DType::kFloat64);
  const HeadLosses losses(r, *corpus.train, *model, {}, tensor::DType::kFloat64);
  TensorList parameters = model->shared_parameters();
  for (std::size_t k = 0; k < 2; ++k) {
    for (const auto& one : model->head_parameters(k)) parameters.push_back(one);
  }
  const auto all_of = [](std::size_t n) {
    data::RowList rows(n);
    for (std::size_t i = 0; i < n; ++i) rows[i] = i;
    return rows;
  };
  const auto gradients_of = [&](const at::Tensor& loss) {
    TensorList found = torch::autograd::grad({loss}, parameters, {}, true, false, true);
    for (std::size_t p = 0; p < found.size(); ++p) {
      if (!found[p].defined()) found[p] = torch::zeros_like(parameters[p]);
    }
    return found;
  };
  const std::size_t n = corpus.train->size();
  const TaskLosses whole = losses.of_rows(*corpus.train, all_of(n));
  const TensorList left = gradients_of(whole.values[0]);
  const TensorList up = gradients_of(whole.values[1]);
  const TaskLosses dev = losses.of_rows(*corpus.dev, all_of(corpus.dev->size()));
  constexpr double kWeight = 0.5;  // of ew
  for (std::size_t m = 0; m < 2; ++m) {
    const TensorList v = gradients_of(dev.values[m]);
    for (std::size_t k = 0; k < 2; ++k) {
      const auto& own = series(table, k == 0 ? "left" : "up", m == 0 ? "left" : "up");
      for (const std::size_t i : {std::size_t{0}, std::size_t{7}, n - 1, n / 2}) {
        const TaskLosses single = losses.of_rows(*corpus.train, {i});
        double expected = 0;
        if (single.values[k].defined()) {
          const TensorList g = gradients_of(single.values[k] / whole.rows[k]);
          for (std::size_t p = 0; p < parameters.size(); ++p) {
            const at::Tensor d = kWeight * (left[p] + up[p]);
            const at::Tensor factor = r.optimizer.lr / (d.abs() + r.optimizer.eps);
            expected += kWeight * (factor * g[p] * v[p]).sum().item<double>();
          }
        }
        EXPECT_NEAR(own.values[i], expected, 1e-9 * (1 + std::abs(expected))) << k << m << i;
        EXPECT_EQ(own.counts[i], 1);
      }
    }
  }
}

TEST_F(InRunValuesTest, ABatchInPartsGivesTheSameValues) {
  run("whole");
  run("parts", {"train.micro_batches=4"});
  expect_equal(values("whole"), values("parts"), 1e-6);
}

TEST_F(InRunValuesTest, ARunThatWasStoppedGivesTheSameValues) {
  expect_resumed_equals_whole("whole", "stopped", {"valuation.every=4"});
  EXPECT_EQ(read_file(folder_ / "whole" / "values.csv"),
            read_file(folder_ / "stopped" / "values.csv"));
}

TEST_F(InRunValuesTest, TrainingIsTheSameWithAndWithoutValues) {
  run("with");
  run("without", {"valuation.method=none"});
  EXPECT_EQ(read_file(folder_ / "with" / "model.safetensors").size() > 0, true);
  const auto model = [&](const char* out) { return load_run(folder_ / out, {}).model->state(); };
  const auto a = model("with");
  const auto b = model("without");
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(torch::equal(a[i].second, b[i].second));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "without" / "values.csv"));
}

TEST_F(InRunValuesTest, AllLinesTogetherAreTheChangeOfTheLossToTheOrderAskedFor) {
  // A smooth network: where one has kinks, the curvature at a point says nothing of those beside it.
  write_recipe("precision: float64\nvaluation: {method: in_run}\n");
  const auto missing = [&](const std::string& order) {
    const std::vector<std::string> overrides = {"valuation.order=" + order,
                                                "valuation.every=1",
                                                "train.epochs=2",
                                                "model.dropout=0",
                                                "tasks.score.loss.name=mse",
                                                "optimizer.lr=0.001"};
    const auto outcome = run("order" + order, overrides);
    const Recipe r = recipe(overrides);
    const Corpus corpus = load_corpus(r, {});
    const auto before = make_model(r, *corpus.train);
    start_from_data(r, *corpus.train, *before);
    before->to({}, tensor::DType::kFloat64);
    data::RowList rows(corpus.dev->size());
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = i;
    const HeadLosses losses(r, *corpus.train, *before, {}, tensor::DType::kFloat64);
    const double first = losses.of_rows(*corpus.dev, rows).values[0].item<double>();
    // The second epoch's is the best of a loss that falls, so it is the model that is kept.
    EXPECT_EQ(outcome.summary.at("best_epoch"), 2);
    before->load_state(load_run(folder_ / ("order" + order), {}).model->state());
    const double last = losses.of_rows(*corpus.dev, rows).values[0].item<double>();
    EXPECT_LT(last, first);
    const double told =
        outcome.summary.at("valuation").at("tasks").at("score").at("total").get<double>();
    return std::abs(told - (first - last)) / (first - last);
  };
  const double first = missing("1");
  const double second = missing("2");
  EXPECT_LT(second, 0.02);
  EXPECT_LT(second, 0.1 * first);
}

TEST_F(InRunValuesTest, ExamplesWithoutATargetHaveNoPartInItsTask) {
  run("one", {"train.epochs=1"});
  const auto table = values("one");
  const Recipe r = recipe();
  const Corpus corpus = load_corpus(r, {});
  const auto& target = corpus.train->target("left").values;
  int none = 0;
  int others = 0;
  for (std::size_t i = 0; i < target.size(); ++i) {
    for (const char* judged : {"left", "up"}) {
      const double value = series(table, "left", judged).values[i];
      if (std::isnan(target[i])) {
        EXPECT_EQ(value, 0) << i;
      }
      others += std::isnan(target[i]) || value == 0 ? 0 : 1;
    }
    none += std::isnan(target[i]) ? 1 : 0;
  }
  EXPECT_GT(none, 3);
  EXPECT_GT(others, 100);
}

TEST_F(InRunValuesTest, OfSentencesWithACorrelationLoss) {
  write_recipe("valuation: {method: in_run, rows: 8, groups: layers}\nprecision: float64\n");
  const auto outcome = run("pairs", {"train.epochs=1"});
  EXPECT_LT(outcome.summary.at("valuation").at("max_relative_error").get<double>(), 1e-9);
}

TEST_F(InRunValuesTest, NothingToJudgeByIsAnError) {
  write("");
  EXPECT_THAT(error_of([&] { run("one", {"parallel.zero=1"}); }).what(), HasSubstr("zero"));
}

}  // namespace
}  // namespace detente::train

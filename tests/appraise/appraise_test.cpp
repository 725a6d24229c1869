// SPDX-License-Identifier: Apache-2.0
// Values of a run's rows: what each method must find where labels are wrong on purpose, and tracin
// against single gradients.
#include <detente/appraise/appraise.h>
#include <detente/nn/parameters.h>
#include <detente/train/judge.h>
#include <detente/train/schedule.h>
#include <detente/train/snapshot.h>
#include <detente/valuation/detection.h>
#include <gmock/gmock.h>
#include <tests/train/tiny_run.h>
#include <torch/torch.h>

#include <cmath>

namespace detente::appraise {
namespace {

using ::testing::HasSubstr;
using train::Corpus;
using train::LoadedRun;

class AppraiseTest : public train::TinyRunTest {
 protected:
  static constexpr int kRows = 160;

  // Every fifth of the first 120 rows has the wrong class; `value` is right everywhere.
  void SetUp() override {
    TinyRunTest::SetUp();
    Rng rng(6);
    std::string text = "x,y,side,value,part\n";
    for (int i = 0; i < kRows; ++i) {
      const double x = rng.normal();
      const double y = rng.normal();
      const bool flipped = is_flipped(i);
      text += fmt::format(
          "{},{},{},{},{}\n", x, y, (x > 0) != flipped ? 1 : 0, x + y, i < 120 ? "train" : "dev");
    }
    write_file_atomic(folder_ / "t.csv", text);
    write_file_atomic(recipe_path(),
                      "data: {kind: table, train: t.csv, inputs: [x, y], "
                      "split: {column: part}}\n"
                      "model: {widths: [12, 8], dropout: 0}\n"
                      "tasks:\n"
                      "  - {name: side, head: binary}\n"
                      "  - {name: value, head: regression, loss: {name: mse}}\n"
                      "optimizer: {lr: 0.03}\n"
                      "train: {epochs: 20, batch_size: 16, keep: all}\n"
                      "precision: float64\n"
                      "threads: 1\n");
  }
  static bool is_flipped(int row) { return row < 120 && row % 5 == 0; }

  LoadedRun trained() {
    run("run");
    return train::load_run(folder_ / "run", {});
  }
  static Corpus corpus_of(const LoadedRun& run) {
    const auto& files = run.recipe.data.files;
    return {train::load_rows(run.recipe, files, data::Part::kTrain, *run.source, true),
            train::load_rows(run.recipe, files, data::Part::kDev, *run.source, true)};
  }
};

TEST_F(AppraiseTest, EveryMethodHasAValueForEveryRow) {
  const LoadedRun run = trained();
  const Corpus corpus = corpus_of(run);
  Options options;
  options.permutations = 3;
  options.samples = 50;
  options.models = 40;
  options.rows = 30;
  for (const Method& method : methods()) {
    // These want other runs.
    if (std::string(method.name) == "in_run" || std::string(method.name) == "modality") continue;
    const Appraisal found = method.appraise({run, corpus}, options);
    EXPECT_EQ(found.table.method, method.name);
    EXPECT_EQ(found.table.ids.size(), corpus.train->size());
    const bool by_pairs = std::string(method.name) == "tracin" || found.table.method == "influence";
    EXPECT_EQ(found.table.series.size(), by_pairs ? 4U : 2U);
    for (const auto& series : found.table.series) {
      ASSERT_EQ(series.values.size(), corpus.train->size());
      for (const double value : series.values) EXPECT_TRUE(std::isfinite(value)) << method.name;
    }
  }
}

TEST_F(AppraiseTest, WrongLabelsAreWorthLess) {
  const LoadedRun run = trained();
  const Corpus corpus = corpus_of(run);
  std::vector<double> wrong;
  for (std::size_t i = 0; i < corpus.train->size(); ++i) {
    const auto row = static_cast<int>(corpus.train->place(i).row);
    wrong.push_back(is_flipped(row) ? 1.0 : 0.0);
  }
  for (const char* method : {"loss", "knn_shapley", "oob", "tracin"}) {
    const Appraisal found = method_of(method).appraise({run, corpus}, {});
    EXPECT_EQ(found.table.series[0].task_trained, "side");
    EXPECT_EQ(found.table.series[0].task_judged, "side");
    const double auc = valuation::detection_auroc(found.table.series[0].values, wrong).value;
    EXPECT_GT(auc, 0.8) << method;
    // Of the other task, whose labels are right, the same rows are like any others.
    const double other = valuation::detection_auroc(found.table.series.back().values, wrong).value;
    EXPECT_NEAR(other, 0.5, 0.2) << method;
  }
}

TEST_F(AppraiseTest, TracinIsTheSumOverSnapshotsOfSingleProducts) {
  const LoadedRun run = trained();
  const Corpus corpus = corpus_of(run);
  const Appraisal found = tracin({run, corpus}, {});
  nn::Model model = run.model->clone();
  const train::Judge judge({run.recipe, corpus, model, {}, tensor::DType::kFloat64}, 1000);
  TensorList parameters = model.shared_parameters();
  for (std::size_t k = 0; k < 2; ++k) {
    for (const auto& own : model.head_parameters(k)) parameters.push_back(own);
  }
  const auto paths = train::snapshot_paths(run.run.root);
  ASSERT_EQ(paths.size(), 20U);
  for (const std::size_t row : {std::size_t{0}, std::size_t{17}, corpus.train->size() - 1}) {
    double expected = 0;
    std::int64_t whole = 0;
    for (const auto& path : paths) {
      const train::Snapshot snapshot = train::read_snapshot(path);
      whole = std::max(whole, snapshot.state.step);
      model.load_state(nn::without_prefix(snapshot.tensors, "model."));
      const TensorList v = judge.gradients(parameters)[1];
      const train::TaskLosses own = judge.losses().of_rows(*corpus.train, {row});
      const auto g = torch::autograd::grad({own.values[0]}, parameters, {}, {}, false, true);
      double product = 0;
      for (std::size_t p = 0; p < g.size(); ++p) {
        if (g[p].defined() && v[p].defined()) product += (g[p] * v[p]).sum().item<double>();
      }
      expected += product * run.recipe.optimizer.lr *
                  train::schedule_factor(run.recipe.schedule, snapshot.state.step - 1, whole);
    }
    EXPECT_NEAR(found.table.series[1].values[row], expected, 1e-10 * (1 + std::abs(expected)));
    EXPECT_EQ(found.table.series[1].task_trained, "side");
    EXPECT_EQ(found.table.series[1].task_judged, "value");
  }
}

TEST_F(AppraiseTest, CosinesAreThoseOfSingleGradients) {
  run("run", {"train.epochs=2"});
  const LoadedRun run = train::load_run(folder_ / "run", {});
  const Corpus corpus = corpus_of(run);
  const Appraisal found = tracin({run, corpus}, {.cosine = true});
  nn::Model model = run.model->clone();
  const train::Judge judge({run.recipe, corpus, model, {}, tensor::DType::kFloat64}, 1000);
  TensorList parameters = model.shared_parameters();
  for (std::size_t k = 0; k < 2; ++k) {
    for (const auto& own : model.head_parameters(k)) parameters.push_back(own);
  }
  const auto paths = train::snapshot_paths(run.run.root);
  ASSERT_EQ(paths.size(), 2U);
  for (const std::size_t row : {std::size_t{0}, std::size_t{17}}) {
    for (std::size_t s = 0; s < 4; ++s) {
      double expected = 0;
      for (const auto& path : paths) {
        model.load_state(nn::without_prefix(train::read_snapshot(path).tensors, "model."));
        const TensorList v = judge.gradients(parameters)[s % 2];
        const auto g =
            torch::autograd::grad({judge.losses().of_rows(*corpus.train, {row}).values[s / 2]},
                                  parameters,
                                  {},
                                  {},
                                  false,
                                  true);
        double product = 0;
        double own = 0;
        double judged = 0;
        for (std::size_t p = 0; p < g.size(); ++p) {
          if (g[p].defined() && v[p].defined()) product += (g[p] * v[p]).sum().item<double>();
          if (g[p].defined()) own += g[p].square().sum().item<double>();
          if (v[p].defined()) judged += v[p].square().sum().item<double>();
        }
        expected += product / std::sqrt(own * judged) / 2;
      }
      EXPECT_NEAR(found.table.series[s].values[row], expected, 1e-10) << s;
    }
  }
  for (const double value : found.table.series[0].values) EXPECT_LE(std::abs(value), 1 + 1e-12);
  EXPECT_THAT(train::error_of([&] {
                tracin({run, corpus}, {.self = true, .cosine = true});
              }).what(),
              HasSubstr("--self or --cosine"));
}

TEST_F(AppraiseTest, TracinOfItselfFindsWrongLabels) {
  const LoadedRun run = trained();
  const Corpus corpus = corpus_of(run);
  const Appraisal found = tracin({run, corpus}, {.self = true});
  ASSERT_EQ(found.table.series.size(), 2U);
  EXPECT_EQ(found.table.series[1].task_judged, "value");
  std::vector<double> wrong;
  for (std::size_t i = 0; i < corpus.train->size(); ++i) {
    wrong.push_back(is_flipped(static_cast<int>(corpus.train->place(i).row)) ? 1.0 : 0.0);
    EXPECT_LT(found.table.series[0].values[i], 0);
  }
  EXPECT_GT(valuation::detection_auroc(found.table.series[0].values, wrong).value, 0.8);
}

TEST_F(AppraiseTest, LossIsThatOfEachRowAlone) {
  const LoadedRun run = trained();
  const Corpus corpus = corpus_of(run);
  const Appraisal found = loss({run, corpus}, {});
  nn::Model model = run.model->clone();
  const train::Judge judge({run.recipe, corpus, model, {}, tensor::DType::kFloat64}, 1000);
  for (const std::size_t row : {std::size_t{0}, std::size_t{33}, corpus.train->size() - 1}) {
    const train::TaskLosses own = judge.losses().of_rows(*corpus.train, {row});
    for (std::size_t k = 0; k < 2; ++k) {
      EXPECT_NEAR(found.table.series[k].values[row], -own.values[k].item<double>(), 1e-12);
    }
  }
}

TEST_F(AppraiseTest, AModelThatHasDivergedIsSaid) {
  const LoadedRun run = trained();
  const Corpus corpus = corpus_of(run);
  {
    const torch::NoGradGuard no_grad;
    run.model->shared_parameters()[0].fill_(std::nan(""));
  }
  for (const char* method : {"loss", "knn_shapley", "lava", "oob", "loo"}) {
    EXPECT_THAT(train::error_of([&] {
                  method_of(method).appraise({run, corpus}, {});
                }).what(),
                HasSubstr("the model has diverged"))
        << method;
  }
}

TEST_F(AppraiseTest, OneClassAndMoreNeighboursThanRowsAreSaid) {
  std::string text = "x,y,side,value,part\n";
  Rng rng(2);
  for (int i = 0; i < 30; ++i) {
    text += fmt::format("{},{},{},{},{}\n",
                        rng.normal(),
                        rng.normal(),
                        i == 3 ? "" : "1",
                        i,
                        i < 20 ? "train" : "dev");
  }
  write_file_atomic(folder_ / "t.csv", text);
  const LoadedRun run = trained();
  const Corpus corpus = corpus_of(run);
  Options options;
  options.neighbours = 500;
  options.permutations = 2;
  options.samples = 20;
  options.models = 20;
  for (const char* method : {"knn_shapley", "lava", "oob", "tmc", "banzhaf", "loo"}) {
    const Appraisal found = method_of(method).appraise({run, corpus}, options);
    std::string notes;
    for (const auto& note : found.notes) notes += note + "\n";
    EXPECT_THAT(notes, HasSubstr("All training labels of task 'side' are the same")) << method;
    EXPECT_THAT(notes, ::testing::Not(HasSubstr("task 'value' are the same")));
    if (std::string(method) == "knn_shapley") {
      EXPECT_THAT(notes, HasSubstr("500 neighbours are asked for and there are 20 training rows"));
      // Equal labels are worth as much: 19 of 500 votes are right.
      const auto& values = found.table.series[0].values;
      for (std::size_t i = 0; i < values.size(); ++i) {
        if (i == 3) {
          EXPECT_TRUE(std::isnan(values[i]));
        } else {
          EXPECT_NEAR(values[i], 1.0 / 500, 1e-15) << i;
        }
      }
    }
  }
}

TEST_F(AppraiseTest, InRunWantsARunThatWasLookedAt) {
  const LoadedRun run = trained();
  const Corpus corpus = corpus_of(run);
  EXPECT_THAT(train::error_of([&] {
                in_run({run, corpus}, {});
              }).what(),
              HasSubstr("valuation.method=in_run"));
  EXPECT_THAT(train::error_of([&] { method_of("knn_shaply"); }).what(), HasSubstr("knn_shapley"));
}

}  // namespace
}  // namespace detente::appraise

// SPDX-License-Identifier: Apache-2.0
#include <detente/appraise/kronecker_curvature.h>
#include <gmock/gmock.h>
#include <tests/appraise/influence_run.h>
#include <torch/torch.h>

#include <cmath>
#include <vector>

namespace detente::appraise {
namespace {

using KroneckerCurvatureTest = InfluenceTest;

TEST_F(KroneckerCurvatureTest, FactorsAreNearToTheWholeCurvature) {
  const LoadedRun run = trained({"train.epochs=30"});
  const Corpus corpus = corpus_of(run);
  const Appraisal exact = influence({run, corpus}, {.solver = "direct", .damping = 0.05});
  const Appraisal near = influence({run, corpus}, {.solver = "ekfac", .damping = 0.05});
  EXPECT_TRUE(near.audit["left_out"].empty());
  for (const std::size_t own : {0U, 3U}) {
    EXPECT_GT(pearson(exact.table.series[own].values, near.table.series[own].values), 0.7) << own;
  }
  // One seed, one answer.
  const Appraisal again = influence({run, corpus}, {.solver = "ekfac", .damping = 0.05});
  EXPECT_EQ(near.table.series[0].values, again.table.series[0].values);
  const Appraisal other = influence({run, corpus}, {.seed = 1, .solver = "ekfac", .damping = 0.05});
  EXPECT_NE(near.table.series[0].values, other.table.series[0].values);
}

// Σ z zᵀ over many draws is the curvature of the loss in what the model says.
TEST_F(KroneckerCurvatureTest, DrawsHaveTheLossesCurvatureForCovariance) {
  write_file_atomic(
      recipe_path(),
      "data: {kind: table, train: t.csv, inputs: [a, b, c, d], split: {column: part}}\n"
      "model: {widths: [5], dropout: 0}\n"
      "tasks:\n"
      "  - {name: kind, head: classes, class_names: [high, low, none], class_weights: balanced,\n"
      "     weight: 2, loss: {name: cross_entropy, label_smoothing: 0.1}}\n"
      "  - {name: level, column: kind, head: ordinal, class_names: [none, low, high]}\n"
      "train: {epochs: 1, batch_size: 100}\n"
      "precision: float64\n"
      "threads: 1\n");
  const LoadedRun run = trained();
  const Corpus corpus = corpus_of(run);
  const Options options;
  const Judged judged({run, corpus}, options);
  const TrainingCurvature training(judged, *corpus.train);
  bool looked = false;
  training.each_batch([&](const TrainingBatch& batch) {
    looked = true;
    constexpr int kDraws = 1500;
    std::vector<at::Tensor> sums(2);
    std::vector<at::Tensor> means(2);
    for (int d = 0; d < kDraws; ++d) {
      const TensorList drawn = draw_slopes(judged, batch, Rng(static_cast<std::uint64_t>(d)));
      for (std::size_t k = 0; k < 2; ++k) {
        const at::Tensor outer = drawn[k].unsqueeze(2) * drawn[k].unsqueeze(1);
        sums[k] = d == 0 ? outer : sums[k] + outer;
        means[k] = d == 0 ? drawn[k] : means[k] + drawn[k];
      }
    }
    for (std::size_t k = 0; k < 2; ++k) {
      const at::Tensor& prediction = batch.losses.predictions[k];
      const at::Tensor slope = torch::autograd::grad({batch.part}, {prediction}, {}, true, true)[0];
      TensorList columns;
      for (std::int64_t c = 0; c < prediction.size(1); ++c) {
        columns.push_back(
            torch::autograd::grad({slope.select(1, c).sum()}, {prediction}, {}, true)[0]);
      }
      const at::Tensor expected = torch::stack(columns, 2);
      const at::Tensor found = sums[k] / kDraws;
      const double scale = expected.abs().max().item<double>();
      // Over all rows the noise of the draws is small.
      EXPECT_LT((found.sum(0) - expected.sum(0)).abs().max().item<double>(),
                0.03 * expected.sum(0).abs().max().item<double>())
          << k << found.sum(0) << expected.sum(0);
      EXPECT_LT((found - expected).abs().max().item<double>(), 0.25 * scale) << k;
      EXPECT_LT((means[k] / kDraws).abs().max().item<double>(), 0.1 * std::sqrt(scale)) << k;
    }
    return true;
  });
  EXPECT_TRUE(looked);
}

}  // namespace
}  // namespace detente::appraise

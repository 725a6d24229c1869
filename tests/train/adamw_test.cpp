// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/train/adamw.h>
#include <detente/train/next_move.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

namespace detente::train {
namespace {

// The library's optimiser decays every parameter, ours only those of two and more dimensions, so
// the comparison uses matrices.
void compare_with_torch(torch::Dtype dtype, double tolerance) {
  torch::manual_seed(1);
  const auto options = torch::TensorOptions().dtype(dtype);
  const torch::Tensor start = torch::randn({7, 5}, options);
  torch::Tensor ours = start.clone().requires_grad_(true);
  torch::Tensor theirs = start.clone().requires_grad_(true);
  AdamWOptions our_options;
  our_options.lr = 0.03;
  our_options.weight_decay = 0.1;
  AdamW adamw({{"w", ours}}, our_options);
  torch::optim::AdamW reference({theirs},
                                torch::optim::AdamWOptions(0.03).weight_decay(0.1).eps(1e-8));
  for (int step = 0; step < 50; ++step) {
    const torch::Tensor gradient = torch::randn({7, 5}, options) * (step % 7 == 0 ? 100.0 : 0.01);
    ours.mutable_grad() = gradient.clone();
    theirs.mutable_grad() = gradient.clone();
    adamw.step(1.0);
    reference.step();
  }
  EXPECT_LT((ours - theirs).abs().max().item<double>(), tolerance);
  EXPECT_GT((ours - start).abs().max().item<double>(), 0.1);
}

TEST(AdamW, AgreesWithTheLibraryInFloat64) { compare_with_torch(torch::kFloat64, 1e-12); }
TEST(AdamW, AgreesWithTheLibraryInFloat32) { compare_with_torch(torch::kFloat32, 2e-6); }

TEST(AdamW, DoesNotDecayBiases) {
  torch::Tensor bias = torch::ones({4}).requires_grad_(true);
  torch::Tensor weight = torch::ones({2, 2}).requires_grad_(true);
  AdamWOptions options;
  options.weight_decay = 0.5;
  AdamW adamw({{"bias", bias}, {"weight", weight}}, options);
  bias.mutable_grad() = torch::zeros({4});
  weight.mutable_grad() = torch::zeros({2, 2});
  adamw.step(1.0);
  EXPECT_EQ(bias[0].item<float>(), 1.0F);
  EXPECT_LT(weight[0][0].item<float>(), 1.0F);
}

TEST(AdamW, LeavesParametersWithoutGradientAlone) {
  torch::Tensor weight = torch::ones({2, 2}).requires_grad_(true);
  AdamW adamw({{"weight", weight}}, {});
  adamw.step(1.0);
  EXPECT_EQ(weight.sum().item<float>(), 4.0F);
}

void compare_sparse_with_dense(torch::Dtype dtype, std::vector<std::int64_t> touched) {
  torch::manual_seed(2);
  const auto options = torch::TensorOptions().dtype(dtype);
  const torch::Tensor start = torch::randn({3001, 37}, options);
  torch::Tensor sparse = start.clone().requires_grad_(true);
  torch::Tensor dense = start.clone().requires_grad_(true);
  AdamW by_rows({{"w", sparse}}, {});
  AdamW whole({{"w", dense}}, {});
  for (int step = 0; step < 4; ++step) {
    const torch::Tensor ids = torch::tensor(touched, torch::kLong) + step;
    const torch::Tensor values = torch::randn({ids.numel(), 37}, options);
    sparse.mutable_grad() = torch::sparse_coo_tensor(ids.unsqueeze(0), values, {3001, 37});
    dense.mutable_grad() = sparse.grad().to_dense();
    by_rows.step(1.0);
    whole.step(1.0);
  }
  EXPECT_TRUE(torch::equal(sparse, dense));
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_TRUE(torch::equal(by_rows.state()[i].second, whole.state()[i].second));
  }
  EXPECT_FALSE(torch::equal(sparse, start));
}

TEST(AdamW, ASparseGradientCountsAsTheDenseOne) {
  for (const int threads : {1, 2}) {
    torch::set_num_threads(threads);
    for (const std::vector<std::int64_t>& touched :
         {std::vector<std::int64_t>{0, 1, 7, 1500, 1501, 2997},
          std::vector<std::int64_t>{2997, 3, 3, 900},  // neither sorted nor unique
          std::vector<std::int64_t>{}}) {
      compare_sparse_with_dense(torch::kFloat32, touched);
      compare_sparse_with_dense(torch::kFloat64, touched);
    }
  }
}

TEST(AdamW, GoesOnFromItsStateAsIfNeverStopped) {
  torch::Tensor a = torch::ones({3, 2}).requires_grad_(true);
  AdamW first({{"w", a}}, {});
  for (int step = 0; step < 5; ++step) {
    a.mutable_grad() = torch::full({3, 2}, 0.5 - step);
    first.step(1.0);
  }
  torch::Tensor b = a.detach().clone().requires_grad_(true);
  AdamW second({{"w", b}}, {});
  second.load_state(first.state(), first.steps());
  for (int step = 0; step < 5; ++step) {
    a.mutable_grad() = torch::full({3, 2}, 1.5 * step);
    b.mutable_grad() = torch::full({3, 2}, 1.5 * step);
    first.step(0.5);
    second.step(0.5);
  }
  EXPECT_TRUE(torch::equal(a, b));
}

TEST(AdamW, RefusesTheStateOfAnotherModel) {
  torch::Tensor a = torch::ones({3, 2}).requires_grad_(true);
  AdamW adamw({{"w", a}}, {});
  EXPECT_THROW(adamw.load_state({{"m.x", a}, {"v.x", a}}, 1), Error);
  EXPECT_THROW(adamw.load_state({{"m.w", torch::ones({2})}, {"v.w", torch::ones({2})}}, 1), Error);
}

TEST(AdamW, SaysHowEachParameterWillMove) {
  torch::manual_seed(1);
  const at::Tensor w = torch::randn({4, 3}, torch::kDouble).requires_grad_();
  const at::Tensor b = torch::randn({3}, torch::kDouble).requires_grad_();
  const at::Tensor still = torch::randn({2}, torch::kDouble).requires_grad_();
  AdamWOptions options;
  options.lr = 0.01;
  options.weight_decay = 0.3;
  options.clip_each = 1.5;
  AdamW optimizer({{"w", w}, {"b", b}, {"still", still}}, options, {1.0, 0.5});
  const TensorList all = {w, b, still};
  for (int step = 0; step < 4; ++step) {
    w.mutable_grad() = torch::randn({4, 3}, torch::kDouble);
    b.mutable_grad() = 1e-3 * torch::randn({3}, torch::kDouble);
    const double factor = 1.0 / (1 + step);
    TensorList expected;
    for (std::size_t p = 0; p < 3; ++p) {
      const NextMove move = optimizer.next_move(p, factor, 0.2);
      const at::Tensor before = all[p].detach().clone();
      expected.push_back(move.factor.defined() ? before - move.factor * move.gradient - move.past -
                                                     move.decay * before
                                               : before);
      EXPECT_EQ(move.factor.defined(), p < 2);
    }
    optimizer.step(factor, 0.2);
    for (std::size_t p = 0; p < 3; ++p) {
      EXPECT_TRUE(torch::allclose(all[p], expected[p], 1e-13, 1e-15))
          << step << " " << p << all[p] - expected[p];
    }
  }
}

}  // namespace
}  // namespace detente::train

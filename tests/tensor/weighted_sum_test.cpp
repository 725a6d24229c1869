// SPDX-License-Identifier: Apache-2.0
#include <ATen/Parallel.h>
#include <detente/core/error.h>
#include <detente/tensor/weighted_sum.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include <vector>

namespace detente::tensor {
namespace {

std::vector<double> some_weights(std::int64_t k) {
  std::vector<double> weights;
  for (std::int64_t i = 0; i < k; ++i) weights.push_back(0.3 * static_cast<double>(i) - 1.0);
  return weights;
}

// Against LibTorch's product in double, for lengths around the tiles and every remainder of rows.
TEST(WeightedSum, IsTheMatrixVectorProduct) {
  torch::manual_seed(1);
  for (const auto dtype : {torch::kFloat, torch::kDouble}) {
    for (const std::int64_t k : {1, 2, 3, 4, 5, 8, 50}) {
      for (const std::int64_t p : {1, 15, 17, 2047, 2048, 2049, 40000}) {
        const at::Tensor rows = torch::randn({k, p}, dtype);
        const std::vector<double> weights = some_weights(k);
        at::Tensor sum = torch::full({p}, 7.0, dtype);
        weighted_sum(rows, weights, sum);
        const at::Tensor wanted =
            torch::mv(rows.to(torch::kDouble).t(), torch::tensor(weights, torch::kDouble));
        EXPECT_LT((sum - wanted).abs().max().item<double>(), dtype == torch::kFloat ? 1e-4 : 1e-12)
            << k << " rows of " << p;
      }
    }
  }
}

TEST(WeightedSum, ReadsRowsThatLieApart) {
  const at::Tensor all = torch::randn({5, 100}, torch::kDouble);
  const at::Tensor rows = all.narrow(1, 30, 41);
  at::Tensor sum = torch::empty({41}, torch::kDouble);
  weighted_sum(rows, some_weights(5), sum);
  const at::Tensor wanted = torch::mv(rows.t(), torch::tensor(some_weights(5), torch::kDouble));
  EXPECT_LT((sum - wanted).abs().max().item<double>(), 1e-14);
}

TEST(WeightedSum, DoesNotDependOnTheNumberOfThreads) {
  const int before = at::get_num_threads();
  const at::Tensor rows = torch::randn({7, 100003});
  at::Tensor one = torch::empty({100003});
  at::Tensor three = torch::empty({100003});
  at::set_num_threads(1);
  weighted_sum(rows, some_weights(7), one);
  at::set_num_threads(3);
  weighted_sum(rows, some_weights(7), three);
  at::set_num_threads(before);
  EXPECT_TRUE(torch::equal(one, three));
}

TEST(WeightedSum, RefusesOtherShapes) {
  const at::Tensor rows = torch::randn({3, 10});
  at::Tensor sum = torch::empty({10});
  EXPECT_THROW(weighted_sum(rows, some_weights(2), sum), Error);
  at::Tensor shorter = torch::empty({9});
  EXPECT_THROW(weighted_sum(rows, some_weights(3), shorter), Error);
  at::Tensor other = torch::empty({10}, torch::kDouble);
  EXPECT_THROW(weighted_sum(rows, some_weights(3), other), Error);
}

TEST(WeightedSum, OfRowsThatLieApartIsThatOfTheMatrix) {
  for (const auto dtype : {torch::kFloat32, torch::kFloat64}) {
    const at::Tensor rows = torch::randn({5, 3, 1701}, dtype);
    at::Tensor expected = torch::empty({3 * 1701}, dtype);
    weighted_sum(rows.flatten(1), some_weights(5), expected);
    std::vector<at::Tensor> apart;
    for (std::int64_t i = 0; i < 5; ++i) apart.push_back(rows[i].clone());
    at::Tensor sum = torch::full({3, 1701}, std::nan(""), dtype);
    weighted_sum(apart, some_weights(5), sum);
    EXPECT_TRUE(torch::equal(sum.view(-1), expected));
    EXPECT_THROW(weighted_sum(apart, some_weights(4), sum), Error);
    EXPECT_THROW(weighted_sum(std::span<const at::Tensor>(), {}, sum), Error);
    apart[2] = apart[2].t();
    EXPECT_THROW(weighted_sum(apart, some_weights(5), sum), Error);
  }
}

}  // namespace
}  // namespace detente::tensor

// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/tensor/narrow_product.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

namespace detente::tensor {
namespace {

// The order of the entries is the function's own, so they are compared sorted, and by what they are
// for: inner products.
void compare_with_matrix_products(std::int64_t rows,
                                  std::int64_t m,
                                  std::int64_t n,
                                  torch::Dtype dtype) {
  SCOPED_TRACE(testing::Message() << rows << " rows, " << m << " by " << n);
  torch::manual_seed(1);
  const auto options = torch::TensorOptions().dtype(dtype);
  const double tolerance = dtype == torch::kDouble ? 1e-12 : 1e-4;
  at::Tensor sums[2];
  at::Tensor products[2];
  at::Tensor columns[2];
  at::Tensor expected_columns = torch::zeros({m}, options);
  for (int i = 0; i < 2; ++i) {
    sums[i] = torch::zeros({m * n}, options);
    products[i] = torch::zeros({m, n}, options);
    if (i == 0) columns[i] = torch::zeros({m}, options);
    for (int part = 0; part < 2; ++part) {
      const at::Tensor wide = torch::randn({rows, m}, options);
      const at::Tensor narrow = torch::randn({rows, n}, options);
      add_narrow_product(wide, narrow, sums[i], columns[i]);
      products[i] += wide.t().mm(narrow);
      if (i == 0) expected_columns += wide.sum(0);
    }
    const at::Tensor expected = std::get<0>(products[i].flatten().sort());
    EXPECT_TRUE(torch::allclose(std::get<0>(sums[i].sort()), expected, tolerance, tolerance));
  }
  EXPECT_TRUE(torch::allclose(columns[0], expected_columns, tolerance, tolerance));
  if (m * n == 0) return;
  const double expected = (products[0] * products[1]).sum().item<double>();
  const double scale = (products[0].norm() * products[1].norm()).item<double>();
  EXPECT_NEAR(sums[0].dot(sums[1]).item<double>(), expected, tolerance * scale);
}

TEST(NarrowProduct, HoldsTheEntriesOfTheMatrixProduct) {
  for (const auto dtype : {torch::kFloat32, torch::kFloat64}) {
    for (const std::int64_t rows : {0, 1, 15, 16, 33, 64}) {
      for (const std::int64_t m : {1, 7, 16, 40, 257}) {
        for (const std::int64_t n : {1, 8, 19}) compare_with_matrix_products(rows, m, n, dtype);
      }
    }
  }
}

TEST(NarrowProduct, IsTheSameForAnyNumberOfThreads) {
  const at::Tensor wide = torch::randn({50, 1000});
  const at::Tensor narrow = torch::randn({50, 16});
  at::Tensor sums[2];
  at::Tensor columns[2];
  for (int i = 0; i < 2; ++i) {
    torch::set_num_threads(i + 1);
    sums[i] = torch::zeros({16000});
    columns[i] = torch::zeros({1000});
    add_narrow_product(wide, narrow, sums[i], columns[i]);
  }
  EXPECT_TRUE(torch::equal(sums[0], sums[1]));
  EXPECT_TRUE(torch::equal(columns[0], columns[1]));
}

TEST(NarrowProduct, RefusesWhatDoesNotFit) {
  at::Tensor sum = torch::zeros({12});
  at::Tensor none;
  at::Tensor three = torch::zeros({3});
  EXPECT_THROW(add_narrow_product(torch::ones({5, 4}), torch::ones({4, 3}), sum, none), Error);
  EXPECT_THROW(add_narrow_product(torch::ones({5, 4}), torch::ones({5, 2}), sum, none), Error);
  EXPECT_THROW(add_narrow_product(torch::ones({4, 5}).t(), torch::ones({5, 3}), sum, none), Error);
  EXPECT_THROW(
      add_narrow_product(torch::ones({5, 4}, torch::kDouble), torch::ones({5, 3}), sum, none),
      Error);
  EXPECT_THROW(add_narrow_product(torch::ones({5, 4}), torch::ones({5, 3}), sum, three), Error);
}

}  // namespace
}  // namespace detente::tensor

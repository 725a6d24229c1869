// SPDX-License-Identifier: Apache-2.0
// The loops over long rows on a device, against LibTorch's product in double on the CPU.
#include <detente/tensor/gram.h>
#include <detente/tensor/narrow_product.h>
#include <detente/tensor/weighted_sum.h>
#include <detente/train/adamw.h>

#include <cmath>
#include <vector>

#include "device_under_test.h"

namespace detente::gpu {
namespace {

using Kernels = DeviceTest;

constexpr std::int64_t kLengths[] = {1, 7, 1000, 336800};
constexpr std::int64_t kTasks[] = {1, 2, 10, 50};

double tolerance(torch::Dtype type) { return type == torch::kDouble ? 1e-13 : 3e-7; }

void expect_products(const Matrix& got, const at::Tensor& a, const at::Tensor& b, double relative) {
  const at::Tensor x = a.cpu().to(torch::kDouble);
  const at::Tensor y = b.cpu().to(torch::kDouble);
  const at::Tensor expected = x.mm(y.t());
  const at::Tensor sizes = x.norm(2, 1).outer(y.norm(2, 1));
  for (std::int64_t i = 0; i < x.size(0); ++i) {
    for (std::int64_t j = 0; j < y.size(0); ++j) {
      ASSERT_NEAR(got(static_cast<std::size_t>(i), static_cast<std::size_t>(j)),
                  expected[i][j].item<double>(),
                  relative * sizes[i][j].item<double>())
          << i << ", " << j;
    }
  }
}

TEST_F(Kernels, GramIsTheProductOfTheRows) {
  for (const auto type : {torch::kFloat, torch::kDouble}) {
    for (const std::int64_t k : kTasks) {
      for (const std::int64_t n : kLengths) {
        SCOPED_TRACE(testing::Message() << k << " x " << n);
        const at::Tensor rows = there(torch::randn({k, n}, type));
        const Matrix gram = tensor::gram(rows);
        expect_products(gram, rows, rows, tolerance(type));
        for (std::size_t i = 0; i < gram.rows(); ++i) {
          for (std::size_t j = 0; j < i; ++j) ASSERT_EQ(gram(i, j), gram(j, i));
        }
      }
    }
  }
}

TEST_F(Kernels, GramKeepsWhatIsNoNumber) {
  at::Tensor rows = torch::ones({3, 1000});
  rows[1][500] = NAN;
  const Matrix gram = tensor::gram(there(rows));
  EXPECT_TRUE(std::isnan(gram(1, 1)) && std::isnan(gram(0, 1)));
  EXPECT_NEAR(gram(0, 2), 1000, 1e-3);
}

TEST_F(Kernels, InnerProductsAndNorms) {
  for (const auto type : {torch::kFloat, torch::kDouble}) {
    const at::Tensor a = there(torch::randn({3, 5000}, type));
    const at::Tensor b = there(torch::randn({4, 5000}, type));
    expect_products(tensor::inner_products(a, b), a, b, tolerance(type));
    const double expected = a.cpu().to(torch::kDouble).square().sum().item<double>();
    EXPECT_NEAR(tensor::squared_norm(a), expected, tolerance(type) * expected);
  }
}

TEST_F(Kernels, WeightedSumsOfRowsTogetherAndApart) {
  for (const auto type : {torch::kFloat, torch::kDouble}) {
    for (const std::int64_t k : kTasks) {
      for (const std::int64_t n : kLengths) {
        const at::Tensor rows = there(torch::randn({k, n}, type));
        std::vector<double> weights;
        std::vector<at::Tensor> apart;
        for (std::int64_t i = 0; i < k; ++i) {
          weights.push_back(0.25 * static_cast<double>(i) - 1.0);
          apart.push_back(rows[i].clone());
        }
        const at::Tensor w = torch::tensor(weights, torch::kDouble);
        const at::Tensor all = rows.cpu().to(torch::kDouble);
        const at::Tensor expected = all.t().mv(w);
        const at::Tensor sizes = all.abs().t().mv(w.abs()) * (2 * tolerance(type)) + 1e-300;
        for (const bool together : {true, false}) {
          at::Tensor sum = torch::full_like(rows[0], NAN);
          if (together) {
            tensor::weighted_sum(rows, weights, sum);
          } else {
            tensor::weighted_sum(std::span<const at::Tensor>(apart), weights, sum);
          }
          ASSERT_TRUE(((sum.cpu().to(torch::kDouble) - expected).abs() <= sizes).all().item<bool>())
              << k << " x " << n << ", together: " << together;
        }
      }
    }
  }
}

// The order of the entries is the function's own, so sums are compared by their inner products.
TEST_F(Kernels, NarrowProductsAddUp) {
  for (const auto type : {torch::kFloat, torch::kDouble}) {
    const double close = type == torch::kDouble ? 1e-12 : 1e-5;
    at::Tensor sums[2];
    at::Tensor expected[2];
    at::Tensor columns = there(torch::ones({400}, type));
    at::Tensor expected_columns = torch::ones({400}, torch::kDouble);
    for (int i = 0; i < 2; ++i) {
      sums[i] = there(torch::zeros({400 * 24}, type));
      expected[i] = torch::zeros({400, 24}, torch::kDouble);
      for (int part = 0; part < 2; ++part) {
        const at::Tensor wide = there(torch::randn({300, 400}, type) + 0.5);
        const at::Tensor narrow = there(torch::randn({300, 24}, type) + 0.5);
        tensor::add_narrow_product(wide, narrow, sums[i], columns);
        const at::Tensor w = wide.cpu().to(torch::kDouble);
        expected[i] += w.t().mm(narrow.cpu().to(torch::kDouble));
        expected_columns += w.sum(0);
      }
    }
    for (int i = 0; i < 2; ++i) {
      for (int j = 0; j < 2; ++j) {
        const double wanted = (expected[i] * expected[j]).sum().item<double>();
        const at::Tensor got = sums[i].to(torch::kDouble) * sums[j].to(torch::kDouble);
        EXPECT_NEAR(got.sum().item<double>(), wanted, close * std::abs(wanted));
      }
    }
    EXPECT_TRUE(
        torch::allclose(columns.cpu().to(torch::kDouble), expected_columns, close, 1e3 * close));
  }
}

TEST_F(Kernels, AdamWMovesAsOnTheCpu) {
  const at::Tensor start = torch::randn({40, 30});
  at::Tensor here = start.clone().set_requires_grad(true);
  at::Tensor away = there(start.clone()).detach().set_requires_grad(true);
  train::AdamW on_cpu({{"w", here}}, {});
  train::AdamW on_device({{"w", away}}, {});
  for (int step = 0; step < 5; ++step) {
    const at::Tensor gradient = torch::randn({40, 30});
    here.mutable_grad() = gradient;
    away.mutable_grad() = there(gradient);
    on_cpu.step(1.0);
    on_device.step(1.0);
  }
  EXPECT_TRUE(torch::allclose(here, away.cpu(), 1e-5, 1e-6));
  EXPECT_FALSE(torch::allclose(here, start, 0, 1e-3));
}

}  // namespace
}  // namespace detente::gpu

// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/tensor/relu_rows.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <limits>

namespace detente::tensor {
namespace {

TEST(ReluRows, AreLibTorchsGradientAndItsSums) {
  torch::manual_seed(3);
  for (const auto dtype : {torch::kFloat32, torch::kFloat64}) {
    for (const std::int64_t rows : {0, 1, 127, 128, 300}) {
      for (const std::int64_t n : {1, 7, 16, 64, 100, 257}) {
        // Rows that lie apart, as a part of the columns of something wider.
        const at::Tensor out = torch::randn({rows, n + 3}, dtype).narrow(1, 1, n);
        const at::Tensor saved = torch::relu(torch::randn({rows, n}, dtype));
        const at::Tensor expected = torch::threshold_backward(out, saved, 0);
        const at::Tensor before = torch::randn({n}, dtype);
        at::Tensor in = torch::empty({rows, n}, dtype);
        at::Tensor sum = before.clone();
        relu_backward_rows(out, saved, in, sum);
        EXPECT_TRUE(torch::equal(in, expected));
        const double tolerance = dtype == torch::kFloat32 ? 1e-4 : 1e-12;
        EXPECT_TRUE(torch::allclose(sum, before + expected.sum(0), 0, tolerance));
        // In place.
        at::Tensor same = out.clone();
        sum = before.clone();
        relu_backward_rows(same, saved, same, sum);
        EXPECT_TRUE(torch::equal(same, expected));
      }
    }
  }
}

TEST(ReluRows, PassOnWhatIsNotFinite) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  const at::Tensor out = torch::tensor({{nan, infinity, 1.0, nan, -0.0}}, torch::kDouble);
  const at::Tensor saved = torch::tensor({{1.0, 2.0, nan, 0.0, 3.0}}, torch::kDouble);
  at::Tensor in = torch::empty({1, 5}, torch::kDouble);
  at::Tensor sum = torch::zeros({5}, torch::kDouble);
  relu_backward_rows(out, saved, in, sum);
  const at::Tensor expected = torch::threshold_backward(out, saved, 0);
  EXPECT_TRUE(torch::allclose(in, expected, 0, 0, /*equal_nan=*/true)) << in;
  EXPECT_TRUE(torch::allclose(sum, expected[0], 0, 0, /*equal_nan=*/true)) << sum;
}

TEST(ReluRows, RefuseWhatDoesNotFit) {
  const at::Tensor x = torch::ones({4, 5});
  at::Tensor in = torch::empty({4, 5});
  at::Tensor sum = torch::zeros({5});
  at::Tensor short_sum = torch::zeros({4});
  EXPECT_THROW(relu_backward_rows(x, torch::ones({4, 4}), in, sum), Error);
  EXPECT_THROW(relu_backward_rows(x, x, in, short_sum), Error);
  EXPECT_THROW(relu_backward_rows(torch::ones({5, 4}).t(), x, in, sum), Error);
  EXPECT_THROW(relu_backward_rows(x, x.to(torch::kDouble), in, sum), Error);
}

}  // namespace
}  // namespace detente::tensor

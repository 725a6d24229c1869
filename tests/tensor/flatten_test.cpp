// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/tensor/compat.h>
#include <detente/tensor/flatten.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

namespace detente::tensor {
namespace {

TensorList flatten_parameters() {
  return {torch::zeros({2, 3}).requires_grad_(),
          torch::zeros({}).requires_grad_(),
          torch::zeros({0, 4}).requires_grad_(),
          torch::zeros({2, 1, 2}).requires_grad_()};
}

TEST(FlatLayout, PlacesParametersOneAfterTheOther) {
  const FlatLayout layout(flatten_parameters());
  EXPECT_EQ(layout.size(), 6 + 1 + 0 + 4);
  EXPECT_EQ(layout.offset(1), 6);
  EXPECT_EQ(layout.offset(2), 7);
  EXPECT_EQ(layout.offset(3), 7);
}

TEST(FlatLayout, GathersGradientsWithZerosForMissingOnes) {
  const auto parameters = flatten_parameters();
  const FlatLayout layout(parameters);
  auto row = torch::full({11}, 9.0);
  // The first comes transposed, as gradients of transposed products do.
  layout.gather({torch::arange(6.0).reshape({3, 2}).t(),
                 at::Tensor(),
                 torch::zeros({0, 4}),
                 torch::full({2, 1, 2}, 5.0)},
                row);
  EXPECT_TRUE(
      torch::equal(row, torch::tensor({0.F, 2.F, 4.F, 1.F, 3.F, 5.F, 0.F, 5.F, 5.F, 5.F, 5.F})));
}

TEST(FlatLayout, GradientsShareTheBufferWithoutBeingViews) {
  const auto parameters = flatten_parameters();
  const FlatLayout layout(parameters);
  const auto flat = torch::arange(11.0);
  layout.share_as_gradients(flat, parameters);
  EXPECT_TRUE(torch::equal(parameters[0].grad(), torch::arange(6.0).reshape({2, 3})));
  EXPECT_EQ(parameters[1].grad().item<float>(), 6.0F);
  for (const auto& parameter : parameters) {
    EXPECT_FALSE(parameter.grad().is_view());
    EXPECT_TRUE(parameter.grad().is_contiguous());
    EXPECT_EQ(parameter.grad().sizes(), parameter.sizes());
  }
  EXPECT_EQ(parameters[3].grad().data_ptr<float>(), flat.data_ptr<float>() + 7);
}

TEST(FlatLayout, OptimizersCanStepOnThemAndClearThem) {
  const auto parameters = flatten_parameters();
  const FlatLayout layout(parameters);
  layout.share_as_gradients(torch::ones({11}), parameters);
  torch::optim::SGD optimizer(parameters, torch::optim::SGDOptions(0.5));
  optimizer.step();
  EXPECT_TRUE(torch::equal(parameters[3].detach(), torch::full({2, 1, 2}, -0.5)));
  for (const auto& parameter : parameters) parameter.mutable_grad().detach_().zero_();
  optimizer.zero_grad();
}

TEST(FlatLayout, RefusesMixedTypes) {
  EXPECT_THROW(FlatLayout({torch::zeros({2}), torch::zeros({2}, torch::kDouble)}), Error);
}

}  // namespace
}  // namespace detente::tensor

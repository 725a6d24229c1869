// SPDX-License-Identifier: Apache-2.0
#include <detente/autograd/reach.h>
#include <detente/core/error.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/nn/modules/linear.h>

#include <algorithm>

namespace detente::autograd {
namespace {

using ::testing::HasSubstr;

std::vector<bool> row(const Reach& reach, std::size_t loss, const TensorList& parameters) {
  std::vector<bool> found;
  for (const at::Tensor& parameter : parameters) {
    const auto place = std::find_if(
        reach.parameters.begin(), reach.parameters.end(), [&](const at::Tensor& other) {
          return other.is_same(parameter);
        });
    found.push_back(
        place != reach.parameters.end() &&
        reach.by_loss[loss][static_cast<std::size_t>(place - reach.parameters.begin())]);
  }
  return found;
}

TEST(Reach, TellsSharedParametersFromOwnOnes) {
  torch::nn::Linear trunk(3, 4), first(4, 1), second(4, 1), unused(4, 1);
  trunk->bias.requires_grad_(false);
  const at::Tensor z = trunk->forward(torch::randn({5, 3})).tanh();
  const TensorList losses{first->forward(z).sum(),
                          second->forward(z.detach()).sum(),
                          at::Tensor(),
                          second->forward(z).sum()};
  const Reach reach = parameters_behind(losses);
  EXPECT_EQ(reach.parameters.size(), 1U + 2U + 2U);
  ASSERT_EQ(reach.by_loss.size(), 4U);
  const TensorList asked{trunk->weight, trunk->bias, first->weight, second->bias, unused->weight};
  EXPECT_EQ(row(reach, 0, asked), (std::vector<bool>{true, false, true, false, false}));
  EXPECT_EQ(row(reach, 1, asked), (std::vector<bool>{false, false, false, true, false}));
  EXPECT_EQ(row(reach, 2, asked), (std::vector<bool>(5, false)));
  EXPECT_EQ(row(reach, 3, asked), (std::vector<bool>{true, false, false, true, false}));
}

TEST(Reach, OfADeepGraphAndOfALeaf) {
  const at::Tensor leaf = torch::ones({1}, torch::requires_grad());
  at::Tensor deep = leaf;
  for (int i = 0; i < 20000; ++i) deep = deep + leaf;
  const Reach reach = parameters_behind(TensorList{deep.sum(), leaf});
  ASSERT_EQ(reach.parameters.size(), 1U);
  EXPECT_TRUE(reach.parameters[0].is_same(leaf));
  EXPECT_TRUE(reach.by_loss[0][0] && reach.by_loss[1][0]);
}

TEST(Reach, ALossWithoutAGraphIsRefused) {
  const at::Tensor leaf = torch::ones({1}, torch::requires_grad());
  try {
    parameters_behind(TensorList{leaf.sum(), leaf.sum().detach()});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.what(), HasSubstr("loss 2 of 2 has no graph"));
  }
  EXPECT_TRUE(parameters_behind({}).parameters.empty());
}

}  // namespace
}  // namespace detente::autograd

// SPDX-License-Identifier: Apache-2.0
#include <detente/distill/dino_head.h>
#include <gmock/gmock.h>

#include <cmath>

#include "distill_support.h"
#include "tests/support/error_of.h"
#include "tests/support/tolerances.h"

namespace detente::distill {
namespace {

using test::error_of;

DinoHead small_head(std::uint64_t seed, bool norm_last_layer = true) {
  Rng rng(seed);
  nn::Draw draw(rng);
  return {
      {.layers = 3, .hidden = 32, .bottleneck = 16, .out = 24, .norm_last_layer = norm_last_layer},
      8,
      draw};
}

TEST(DinoHead, LogitsAreCosinesOfTheBottleneck) {
  const DinoHead head = small_head(1);
  const at::Tensor x = noise({64, 8}, 2).to(torch::kFloat) * 100;
  const at::Tensor y = head(x);
  EXPECT_EQ(y.sizes(), (std::vector<std::int64_t>{64, 24}));
  EXPECT_LE(largest(y), 1 + test::kFloat32);
  at::Tensor u = x;
  const nn::Parameters& p = head.parameters();
  u = torch::gelu(p.linear(u, "mlp.0"));
  u = torch::gelu(p.linear(u, "mlp.1"));
  u = p.linear(u, "mlp.2");
  const at::Tensor cosines = torch::cosine_similarity(
      u.unsqueeze(1), p("last_layer.weight_v").unsqueeze(0), 2, /*eps=*/1e-12);
  EXPECT_LT(distance(y, cosines), test::kFloat32);
}

TEST(DinoHead, IsAFunctionOfParametersThatLieElsewhere) {
  const DinoHead head = small_head(1);
  const nn::Parameters& p = head.parameters();
  const at::Tensor x = noise({5, 8}, 2).to(torch::kFloat);
  TensorList mlp;
  for (const std::string layer : {"mlp.0", "mlp.1", "mlp.2"}) {
    mlp.push_back(p(layer + ".weight").detach().clone());
    mlp.push_back(p(layer + ".bias").detach().clone());
  }
  const at::Tensor direction = p("last_layer.weight_v").detach().clone();
  const at::Tensor gain = p("last_layer.weight_g").clone();
  EXPECT_TRUE(torch::equal(dino_head(x, mlp, direction, gain), head(x)));
  for (const TensorList& wrong : {TensorList{}, TensorList{mlp[0]}}) {
    EXPECT_EQ(error_of([&] { dino_head(x, wrong, direction, gain); }).code(), ErrorCode::kShape);
  }
}

TEST(DinoHead, StartsAsPublished) {
  Rng rng(3);
  nn::Draw draw(rng);
  const DinoHead head({.layers = 2, .hidden = 100, .bottleneck = 64, .out = 500}, 80, draw);
  const nn::Parameters& p = head.parameters();
  EXPECT_NEAR(p("mlp.0.weight").std().item<double>(), 0.02, 0.001);
  EXPECT_NEAR(p("mlp.1.weight").std().item<double>(), 0.02, 0.001);
  EXPECT_EQ(largest(p("mlp.0.bias")), 0);
  EXPECT_LE(largest(p("last_layer.weight_v")), 1.0 / 8);
  EXPECT_GT(largest(p("last_layer.weight_v")), 0.99 / 8);
  EXPECT_TRUE(torch::equal(p("last_layer.weight_g"), torch::ones({500, 1})));
}

TEST(DinoHead, TheGainIsTrainedOnlyWithoutItsNorm) {
  const DinoHead fixed = small_head(1);
  EXPECT_THAT(fixed.parameters().trained_names(),
              testing::ElementsAre("mlp.0.weight",
                                   "mlp.0.bias",
                                   "mlp.1.weight",
                                   "mlp.1.bias",
                                   "mlp.2.weight",
                                   "mlp.2.bias",
                                   "last_layer.weight_v"));
  ASSERT_EQ(fixed.parameters().fixed().size(), 1U);
  EXPECT_EQ(fixed.parameters().fixed()[0].first, "last_layer.weight_g");
  const DinoHead free = small_head(1, false);
  EXPECT_EQ(free.parameters().trained_names().back(), "last_layer.weight_g");
  EXPECT_TRUE(free.parameters().fixed().empty());
}

TEST(DinoHead, ACopyAnswersAlikeAndHasTensorsOfItsOwn) {
  DinoHead student = small_head(1);
  const DinoHead teacher = student;
  const at::Tensor x = noise({4, 8}, 2).to(torch::kFloat);
  const at::Tensor before = student(x).detach();
  EXPECT_TRUE(torch::equal(before, teacher(x)));
  {
    const torch::NoGradGuard no_grad;
    for (at::Tensor& tensor : student.parameters().trained_tensors()) tensor.add_(0.1);
  }
  EXPECT_FALSE(torch::equal(before, student(x)));
  EXPECT_TRUE(torch::equal(before, teacher(x)));
}

TEST(DinoHead, AZeroBottleneckStaysFinite) {
  DinoHead head = small_head(1);
  const torch::NoGradGuard no_grad;
  at::Tensor(head.parameters()("mlp.2.weight")).zero_();
  EXPECT_EQ(largest(head(torch::ones({2, 8}))), 0);
}

// What the first epoch's freeze goes by: the gradients of all other layers are kept.
TEST(DinoHead, KnowsTheLastLayerByName) {
  for (const char* name : {"last_layer.weight_v",
                           "last_layer.weight_g",
                           "head.last_layer.weight_v",
                           "distill.dino.last_layer.weight_g"}) {
    EXPECT_TRUE(DinoHead::is_last_layer(name)) << name;
  }
  for (const char* name :
       {"mlp.2.weight", "not_last_layer.weight_v", "last_layer", "last_layers.weight", ""}) {
    EXPECT_FALSE(DinoHead::is_last_layer(name)) << name;
  }
}

TEST(DinoHead, SaysWhatIsWrong) {
  Rng rng(1);
  nn::Draw draw(rng);
  EXPECT_EQ(error_of([&] { DinoHead({.layers = 0}, 8, draw); }).code(),
            ErrorCode::kInvalidArgument);
  const Error one = error_of([&] { DinoHead({.hidden = 4, .bottleneck = 4, .out = 1}, 8, draw); });
  EXPECT_EQ(one.code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(one.what(), testing::HasSubstr("out"));
  EXPECT_EQ(error_of([&] { DinoHead({.hidden = 4, .bottleneck = 4, .out = 2}, 0, draw); }).code(),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(error_of([&] { small_head(1)(torch::zeros({2, 9})); }).code(), ErrorCode::kShape);
  EXPECT_EQ(error_of([&] { small_head(1)(torch::zeros({8})); }).code(), ErrorCode::kShape);
}

}  // namespace
}  // namespace detente::distill

// SPDX-License-Identifier: Apache-2.0
// Heads of ordered classes, of labels and of several values.
#include <detente/core/nan.h>
#include <detente/losses/registry.h>
#include <detente/nn/heads.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <vector>

namespace detente::nn {
namespace {

Heads one_head(HeadOptions options) {
  Rng rng(2);
  Draw draw(rng);
  return {{{"t", options}}, 3, draw};
}

at::Tensor features() {
  torch::manual_seed(3);
  return torch::randn({5, 3});
}

at::Tensor answer_of(const Heads& heads, const at::Tensor& x) {
  const torch::NoGradGuard no_grad;
  return heads.answer(0, heads(x)[0]);
}

void silence(const Heads& heads) {
  const torch::NoGradGuard no_grad;
  heads.parameters(0)("heads.t.weight").detach().zero_();
}

TEST(OrdinalHead, GivesProbabilitiesOfAllClasses) {
  for (const std::int64_t classes : {2, 3, 7}) {
    const Heads heads = one_head({.kind = HeadKind::kOrdinal, .classes = classes});
    const at::Tensor p = answer_of(heads, 100 * features());
    EXPECT_EQ(p.sizes(), (std::vector<std::int64_t>{5, classes}));
    EXPECT_GE(p.min().item<double>(), 0);
    EXPECT_TRUE(torch::allclose(p.sum(1), torch::ones({5})));
    EXPECT_EQ(heads(features())[0].sizes(), (std::vector<std::int64_t>{5, classes - 1}));
  }
}

TEST(OrdinalHead, StartsAtTheSharesOfTheClasses) {
  Heads heads = one_head({.kind = HeadKind::kOrdinal, .classes = 4});
  std::vector<double> targets = {kNan};
  const std::vector<int> counts = {10, 40, 30, 20};
  for (int c = 0; c < 4; ++c) targets.insert(targets.end(), static_cast<std::size_t>(counts[c]), c);
  heads.start_from(0, targets);
  silence(heads);
  const at::Tensor p = answer_of(heads, features());
  for (int c = 0; c < 4; ++c) EXPECT_NEAR(p[0][c].item<double>(), counts[c] / 100.0, 1e-3);
}

TEST(OrdinalHead, StartsWithClassesThatNoRowHas) {
  for (const std::vector<double>& targets :
       {std::vector<double>{2, 2, 2}, std::vector<double>{0, 0, 3}, std::vector<double>{4}}) {
    Heads heads = one_head({.kind = HeadKind::kOrdinal, .classes = 5});
    heads.start_from(0, targets);
    const at::Tensor p = answer_of(heads, features());
    EXPECT_TRUE(p.isfinite().all().item<bool>());
    EXPECT_GE(p.min().item<double>(), 0);
  }
}

// However far training takes them.
TEST(OrdinalHead, KeepsItsThresholdsInOrder) {
  Heads heads = one_head({.kind = HeadKind::kOrdinal, .classes = 4});
  const auto loss = losses::make_loss("cumulative");
  const at::Tensor x = features();
  const at::Tensor y = torch::tensor({3.0, 0.0, 0.0, 3.0, 0.0}, torch::kFloat64);
  TensorList parameters = heads.parameters(0).trained_tensors();
  torch::optim::SGD step(parameters, 2.0);
  for (int i = 0; i < 200; ++i) {
    step.zero_grad();
    (*loss)(heads(x)[0], y.to(torch::kFloat32)).backward();
    step.step();
  }
  const at::Tensor z = heads(x)[0];
  EXPECT_TRUE((z.slice(1, 0, 2) > z.slice(1, 1, 3)).all().item<bool>());
  EXPECT_TRUE(z.isfinite().all().item<bool>());
}

TEST(LabelsHead, StartsAtEachLabelsShare) {
  Heads heads = one_head({.kind = HeadKind::kLabels, .outputs = 3});
  heads.start_from(0, std::vector<double>{1, 0, 0, 1, 1, 0, 0, 1, 0, kNan, 1, 0, 0, 1, 0});
  silence(heads);
  const at::Tensor p = answer_of(heads, features());
  EXPECT_EQ(p.sizes(), (std::vector<std::int64_t>{5, 3}));
  EXPECT_NEAR(p[0][0].item<double>(), 0.5, 1e-6);
  EXPECT_NEAR(p[0][1].item<double>(), 0.8, 1e-6);
  EXPECT_NEAR(p[0][2].item<double>(), 0.01, 1e-6) << "what training can still move";
}

TEST(SeveralValues, HaveAUnitEach) {
  Heads heads = one_head(
      {.kind = HeadKind::kRegression, .outputs = 2, .output = HeadOptions::Output::kStandard});
  const std::vector<double> targets = {1000, -2, 3000, -4, kNan, -6, 2000, kNan};
  heads.start_from(0, targets);
  silence(heads);
  const at::Tensor value = answer_of(heads, features());
  EXPECT_NEAR(value[0][0].item<double>(), 2000, 1e-3);
  EXPECT_NEAR(value[0][1].item<double>(), -4, 1e-3);
  const at::Tensor target = torch::tensor(targets, torch::kFloat64).view({4, 2});
  const at::Tensor scaled = heads.loss_target(0, target);
  EXPECT_NEAR(scaled[0][0].item<double>(), -std::sqrt(1.5), 1e-9);
  EXPECT_NEAR(scaled[0][1].item<double>(), std::sqrt(1.5), 1e-9);
  EXPECT_TRUE(std::isnan(scaled[3][1].item<double>()));
  EXPECT_TRUE(torch::allclose(heads.answer(0, scaled), target, 1e-9, 1e-9, /*equal_nan=*/true));
}

TEST(SeveralValues, MayBeScaled) {
  Heads heads = one_head({.kind = HeadKind::kRegression,
                          .outputs = 2,
                          .output = HeadOptions::Output::kSigmoid,
                          .low = -1,
                          .high = 3});
  heads.set_initial_prediction(0, 2.0);
  silence(heads);
  const at::Tensor value = answer_of(heads, features());
  EXPECT_NEAR(value[2][0].item<double>(), 2.0, 1e-6);
  EXPECT_NEAR(value[2][1].item<double>(), 2.0, 1e-6);
}

TEST(Heads, TakeFeaturesOfTheirOwn) {
  Rng rng(2);
  Draw draw(rng);
  const Heads heads({{"a", {}}, {"b", {}}}, 3, draw);
  const at::Tensor other = 2 * features();
  const TensorList both = heads(TensorList{features(), other});
  EXPECT_TRUE(torch::equal(both[0], heads(features())[0]));
  EXPECT_TRUE(torch::equal(both[1], heads(other)[1]));
}

}  // namespace
}  // namespace detente::nn

// SPDX-License-Identifier: Apache-2.0
// The curvature of a step, the layers of a model, and what of both a step's log line says.
#include <detente/train/curvature.h>
#include <detente/train/diagnosis.h>
#include <detente/train/layer_groups.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include <cmath>
#include <stdexcept>

namespace detente::train {
namespace {

using ::testing::ElementsAre;

TEST(LayerGroups, FollowTheNames) {
  const LayerGroups groups = layer_groups({"embedding.weight",
                                           "layers.0.norm.weight",
                                           "layers.0.out.bias",
                                           "layers.1.out.bias",
                                           "scale"});
  EXPECT_THAT(groups.names, ElementsAre("embedding", "layers.0", "layers.1", "scale"));
  EXPECT_THAT(groups.group_of, ElementsAre(0, 1, 1, 2, 3));
}

TEST(LayerGroups, JoinNeighboursWhenThereAreTooMany) {
  std::vector<std::string> names = {"embedding.weight"};
  for (int i = 0; i < 5; ++i) names.push_back("layers." + std::to_string(i) + ".weight");
  EXPECT_THAT(layer_groups(names, 4).names,
              ElementsAre("embedding", "layers.0-1", "layers.2-3", "layers.4"));
  EXPECT_THAT(layer_groups({"a.x", "b.x", "c.x", "d.x"}, 3).names, ElementsAre("a", "b", "rest"));
  EXPECT_THAT(layer_groups({"a.x", "b.x", "c.x", "d.x"}, 3).group_of, ElementsAre(0, 1, 2, 2));
}

// L₁ + L₂ = ½ xᵀ(A₁ + A₂)x with A₁ + A₂ = diag(1, 4, 9), at x.
struct Quadratic {
  at::Tensor x = torch::tensor({1.0, -2.0, 0.5}, torch::kDouble).set_requires_grad(true);
  at::Tensor head = torch::zeros({1}, torch::kDouble).set_requires_grad(true);
  TensorList losses() const {
    const at::Tensor a = torch::tensor({1.0, 1.0, 4.0}, torch::kDouble);
    const at::Tensor b = torch::tensor({0.0, 3.0, 5.0}, torch::kDouble);
    return {(x.square() * a).sum() / 2 + head.square().sum(), (x.square() * b).sum() / 2};
  }
};

TEST(Curvature, BothFormsAreExactOnAQuadraticAndLeaveParametersAlone) {
  Quadratic q;
  CurvatureProbe probe(q.losses(), {q.x}, {q.head});
  const at::Tensor g = torch::tensor({1.0, -8.0, 4.5}, torch::kDouble);
  {
    const torch::NoGradGuard no_grad;
    q.x.add_(torch::tensor({0.3, 0.0, -0.4}, torch::kDouble));
    q.head.add_(7.0);
  }
  const at::Tensor x_after = q.x.detach().clone();
  const auto found = probe.measure([&] { return q.losses(); });
  ASSERT_TRUE(found.has_value());
  const double squared = g.dot(g).item<double>();
  const at::Tensor hg = g * torch::tensor({1.0, 4.0, 9.0}, torch::kDouble);
  EXPECT_NEAR(found->squared_norm, squared, 1e-12 * squared);
  EXPECT_NEAR(found->step, 0.5 / std::sqrt(squared), 1e-12);
  EXPECT_NEAR(found->from_gradients, g.dot(hg).item<double>(), 1e-9);
  EXPECT_NEAR(found->from_losses, g.dot(hg).item<double>(), 1e-9);
  EXPECT_NEAR(found->lipschitz, (hg.norm() / g.norm()).item<double>(), 1e-12);
  EXPECT_LE(found->lipschitz, 9.0);
  EXPECT_TRUE(torch::equal(q.x, x_after));
  EXPECT_EQ(q.head.item<double>(), 7.0);
}

TEST(Curvature, IsNotMeasuredWithoutAStepAndRestoresAfterAnException) {
  Quadratic q;
  CurvatureProbe still(q.losses(), {q.x}, {q.head});
  EXPECT_FALSE(still.measure([&] { return q.losses(); }).has_value());
  CurvatureProbe probe(q.losses(), {q.x}, {q.head});
  {
    const torch::NoGradGuard no_grad;
    q.x.add_(1.0);
  }
  const at::Tensor after = q.x.detach().clone();
  EXPECT_THROW(probe.measure([]() -> TensorList { throw std::runtime_error("x"); }),
               std::runtime_error);
  EXPECT_TRUE(torch::equal(q.x, after));
}

engine::StepReport opposed_report() {
  engine::StepReport report;
  report.diagnosed = true;
  const double nan = std::nan("");
  report.gram = Matrix(3, 3, nan);  // the second task is absent
  report.gram(0, 0) = 100;
  report.gram(0, 2) = report.gram(2, 0) = -6;
  report.gram(2, 2) = 1;
  report.groups = {{"trunk", report.gram}};
  return report;
}

TEST(Diagnosis, NamesPairsAndLayersOfTheTasksThatTookPart) {
  const auto record = diagnosis_record({"a", "b", "c"}, opposed_report(), std::nullopt);
  EXPECT_EQ(record.conflict_fraction, 1.0);
  ASSERT_EQ(record.magnitude_similarity.size(), 1U);
  EXPECT_EQ(record.magnitude_similarity[0].first, "a|c");
  EXPECT_NEAR(record.magnitude_similarity[0].second, 20.0 / 101, 1e-12);
  // (1 − 0.36)·(101 + 12)/(101 − 12)
  EXPECT_NEAR(record.xi[0].second, 0.64 * 113 / 89, 1e-12);
  EXPECT_EQ(record.triad[0].second.dominated, true);
  EXPECT_FALSE(record.triad[0].second.curved.has_value());
  ASSERT_EQ(record.groups.size(), 1U);
  EXPECT_EQ(record.groups[0].name, "trunk");
  EXPECT_NEAR(record.groups[0].cosines[0].second, -0.6, 1e-12);
  EXPECT_EQ(record.groups[0].grad_norms[0], (std::pair<std::string, double>("a", 10.0)));
  EXPECT_FALSE(record.groups[0].weights.has_value());
  EXPECT_TRUE(record.curvature.empty());
}

TEST(Diagnosis, FlagsTheTriadWhereCurvatureAndStepAreLarge) {
  Curvature curvature{.squared_norm = 1, .step = 10, .from_gradients = 2, .lipschitz = 2};
  const auto triad = [&] {
    return diagnosis_record({"a", "b", "c"}, opposed_report(), curvature).triad[0].second;
  };
  EXPECT_EQ(triad().curved, true);  // 2 >= 0.81 · 2
  EXPECT_EQ(triad().large_step, true);
  curvature.step = 1;  // below 2/(2 − 1.63)
  EXPECT_EQ(triad().large_step, false);
}

}  // namespace
}  // namespace detente::train

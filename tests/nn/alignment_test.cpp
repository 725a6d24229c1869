// SPDX-License-Identifier: Apache-2.0
#include <detente/nn/alignment.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

#include "tests/support/tolerances.h"

namespace detente::nn {
namespace {

// x: two tokens, y: three, of which the last is padding that would win if it counted.
struct AlignmentProblem {
  at::Tensor x = torch::tensor({{{1.0, 0.0}, {1.0, 1.0}}}, torch::kDouble);
  at::Tensor y = torch::tensor({{{0.0, 2.0}, {3.0, 4.0}, {5.0, 0.0}}}, torch::kDouble);
  at::Tensor x_mask = torch::tensor({{true, true}});
  at::Tensor y_mask = torch::tensor({{true, true, false}});
  at::Tensor x_weight = torch::tensor({{3.0, 1.0}}, torch::kDouble);
  at::Tensor y_weight = torch::tensor({{1.0, 1.0, 0.0}}, torch::kDouble);

  at::Tensor features() const {
    return alignment_features(x, y, x_mask, y_mask, x_weight, y_weight)[0];
  }
};

TEST(Alignment, IsTheMeanOfBestCosines) {
  const AlignmentProblem problem;
  const double r = std::sqrt(0.5);
  const double s0 = 0.6;      // (1,0) with (3,4)/5
  const double s1 = 1.4 * r;  // (1,1) with (3,4)/5
  const double t0 = r;        // (0,1) with (1,1)
  const double t1 = 1.4 * r;
  const double a = (3 * s0 + s1) / 4;
  const double b = (t0 + t1) / 2;
  const auto features = problem.features();
  EXPECT_NEAR(features[0].item<double>(), a + b, test::kRounding);
  EXPECT_NEAR(features[1].item<double>(), std::abs(a - b), test::kRounding);
  EXPECT_NEAR(features[2].item<double>(), (s0 + s1) / 2 + b, test::kRounding);
  EXPECT_NEAR(features[3].item<double>(), a * b, test::kRounding);
}

TEST(Alignment, DoesNotSeeTheLengthOfVectorsNorTheOrderOfSentences) {
  const AlignmentProblem problem;
  AlignmentProblem changed = problem;
  std::swap(changed.x, changed.y);
  std::swap(changed.x_mask, changed.y_mask);
  std::swap(changed.x_weight, changed.y_weight);
  changed.x = changed.x * 7;
  EXPECT_TRUE(torch::allclose(problem.features(), changed.features(), 0, test::kRounding));
}

TEST(Alignment, IsPerfectForEqualSentences) {
  AlignmentProblem problem;
  problem.y = problem.x.clone();
  problem.y_mask = problem.x_mask;
  problem.y_weight = problem.x_weight;
  const auto expected = torch::tensor({2.0, 0.0, 2.0, 1.0}, torch::kDouble);
  EXPECT_TRUE(torch::allclose(problem.features(), expected, 0, test::kRounding));
}

TEST(Alignment, HasFiniteGradientsForZeroVectors) {
  AlignmentProblem problem;
  problem.y[0][1].zero_();
  problem.x = problem.x.clone().requires_grad_();
  problem.y = problem.y.clone().requires_grad_();
  problem.features().sum().backward();
  EXPECT_TRUE(torch::isfinite(problem.x.grad()).all().item<bool>());
  EXPECT_TRUE(torch::isfinite(problem.y.grad()).all().item<bool>());
}

}  // namespace
}  // namespace detente::nn

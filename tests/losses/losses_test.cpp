// SPDX-License-Identifier: Apache-2.0
// What all losses share, and the closed form of each but the correlation loss.
#include <detente/core/error.h>
#include <gmock/gmock.h>

#include <cmath>

#include "loss_support.h"
#include "tests/support/tolerances.h"

namespace detente::losses {
namespace {

using test::kRounding;

// A batch the loss accepts: predictions (no ties), targets, both of five rows.
std::pair<at::Tensor, at::Tensor> losses_batch(const Loss& loss) {
  const std::string name = loss.name();
  const auto p = numbers({0.4, -1.7, 2.6, 0.1, -0.3});
  if (name == "bce" || name == "focal") return {p, numbers({1, 0, 1, 0, 1})};
  if (name == "cross_entropy") {
    return {torch::stack({p, p.flip(0) * 0.7, p.square()}, 1), numbers({2, 0, 1, 1, 0})};
  }
  const auto y = numbers({1.0, -2.9, 2.5, 0.7, 3.0});
  if (name == "cosine") {
    const auto vectors = torch::stack({y, y.flip(0), y.square() - 2}, 1);
    return {torch::stack({p, p.flip(0) * 0.7, p.square()}, 1),
            vectors / vectors.norm(2, 1, /*keepdim=*/true)};
  }
  return {p, y};
}

class EveryLoss : public testing::TestWithParam<std::string> {
 protected:
  EveryLoss() : loss_(make_loss(GetParam())) { std::tie(p_, y_) = losses_batch(*loss_); }
  std::unique_ptr<Loss> loss_;
  at::Tensor p_;
  at::Tensor y_;
};

TEST_P(EveryLoss, GradientMatchesFiniteDifferences) {
  expect_gradient_matches_differences(*loss_, p_, y_);
}

TEST_P(EveryLoss, IsNotNegativeAndDoesNotDependOnTheOrderOfRows) {
  const double value = (*loss_)(p_, y_).item<double>();
  EXPECT_GE(value, 0);
  EXPECT_NEAR((*loss_)(p_.flip(0), y_.flip(0)).item<double>(), value, kRounding);
}

TEST_P(EveryLoss, MissingTargetsAreAsIfTheRowWereNotThere) {
  const auto keep = torch::tensor({0, 1, 3, 4});
  auto y = y_.clone();
  y[2] = kNanTarget;
  // Not even a broken prediction of such a row matters.
  auto p = p_.clone();
  p[2] = kNanTarget;
  LossInfo info;
  EXPECT_NEAR((*loss_)(p, y, &info).item<double>(),
              (*loss_)(p_.index_select(0, keep), y_.index_select(0, keep)).item<double>(),
              kRounding);
  EXPECT_EQ(info.rows, 4);
  const auto gradient = loss_gradient(*loss_, p, y);
  EXPECT_EQ(gradient[2].abs().sum().item<double>(), 0.0);
  EXPECT_TRUE(torch::isfinite(gradient).all().item<bool>());
}

TEST_P(EveryLoss, ABatchWithoutTargetsHasNoLoss) {
  LossInfo info{.rows = 3};
  EXPECT_FALSE((*loss_)(p_, torch::full_like(y_, kNanTarget), &info).defined());
  EXPECT_EQ(info.rows, 0);
  EXPECT_FALSE((*loss_)(p_.narrow(0, 0, 0), y_.narrow(0, 0, 0)).defined());
}

TEST_P(EveryLoss, TakesFloat32AndKeepsTheTypeOfThePrediction) {
  const auto value = (*loss_)(p_.to(torch::kFloat), y_);
  EXPECT_EQ(value.scalar_type(), torch::kFloat);
  EXPECT_EQ(value.dim(), 0);
  EXPECT_NEAR(value.item<double>(), (*loss_)(p_, y_).item<double>(), test::kFloat32);
}

TEST_P(EveryLoss, RefusesShapesThatDoNotFit) {
  const auto code = [&](const at::Tensor& p, const at::Tensor& y) {
    try {
      (*loss_)(p, y);
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), testing::StartsWith("[losses::" + GetParam() + "]"));
      return error.code();
    }
    return ErrorCode::kInternal;
  };
  EXPECT_EQ(code(p_, y_.narrow(0, 0, 4)), ErrorCode::kShape);
  EXPECT_EQ(code(p_, y_.unsqueeze(1)), ErrorCode::kShape);
  EXPECT_EQ(code(p_, y_.to(torch::kLong)), ErrorCode::kShape);
  EXPECT_EQ(code(torch::zeros({5, 2, 2}), y_), ErrorCode::kShape);
  auto infinite = y_.clone();
  infinite[0] = std::numeric_limits<double>::infinity();
  EXPECT_EQ(code(p_, infinite), ErrorCode::kData);
}

INSTANTIATE_TEST_SUITE_P(Losses, EveryLoss, testing::ValuesIn(loss_names()), [](const auto& info) {
  return info.param;
});

double loss_value(const std::string& name,
                  const at::Tensor& p,
                  const at::Tensor& y,
                  const std::vector<std::pair<std::string, std::string>>& options = {}) {
  return (*loss_with(name, options))(p, y).item<double>();
}

TEST(Mse, IsTheMeanOfSquares) {
  EXPECT_DOUBLE_EQ(loss_value("mse", numbers({1, 2}), numbers({3, 1})), 2.5);
}

TEST(Mse, TakesAColumnOfPredictions) {
  EXPECT_DOUBLE_EQ(loss_value("mse", numbers({1, 2}).unsqueeze(1), numbers({3, 1})), 2.5);
}

TEST(Mae, IsTheMeanOfDistancesWithZeroSlopeAtTies) {
  EXPECT_DOUBLE_EQ(loss_value("mae", numbers({1, 2}), numbers({3, 1})), 1.5);
  EXPECT_EQ(loss_gradient(*loss_with("mae"), numbers({1, 2}), numbers({1, 1}))[0].item<double>(),
            0);
}

TEST(Huber, IsQuadraticInsideAndLinearOutside) {
  const std::vector<std::pair<std::string, std::string>> delta = {{"delta", "2"}};
  EXPECT_DOUBLE_EQ(loss_value("huber", numbers({1.5}), numbers({0}), delta), 0.5 * 1.5 * 1.5);
  EXPECT_DOUBLE_EQ(loss_value("huber", numbers({-5}), numbers({0}), delta), 2 * (5 - 1.0));
  const auto gradient =
      loss_gradient(*loss_with("huber", delta), numbers({1.5, -5}), numbers({0, 0}));
  EXPECT_DOUBLE_EQ(gradient[0].item<double>(), 1.5 / 2);
  EXPECT_DOUBLE_EQ(gradient[1].item<double>(), -2.0 / 2);
}

TEST(Huber, IsHalfTheSquaredErrorForALargeDelta) {
  const auto p = numbers({1, -2, 4});
  const auto y = numbers({0, 3, 3.5});
  EXPECT_NEAR(
      loss_value("huber", p, y, {{"delta", "1e6"}}), 0.5 * loss_value("mse", p, y), kRounding);
}

TEST(Bce, IsTheNegativeLogLikelihood) {
  const double p = 1 / (1 + std::exp(-0.7));
  EXPECT_NEAR(loss_value("bce", numbers({0.7}), numbers({1})), -std::log(p), kRounding);
  EXPECT_NEAR(loss_value("bce", numbers({0.7}), numbers({0.25})),
              -0.25 * std::log(p) - 0.75 * std::log(1 - p),
              kRounding);
  EXPECT_NEAR(loss_value("bce", numbers({0.7}), numbers({1}), {{"positive_weight", "3"}}),
              -3 * std::log(p),
              kRounding);
}

TEST(Bce, StaysFiniteForHugeLogits) {
  const auto z = numbers({1e4, -1e4});
  EXPECT_NEAR(loss_value("bce", z, numbers({0, 1})), 1e4, 1e-6);
  EXPECT_EQ(loss_value("bce", z, numbers({1, 0})), 0.0);
  const auto gradient = loss_gradient(*loss_with("bce"), z, numbers({0, 1}));
  EXPECT_TRUE(torch::allclose(gradient, numbers({0.5, -0.5})));
}

TEST(Focal, IsHalfTheCrossEntropyWithoutFocus) {
  const auto z = numbers({0.3, -2, 1.4});
  const auto y = numbers({1, 0, 0});
  EXPECT_NEAR(loss_value("focal", z, y, {{"gamma", "0"}, {"alpha", "0.5"}}),
              0.5 * loss_value("bce", z, y),
              kRounding);
}

TEST(Focal, IsItsFormula) {
  const double p = 1 / (1 + std::exp(-0.3));
  EXPECT_NEAR(loss_value("focal", numbers({0.3}), numbers({1})),
              0.25 * (1 - p) * (1 - p) * -std::log(p),
              kRounding);
  EXPECT_NEAR(loss_value("focal", numbers({0.3}), numbers({0})),
              0.75 * p * p * -std::log(1 - p),
              kRounding);
}

TEST(Focal, HasFiniteGradientsForAnyLogitAndFocus) {
  for (const char* gamma : {"0", "0.5", "2", "5"}) {
    const auto loss = loss_with("focal", {{"gamma", gamma}});
    for (const double z : {0.0, 1e-8, 40.0, -40.0, 1e4, -1e4}) {
      const auto gradient = loss_gradient(*loss, numbers({z, z}), numbers({0, 1}));
      EXPECT_TRUE(torch::isfinite(gradient).all().item<bool>()) << gamma << " " << z;
    }
  }
}

TEST(CrossEntropy, IsTheNegativeLogProbabilityOfTheTarget) {
  const auto z = torch::tensor({{1.0, 2.0, 0.5}}, torch::kDouble);
  const double sum = std::exp(1.0) + std::exp(2.0) + std::exp(0.5);
  EXPECT_NEAR(loss_value("cross_entropy", z, numbers({1})), std::log(sum) - 2, kRounding);
  EXPECT_NEAR(loss_value("cross_entropy", z, numbers({1}), {{"label_smoothing", "0.3"}}),
              std::log(sum) - (0.7 * 2 + 0.1 * (1.0 + 2.0 + 0.5)),
              kRounding);
}

TEST(CrossEntropy, OfTwoClassesIsBinaryCrossEntropyOfTheDifference) {
  const auto z = numbers({0.3, -1.2, 2.0});
  const auto y = numbers({1, 0, 0});
  const auto two = torch::stack({torch::zeros({3}, torch::kDouble), z}, 1);
  EXPECT_NEAR(loss_value("cross_entropy", two, y), loss_value("bce", z, y), kRounding);
}

TEST(Losses, RefuseTargetsThatAreNoLabels) {
  const auto code = [](const std::string& name, const at::Tensor& p, double target) {
    try {
      loss_value(name, p, numbers({target}));
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::kInternal;
  };
  EXPECT_EQ(code("bce", numbers({0.1}), 2.0), ErrorCode::kData);
  EXPECT_EQ(code("bce", numbers({0.1}), -0.1), ErrorCode::kData);
  EXPECT_EQ(code("focal", numbers({0.1}), 0.5), ErrorCode::kData);
  const auto three = torch::zeros({1, 3}, torch::kDouble);
  EXPECT_EQ(code("cross_entropy", three, 3.0), ErrorCode::kData);
  EXPECT_EQ(code("cross_entropy", three, -1.0), ErrorCode::kData);
  EXPECT_EQ(code("cross_entropy", three, 0.5), ErrorCode::kData);
}

}  // namespace
}  // namespace detente::losses

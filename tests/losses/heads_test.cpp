// SPDX-License-Identifier: Apache-2.0
// Losses of ordered classes, of several numbers per row, and class weights.
#include <detente/core/error.h>
#include <detente/core/nan.h>
#include <detente/losses/registry.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <vector>

namespace detente::losses {
namespace {

constexpr double kClose = 1e-12;

at::Tensor table(const std::vector<double>& values, std::int64_t columns) {
  return torch::tensor(values, torch::kFloat64).view({-1, columns});
}
at::Tensor list(const std::vector<double>& values) {
  return torch::tensor(values, torch::kFloat64);
}
double sigma(double z) { return 1 / (1 + std::exp(-z)); }

TEST(Cumulative, IsTheLikelihoodOfDifferencesOfProbabilities) {
  const at::Tensor z = table({2, -0.5, -3, 1, 0.5, 0.25, -1, -2, -4, 3, 2, 1}, 3);
  const std::vector<double> y = {0, 1, 2, 3};
  double expected = 0;
  for (int i = 0; i < 4; ++i) {
    const double above = y[i] < 3 ? sigma(z[i][static_cast<int>(y[i])].item<double>()) : 0;
    const double reached = y[i] > 0 ? sigma(z[i][static_cast<int>(y[i]) - 1].item<double>()) : 1;
    expected -= std::log(reached - above) / 4;
  }
  EXPECT_NEAR((*make_loss("cumulative"))(z, list(y)).item<double>(), expected, kClose);
}

TEST(Cumulative, OfTwoClassesIsBinaryCrossEntropy) {
  const std::vector<double> logits = {0.3, -1.2, 4, -0.1};
  const at::Tensor y = list({1, 0, 0, 1});
  const double expected = (*make_loss("bce"))(list(logits), y).item<double>();
  for (const char* name : {"cumulative", "coral"}) {
    EXPECT_NEAR((*make_loss(name))(table(logits, 1), y).item<double>(), expected, kClose) << name;
  }
}

TEST(Coral, IsTheSumOfBinaryTasks) {
  const at::Tensor z = table({2, -0.5, -3, 1, 0.5, 0.25}, 3);
  const at::Tensor y = list({1, 3});
  const at::Tensor more = table({1, 0, 0, 1, 1, 1}, 3);
  const double mean_of_all = (*make_loss("bce"))(z, more).item<double>();
  EXPECT_NEAR((*make_loss("coral"))(z, y).item<double>(), 3 * mean_of_all, kClose);
}

TEST(OrderedLosses, HaveTheGradientOfTheirValue) {
  for (const char* name : {"cumulative", "coral"}) {
    const auto loss = make_loss(name);
    const at::Tensor y = list({0, 1, 2, 3, 1});
    const at::Tensor z =
        table({2, -0.5, -3, 1, 0.5, 0.25, -1, -2, -4, 3, 2, 1, 9, 0, -9}, 3).requires_grad_(true);
    const at::Tensor gradient = torch::autograd::grad({(*loss)(z, y)}, {z})[0];
    const torch::NoGradGuard no_grad;
    for (std::int64_t i = 0; i < z.numel(); ++i) {
      const auto at_step = [&](double step) {
        at::Tensor moved = z.clone();
        moved.view({-1})[i] += step;
        return (*loss)(moved, y).item<double>();
      };
      EXPECT_NEAR(
          gradient.view({-1})[i].item<double>(), (at_step(1e-6) - at_step(-1e-6)) / 2e-6, 1e-8)
          << name << i;
    }
  }
}

TEST(OrderedLosses, StayFiniteForEveryLogit) {
  for (const char* name : {"cumulative", "coral"}) {
    const at::Tensor z =
        table({1e4, 1e4, 1e4, -1e4, -1e4, -1e4, 0, 0, 0, 1e4, 0, -1e4}, 3).requires_grad_(true);
    for (int y = 0; y < 4; ++y) {
      const at::Tensor value = (*make_loss(name))(z, torch::full({4}, y, torch::kFloat64));
      EXPECT_TRUE(std::isfinite(value.item<double>())) << name << y;
      EXPECT_TRUE(torch::autograd::grad({value}, {z})[0].isfinite().all().item<bool>()) << name;
    }
  }
}

TEST(OrderedLosses, RefuseWhatIsNoClass) {
  const at::Tensor z = table({1, 0, 1, 0}, 2);
  for (const double y : {3.0, -1.0, 0.5}) {
    EXPECT_THROW((*make_loss("cumulative"))(z, list({0, y})), Error) << y;
    EXPECT_THROW((*make_loss("coral"))(z, list({0, y})), Error) << y;
  }
}

TEST(SeveralNumbers, CountTheSameWhereTheyAreThere) {
  const at::Tensor p = table({1, 2, 3, 4, 5, 6}, 2);
  const at::Tensor y = table({0, kNan, 3, 6, kNan, kNan}, 2);
  LossInfo info;
  EXPECT_NEAR((*make_loss("mse"))(p, y, &info).item<double>(), (1.0 + 0 + 4) / 3, kClose);
  EXPECT_EQ(info.rows, 3);
  EXPECT_NEAR((*make_loss("mae"))(p, y).item<double>(), (1.0 + 0 + 2) / 3, kClose);
  EXPECT_FALSE((*make_loss("mse"))(p, torch::full_like(p, kNan)).defined());
}

TEST(SeveralNumbers, OfLabelsAreTheMeanOfTheirCrossEntropies) {
  const at::Tensor z = table({0.5, -1, 2, 0.1}, 2);
  const at::Tensor y = table({1, 0, 0, 1}, 2);
  const auto bce = make_loss("bce");
  const double first = (*bce)(z.select(1, 0), y.select(1, 0)).item<double>();
  const double second = (*bce)(z.select(1, 1), y.select(1, 1)).item<double>();
  EXPECT_NEAR((*bce)(z, y).item<double>(), (first + second) / 2, kClose);
}

TEST(SeveralNumbers, AreCorrelatedColumnByColumn) {
  const at::Tensor p = table({1, 8, 2, 7, 3, 7, 5, 1}, 2);
  const at::Tensor y = table({1, 1, 2, kNan, 4, 2, 5, 9}, 2);
  const auto loss = make_loss("correlation");
  LossInfo info;
  const double both = (*loss)(p, y, &info).item<double>();
  const double first = (*loss)(p.select(1, 0), y.select(1, 0)).item<double>();
  const double second = (*loss)(p.select(1, 1), y.select(1, 1)).item<double>();
  EXPECT_NEAR(both, (first + second) / 2, kClose);
  EXPECT_EQ(info.rows, 7);
}

TEST(SeveralNumbers, NeedAsManyPredictions) {
  EXPECT_THROW((*make_loss("mse"))(table({1, 2, 3, 4}, 2), table({1, 2, 3, 4, 5, 6}, 3)), Error);
  EXPECT_THROW((*make_loss("mse"))(list({1, 2}), table({1, 2}, 1)), Error);
}

TEST(ClassWeights, OfOneChangeNothing) {
  const at::Tensor z = table({0.5, -1, 2, 0.1, 1, 0, 3, 1, -1}, 3);
  const at::Tensor y = list({0, 2, 1});
  const std::vector<double> ones = {1, 1, 1};
  for (const char* name : {"cross_entropy", "cumulative", "coral"}) {
    const auto loss = make_loss(name);
    // Ordered classes have a logit less.
    const at::Tensor logits = name == std::string("cross_entropy") ? z : z.slice(1, 0, 2);
    EXPECT_NEAR(
        (*loss)(logits, y, nullptr, ones).item<double>(), (*loss)(logits, y).item<double>(), kClose)
        << name;
  }
}

TEST(ClassWeights, MultiplyEachRowAndDivideByRows) {
  const at::Tensor z = table({0.5, -1, 2, 0.1, 1, 0}, 3);
  const std::vector<double> weights = {2, 0.5, 3};
  const auto loss = make_loss("cross_entropy");
  const double first = (*loss)(z.slice(0, 0, 1), list({0})).item<double>();
  const double second = (*loss)(z.slice(0, 1, 2), list({2})).item<double>();
  EXPECT_NEAR((*loss)(z, list({0, 2}), nullptr, weights).item<double>(),
              (2 * first + 3 * second) / 2,
              kClose);
  // A missing target is no row.
  EXPECT_NEAR((*loss)(z, list({0, kNan}), nullptr, weights).item<double>(), 2 * first, kClose);
}

TEST(ClassWeights, OfABinaryTaskAreThePositiveWeightOfBce) {
  const at::Tensor z = list({0.5, -1, 2, 0.1});
  const at::Tensor y = list({1, 0, 0, 1});
  const auto plain = make_loss("bce");
  const auto heavy = make_loss("bce");
  set_field([&](FieldVisitor& v) { heavy->describe(v); }, "positive_weight", "4", "test");
  const std::vector<double> weights = {1, 4};
  EXPECT_NEAR(
      (*plain)(z, y, nullptr, weights).item<double>(), (*heavy)(z, y).item<double>(), kClose);
  EXPECT_NO_THROW((*make_loss("focal"))(z, y, nullptr, weights));
}

TEST(ClassWeights, AreForClasses) {
  const std::vector<double> weights = {1, 4};
  for (const char* name : {"mse", "mae", "huber", "correlation"}) {
    EXPECT_THROW((*make_loss(name))(list({1, 2}), list({0, 1}), nullptr, weights), Error) << name;
  }
  const at::Tensor z = list({0.5, -1});
  EXPECT_THROW((*make_loss("bce"))(z, list({0.3, 1}), nullptr, weights), Error) << "soft labels";
  EXPECT_THROW((*make_loss("bce"))(z, list({0, 1}), nullptr, std::vector<double>{1}), Error);
}

}  // namespace
}  // namespace detente::losses

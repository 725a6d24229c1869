// SPDX-License-Identifier: Apache-2.0
#include <detente/distill/linear_probe.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>

#include "distill_support.h"
#include "tests/support/error_of.h"
#include "tests/support/tolerances.h"

namespace detente::distill {
namespace {

using Labels = std::vector<std::int64_t>;
using test::error_of;
using test::kCertificate;

// Rows around a centre for each class, which lie `apart` from each other.
struct Clouds {
  at::Tensor features;
  Labels labels;
};

Clouds clouds(std::int64_t rows, std::int64_t classes, double apart, std::uint64_t seed) {
  Clouds result;
  result.features = noise({rows, 6}, seed);
  const at::Tensor centres = noise({classes, 6}, 77) * apart;
  for (std::int64_t i = 0; i < rows; ++i) {
    result.labels.push_back(10 * (i % classes) - 3);
    result.features[i] += centres[i % classes];
  }
  return result;
}

// The objective and its gradient by autograd, from the definition.
double gradient_at(const LinearFit& fit, const Clouds& data, double ridge) {
  Labels places;
  for (const std::int64_t label : data.labels) {
    places.push_back(std::find(fit.classes.begin(), fit.classes.end(), label) -
                     fit.classes.begin());
  }
  const at::Tensor x = (data.features.to(torch::kDouble) - fit.mean) / fit.scale;
  const at::Tensor w = fit.weight.clone().requires_grad_();
  const at::Tensor b = fit.bias.clone().requires_grad_();
  const at::Tensor loss = torch::nll_loss(torch::log_softmax(torch::linear(x, w, b), 1),
                                          torch::tensor(places, torch::kLong)) +
                          ridge / 2 * w.square().sum();
  loss.backward();
  return std::sqrt((w.grad().square().sum() + b.grad().square().sum()).item<double>());
}

TEST(LinearProbe, EndsWhereTheGradientIsNought) {
  for (const double ridge : {1e-6, 1e-3, 1.0}) {
    for (const std::int64_t classes : {2, 3, 7}) {
      const Clouds data = clouds(120, classes, 0.8, 5);
      const LinearFit fit = fit_linear(data.features, data.labels, ridge);
      EXPECT_LT(gradient_at(fit, data, ridge), kCertificate * 2) << ridge << " " << classes;
      EXPECT_NEAR(fit.gradient_norm, gradient_at(fit, data, ridge), kCertificate);
      EXPECT_LT(fit.steps, 60);
    }
  }
}

TEST(LinearProbe, SeparatesWhatIsSeparable) {
  const Clouds train = clouds(90, 3, 6, 1), test = clouds(60, 3, 6, 2);
  EXPECT_EQ(linear_accuracy(train.features, train.labels, test.features, test.labels), 1);
  const LinearFit fit = fit_linear(train.features, train.labels, 1e-6);
  EXPECT_LT(gradient_at(fit, train, 1e-6), kCertificate * 2);
  EXPECT_TRUE(torch::isfinite(fit.weight).all().item<bool>());
}

TEST(LinearProbe, UnrelatedLabelsAreGuessed) {
  const at::Tensor x = noise({600, 6}, 1), y = noise({600, 6}, 2);
  Labels labels;
  for (int i = 0; i < 600; ++i) labels.push_back(i % 4);
  EXPECT_NEAR(linear_accuracy(x, labels, y, labels), 0.25, 0.08);
}

// Units and offsets of the features, and columns that say nothing, are of no account.
TEST(LinearProbe, DoesNotMindUnitsAndConstantColumns) {
  const Clouds train = clouds(120, 4, 0.8, 1), test = clouds(80, 4, 0.8, 2);
  const double plain = linear_accuracy(train.features, train.labels, test.features, test.labels);
  EXPECT_GT(plain, 0.4);
  EXPECT_LT(plain, 1);
  const at::Tensor units = torch::tensor({1e-6, 1.0, 1e6, 3.0, 10.0, 1e3}, torch::kDouble);
  const at::Tensor offsets = torch::tensor({0.0, 5.0, -1e6, 7.0, 0.1, 2.0}, torch::kDouble);
  const auto changed = [&](const at::Tensor& x, double last) {
    return torch::cat({x * units + offsets, torch::full({x.size(0), 1}, last, torch::kDouble)}, 1);
  };
  EXPECT_EQ(
      linear_accuracy(
          changed(train.features, 0.1), train.labels, changed(test.features, 0.3), test.labels),
      plain);
  const LinearFit fit = fit_linear(changed(train.features, 0.1), train.labels);
  EXPECT_EQ(largest(fit.weight.select(1, 6)), 0);
}

TEST(LinearProbe, IsTheSameEveryTime) {
  const Clouds data = clouds(100, 5, 0.8, 1);
  const LinearFit one = fit_linear(data.features, data.labels);
  const LinearFit two = fit_linear(data.features, data.labels);
  EXPECT_TRUE(torch::equal(one.weight, two.weight));
  EXPECT_TRUE(torch::equal(one.bias, two.bias));
}

// Without features the biases are the logarithms of the classes' shares, up to a number for all.
TEST(LinearProbe, LearnsTheSharesFromNothing) {
  const at::Tensor x = torch::ones({10, 3});
  const Labels labels = {0, 0, 0, 0, 0, 0, 1, 1, 1, 2};
  const LinearFit fit = fit_linear(x, labels);
  const at::Tensor shares = torch::softmax(fit.bias, 0);
  EXPECT_NEAR(shares[0].item<double>(), 0.6, test::kReference);
  EXPECT_NEAR(shares[1].item<double>(), 0.3, test::kReference);
  EXPECT_EQ(largest(fit.weight), 0);
}

TEST(LinearProbe, KnowsOneClassAndNoneThatItHasNotSeen) {
  const at::Tensor x = noise({5, 3}, 1), y = noise({4, 3}, 2);
  EXPECT_EQ(linear_accuracy(x, Labels(5, 8), y, Labels{8, 8, 9, 7}), 0.5);
}

TEST(LinearProbe, SaysWhatIsWrong) {
  const at::Tensor x = torch::ones({3, 2});
  const Labels y = {0, 1, 2};
  const auto code = [](const std::function<void()>& body) { return error_of(body).code(); };
  constexpr auto kBad = ErrorCode::kInvalidArgument;
  EXPECT_EQ(code([&] { linear_accuracy(x, y, x, y, 0); }), kBad);
  EXPECT_EQ(code([&] { linear_accuracy(x, Labels{0}, x, y); }), kBad);
  EXPECT_EQ(code([&] { linear_accuracy(x, y, torch::ones({3, 3}), y); }), kBad);
  EXPECT_EQ(code([&] { linear_accuracy(torch::ones({0, 2}), Labels{}, x, y); }), kBad);
  const at::Tensor bad = torch::full({3, 2}, std::nan(""));
  EXPECT_EQ(code([&] { linear_accuracy(bad, y, x, y); }), ErrorCode::kNumeric);
}

}  // namespace
}  // namespace detente::distill

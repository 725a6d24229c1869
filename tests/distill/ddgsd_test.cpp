// SPDX-License-Identifier: Apache-2.0
#include <detente/distill/ddgsd.h>
#include <gmock/gmock.h>

#include <cmath>

#include "distill_support.h"
#include "tests/support/error_of.h"
#include "tests/support/tolerances.h"

namespace detente::distill {
namespace {

using test::error_of;
using test::kAccumulated;
using test::kRounding;
using Mmd = DdgsdOptions::Mmd;

constexpr double kSlope = 1e-8;  // of central differences
const Mmd kKinds[] = {Mmd::kLinear, Mmd::kRbf, Mmd::kUnbiased};

TEST(KlDivergence, IsTheSumOverClassesAndTheMeanOverRows) {
  const at::Tensor a = noise({4, 3}, 1), b = noise({4, 3}, 2);
  double expected = 0;
  const at::Tensor p = torch::softmax(a / 3, 1), q = torch::softmax(b / 3, 1);
  for (int i = 0; i < 4; ++i) {
    for (int c = 0; c < 3; ++c) {
      const double pc = p[i][c].item<double>();
      expected += pc * std::log(pc / q[i][c].item<double>()) / 4;
    }
  }
  const double value = kl_divergence(a, b, 3).item<double>();
  EXPECT_NEAR(value, expected, kRounding);
  EXPECT_NEAR(value,
              torch::kl_div(torch::log_softmax(b / 3, 1), p, at::Reduction::Sum).item<double>() / 4,
              kRounding);
  // The mistakes: a mean over classes too, the other way round, no temperature.
  EXPECT_GT(std::abs(value / 3 - expected), 1e-3);
  EXPECT_GT(std::abs(kl_divergence(b, a, 3).item<double>() - expected), 1e-4);
  EXPECT_GT(std::abs(kl_divergence(a, b, 1).item<double>() - expected), 1e-3);
}

TEST(KlDivergence, IsNeverNegativeAndNoughtForEqualAnswersAlone) {
  for (std::uint64_t seed = 1; seed < 20; ++seed) {
    const at::Tensor a = noise({5, 4}, seed) * 4, b = noise({5, 4}, seed + 100) * 4;
    EXPECT_GT(kl_divergence(a, b, 1).item<double>(), 0);
    EXPECT_EQ(kl_divergence(a, a, 1).item<double>(), 0);
    EXPECT_NEAR(kl_divergence(a, a + noise({5, 1}, 3), 1).item<double>(), 0, kRounding);
  }
  // Answers without doubt keep it finite.
  EXPECT_NEAR(kl_divergence(noise({2, 3}, 1) * 1e4, noise({2, 3}, 2) * 0, 1).item<double>(),
              std::log(3.0),
              kRounding);
}

TEST(KlDivergence, GradientsGoThroughBothSides) {
  const at::Tensor a = noise({4, 3}, 1), b = noise({4, 3}, 2);
  const auto first = [&](const at::Tensor& x) { return kl_divergence(x, b, 2); };
  const auto second = [&](const at::Tensor& x) { return kl_divergence(a, x, 2); };
  EXPECT_LT(distance(gradient_of(first, a), differences_of(first, a)), kSlope);
  EXPECT_LT(distance(gradient_of(second, b), differences_of(second, b)), kSlope);
  EXPECT_GT(largest(gradient_of(first, a)), 1e-3);
  EXPECT_GT(largest(gradient_of(second, b)), 1e-3);
}

// The definition over plain numbers, with σ² given.
double mmd_by_definition(const at::Tensor& a, const at::Tensor& b, double scale, bool with_itself) {
  const auto kernel = [&](const at::Tensor& x, const at::Tensor& y) {
    const double square = (x - y).square().sum().item<double>();
    double sum = 0;
    for (const double beta : {0.25, 0.5, 1.0, 2.0, 4.0}) sum += std::exp(-square / (beta * scale));
    return sum;
  };
  const auto mean = [&](const at::Tensor& x, const at::Tensor& y, bool skip) {
    double sum = 0, count = 0;
    for (std::int64_t i = 0; i < x.size(0); ++i) {
      for (std::int64_t j = 0; j < y.size(0); ++j) {
        if (skip && i == j) continue;
        sum += kernel(x[i], y[j]);
        ++count;
      }
    }
    return sum / count;
  };
  return mean(a, a, !with_itself) + mean(b, b, !with_itself) - 2 * mean(a, b, false);
}

double pooled_scale(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor all = torch::cat({a, b});
  const auto n = static_cast<double>(all.size(0));
  double sum = 0;
  for (std::int64_t i = 0; i < all.size(0); ++i) {
    sum += (all - all[i]).square().sum().item<double>();
  }
  return sum / (n * (n - 1));
}

TEST(MaximumMeanDiscrepancy, IsItsDefinition) {
  const at::Tensor a = noise({4, 3}, 1), b = noise({5, 3}, 2) + 0.4;
  const double scale = pooled_scale(a, b);
  EXPECT_NEAR(mmd(a, b, Mmd::kLinear).item<double>(),
              (a.mean(0) - b.mean(0)).square().sum().item<double>(),
              kRounding);
  EXPECT_NEAR(
      mmd(a, b, Mmd::kRbf).item<double>(), mmd_by_definition(a, b, scale, true), kAccumulated);
  EXPECT_NEAR(mmd(a, b, Mmd::kUnbiased).item<double>(),
              mmd_by_definition(a, b, scale, false),
              kAccumulated);
}

TEST(MaximumMeanDiscrepancy, GradientsAreThoseOfDifferencesWithTheBandwidthHeld) {
  const at::Tensor a = noise({4, 3}, 1), b = noise({5, 3}, 2) + 0.4;
  const double scale = pooled_scale(a, b);
  for (const Mmd kind : kKinds) {
    const auto of_a = [&](const at::Tensor& x) { return mmd(x, b, kind); };
    const auto of_b = [&](const at::Tensor& x) { return mmd(a, x, kind); };
    const auto held = [&](const at::Tensor& x, const at::Tensor& y) {
      if (kind == Mmd::kLinear) return mmd(x, y, kind);
      return torch::tensor(mmd_by_definition(x, y, scale, kind == Mmd::kRbf), torch::kDouble);
    };
    EXPECT_LT(distance(gradient_of(of_a, a),
                       differences_of([&](const at::Tensor& x) { return held(x, b); }, a)),
              kSlope);
    EXPECT_LT(distance(gradient_of(of_b, b),
                       differences_of([&](const at::Tensor& x) { return held(a, x); }, b)),
              kSlope);
    EXPECT_GT(largest(gradient_of(of_a, a)), 1e-3);
  }
}

TEST(MaximumMeanDiscrepancy, LooksAtNeitherOrderNorPlaceOfTheRows) {
  const at::Tensor a = noise({6, 3}, 1), b = noise({6, 3}, 2) + 0.4;
  const at::Tensor order = torch::tensor({3, 0, 5, 1, 4, 2}, torch::kLong);
  for (const Mmd kind : kKinds) {
    const double value = mmd(a, b, kind).item<double>();
    EXPECT_NEAR(mmd(a.index_select(0, order), b, kind).item<double>(), value, kRounding);
    EXPECT_NEAR(mmd(a, b.index_select(0, order), kind).item<double>(), value, kRounding);
    EXPECT_NEAR(mmd(b, a, kind).item<double>(), value, kRounding);
    EXPECT_NEAR(mmd(a + 50, b + 50, kind).item<double>(), value, kAccumulated);
    // Kernels see no unit; the means do.
    const double times = kind == Mmd::kLinear ? 1e4 : 1;
    EXPECT_NEAR(mmd(a * 100, b * 100, kind).item<double>(), value * times, kAccumulated * times);
  }
}

TEST(MaximumMeanDiscrepancy, OfEqualBatchesIsNoughtUnlessUnbiased) {
  const at::Tensor a = noise({6, 3}, 1);
  EXPECT_EQ(mmd(a, a, Mmd::kLinear).item<double>(), 0);
  EXPECT_NEAR(mmd(a, a, Mmd::kRbf).item<double>(), 0, kRounding);
  EXPECT_LT(mmd(a, a, Mmd::kUnbiased).item<double>(), 0);
  // Rows that are all equal have no bandwidth.
  const at::Tensor flat = torch::ones({4, 3}, torch::kDouble);
  for (const Mmd kind : kKinds) {
    EXPECT_EQ(mmd(flat, flat, kind).item<double>(), 0);
    const at::Tensor gradient =
        gradient_of([&](const at::Tensor& x) { return mmd(x, flat, kind); }, flat);
    EXPECT_EQ(largest(gradient), 0);  // and not NaN
  }
}

// Draws of one distribution: the biased one is above zero always, the unbiased one's mean is zero.
TEST(MaximumMeanDiscrepancy, UnbiasedIsRightOnAverage) {
  double sum = 0, square = 0;
  int below = 0;
  constexpr int kDraws = 400;
  for (int i = 0; i < kDraws; ++i) {
    const at::Tensor x = noise({16, 2}, static_cast<std::uint64_t>(1000 + i));
    const at::Tensor a = x.narrow(0, 0, 8), b = x.narrow(0, 8, 8);
    EXPECT_GT(mmd(a, b, Mmd::kRbf).item<double>(), 0);
    const double value = mmd(a, b, Mmd::kUnbiased).item<double>();
    sum += value;
    square += value * value;
    below += value < 0 ? 1 : 0;
  }
  const double mean = sum / kDraws;
  const double error = std::sqrt((square / kDraws - mean * mean) / kDraws);
  EXPECT_LT(std::abs(mean), 4 * error);
  EXPECT_GT(below, kDraws / 4);
}

TEST(Ddgsd, OneViewTwiceHasNothingToAgreeOn) {
  const at::Tensor z = noise({6, 4}, 1), f = noise({6, 5}, 2);
  for (const Mmd kind : {Mmd::kLinear, Mmd::kRbf}) {
    const DdgsdTerms terms = ddgsd_terms(z, z, f, f, {.mmd = kind});
    EXPECT_EQ(terms.divergence.item<double>(), 0);
    EXPECT_NEAR(terms.discrepancy.item<double>(), 0, kRounding);
  }
}

TEST(Ddgsd, DoesNotMindWhichViewComesFirst) {
  const at::Tensor za = noise({6, 4}, 1), zb = noise({6, 4}, 2);
  const at::Tensor fa = noise({6, 5}, 3), fb = noise({6, 5}, 4);
  for (const bool detach : {false, true}) {
    for (const Mmd kind : kKinds) {
      const DdgsdOptions options{.mmd = kind, .detach = detach};
      const DdgsdTerms one = ddgsd_terms(za, zb, fa, fb, options);
      const DdgsdTerms other = ddgsd_terms(zb, za, fb, fa, options);
      EXPECT_NEAR(one.divergence.item<double>(), other.divergence.item<double>(), kRounding);
      EXPECT_NEAR(one.discrepancy.item<double>(), other.discrepancy.item<double>(), kRounding);
    }
  }
}

TEST(Ddgsd, OptionsDoWhatTheySay) {
  const at::Tensor za = noise({6, 4}, 1), zb = noise({6, 4}, 2), f = noise({6, 5}, 3);
  const auto divergence = [&](const at::Tensor& z, const DdgsdOptions& options) {
    return ddgsd_terms(z, zb, f, f, options).divergence;
  };
  const double plain = divergence(za, {}).item<double>();
  EXPECT_NEAR(
      plain, (kl_divergence(za, zb, 3) + kl_divergence(zb, za, 3)).item<double>(), kRounding);
  EXPECT_NEAR(divergence(za, {.temperature_squared = true}).item<double>(), 9 * plain, kRounding);
  EXPECT_NEAR(divergence(za, {.detach = true}).item<double>(), plain, kRounding);
  const at::Tensor both = gradient_of([&](const at::Tensor& z) { return divergence(z, {}); }, za);
  const at::Tensor aimed =
      gradient_of([&](const at::Tensor& z) { return divergence(z, {.detach = true}); }, za);
  EXPECT_LT(
      distance(both, differences_of([&](const at::Tensor& z) { return divergence(z, {}); }, za)),
      kSlope);
  // With constants for aims only KL(p_b ‖ p_a) moves a: (p_a − p_b) / (T n).
  const at::Tensor expected = (torch::softmax(za / 3, 1) - torch::softmax(zb / 3, 1)) / (3 * 6);
  EXPECT_LT(distance(aimed, expected), kRounding);
  EXPECT_GT(distance(both, expected), 1e-3);
}

TEST(Ddgsd, SaysWhatIsWrong) {
  const at::Tensor z = torch::zeros({3, 4});
  const auto expect = [](const Error& error, const char* words) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.what(), testing::HasSubstr(words));
  };
  expect(error_of([&] { kl_divergence(z, torch::zeros({3, 5}), 1); }), "[3, 4] and [3, 5]");
  expect(error_of([&] {
           kl_divergence(torch::zeros({3, 1}), torch::zeros({3, 1}), 1);
         }),
         "two classes");
  expect(error_of([&] { kl_divergence(torch::zeros({0, 4}), torch::zeros({0, 4}), 1); }), "a row");
  expect(error_of([&] { kl_divergence(z, z, 0); }), "temperature must be > 0");
  expect(error_of([&] { mmd(z, torch::zeros({3, 5}), Mmd::kLinear); }), "[distill::mmd]");
  expect(error_of([&] { mmd(z, torch::zeros({0, 4}), Mmd::kRbf); }), "a row or more");
  expect(error_of([&] { mmd(z, torch::zeros({1, 4}), Mmd::kUnbiased); }), "two rows or more");
}

}  // namespace
}  // namespace detente::distill

// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <detente/core/error.h>
#include <detente/distill/ddgsd.h>
#include <detente/distill/internal/checks.h>

#include <limits>

namespace detente::distill {
namespace {

using Mmd = DdgsdOptions::Mmd;

constexpr double kBandwidths[] = {0.25, 0.5, 1.0, 2.0, 4.0};
// cdist without the product of matrices, whose rounding would leave a row apart from itself.
constexpr std::int64_t kExactDistances = 2;

at::Tensor squared_distances(const at::Tensor& rows) {
  return at::cdist(rows, rows, 2.0, kExactDistances).square();
}

// k of all pairs of `rows`, [n, n].
at::Tensor kernel(const at::Tensor& rows) {
  const at::Tensor squares = squared_distances(rows);
  const auto n = static_cast<double>(rows.size(0));
  // The floor is for rows that are all equal: 0 / floor is 0.
  const at::Tensor scale =
      (squares.detach().sum() / (n * (n - 1))).clamp_min(std::numeric_limits<float>::min());
  const at::Tensor ratio = squares / scale;
  at::Tensor sum;
  for (const double bandwidth : kBandwidths) {
    const at::Tensor one = (ratio / -bandwidth).exp();
    sum = sum.defined() ? sum + one : one;
  }
  return sum;
}

at::Tensor mean_of_others(const at::Tensor& square) {
  const auto n = static_cast<double>(square.size(0));
  return (square.sum() - square.diagonal().sum()) / (n * (n - 1));
}

}  // namespace

void DdgsdOptions::describe(FieldVisitor& visitor) {
  visitor.number("kl_weight", kl_weight, {.min = 0}, "What both divergences count.");
  visitor.number("mmd_weight", mmd_weight, {.min = 0}, "What the discrepancy of features counts.");
  visitor.number("temperature",
                 temperature,
                 {.min = 0, .min_open = true},
                 "What logits are divided by before the softmax of the divergences.");
  visitor.choice("mmd",
                 mmd,
                 {{"linear", Mmd::kLinear}, {"rbf", Mmd::kRbf}, {"unbiased", Mmd::kUnbiased}},
                 "How far the features of the two distortions are apart: by their means, by "
                 "Gaussian kernels, or "
                 "by those without a row's pair with itself, which may be below zero.");
  visitor.flag("detach", detach, "Whether each view's answer is a constant where it is the aim.");
  visitor.flag("temperature_squared",
               temperature_squared,
               "Whether the divergences are multiplied by the square of the temperature.");
}

at::Tensor kl_divergence(const at::Tensor& logits_p,
                         const at::Tensor& logits_q,
                         double temperature) {
  internal::check_logits("kl_divergence", logits_p, logits_q);
  internal::check_temperature("kl_divergence", temperature);
  const at::Tensor log_p = at::log_softmax(internal::widened(logits_p) / temperature, 1);
  const at::Tensor log_q = at::log_softmax(internal::widened(logits_q) / temperature, 1);
  return internal::divergences(log_p, log_q).mean();
}

at::Tensor mmd(const at::Tensor& a, const at::Tensor& b, DdgsdOptions::Mmd kind) {
  const std::int64_t fewest = kind == Mmd::kUnbiased ? 2 : 1;
  DETENTE_CHECK(a.defined() && b.defined() && a.dim() == 2 && b.dim() == 2 &&
                    a.size(1) == b.size(1) && a.size(0) >= fewest && b.size(0) >= fewest,
                ErrorCode::kInvalidArgument,
                "[distill::mmd] the features have the shapes {} and {}; expected [n, d] and [m, d] "
                "with {} or more.",
                internal::shape_text(a),
                internal::shape_text(b),
                fewest == 1 ? "a row" : "two rows");
  const at::Tensor x = internal::widened(a);
  const at::Tensor y = internal::widened(b);
  if (kind == Mmd::kLinear) return (x.mean(0) - y.mean(0)).square().sum();
  const std::int64_t n = x.size(0);
  const std::int64_t m = y.size(0);
  const at::Tensor all = kernel(at::cat({x, y}));
  const at::Tensor xx = all.narrow(0, 0, n).narrow(1, 0, n);
  const at::Tensor yy = all.narrow(0, n, m).narrow(1, n, m);
  const at::Tensor xy = all.narrow(0, 0, n).narrow(1, n, m);
  if (kind == Mmd::kUnbiased) return mean_of_others(xx) + mean_of_others(yy) - 2 * xy.mean();
  return xx.mean() + yy.mean() - 2 * xy.mean();
}

DdgsdTerms ddgsd_terms(const at::Tensor& logits_a,
                       const at::Tensor& logits_b,
                       const at::Tensor& features_a,
                       const at::Tensor& features_b,
                       const DdgsdOptions& options) {
  const auto aim = [&](const at::Tensor& z) { return options.detach ? z.detach() : z; };
  const double t = options.temperature;
  DdgsdTerms terms;
  terms.divergence =
      kl_divergence(aim(logits_a), logits_b, t) + kl_divergence(aim(logits_b), logits_a, t);
  if (options.temperature_squared) terms.divergence = terms.divergence * (t * t);
  terms.discrepancy = mmd(features_a, features_b, options.mmd);
  return terms;
}

}  // namespace detente::distill

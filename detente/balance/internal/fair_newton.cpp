// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/fair_newton.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace detente::balance::internal {
namespace {

constexpr int kMaxSteps = 200;
constexpr double kTarget = 1e-15;    // residual at which iterating stops
constexpr double kAccepted = 1e-11;  // residual that counts as solved
constexpr double kNearby = 0.05;     // relative step below which full steps converge quadratically

Eigen::Map<const Eigen::MatrixXd> cosine_of(const UnitGram& unit) {
  const auto m = static_cast<Eigen::Index>(unit.size());
  return {unit.cosine.data(), m, m};
}

// x^exponent; std::pow is half the time of small problems.
double power_of(double x, double exponent) {
  if (exponent == 0.0) return 1.0;
  if (exponent == 0.5) return std::sqrt(x);
  if (exponent == -1.0) return 1.0 / x;
  return std::pow(x, exponent);
}

}  // namespace

// ½βᵀCβ − Σψ(β_i/n_i), up to a constant, at trial_.
double FairNewton::objective(const UnitGram& unit, double a) {
  product_.noalias() = cosine_of(unit) * trial_;
  double value = 0.5 * trial_.dot(product_);
  const double power = 1.0 - 1.0 / a;
  for (Eigen::Index i = 0; i < trial_.size(); ++i) {
    const double alpha = trial_[i] / unit.norm[static_cast<std::size_t>(i)];
    value -= std::abs(power) < 1e-12 ? std::log(alpha) : power_of(alpha, power) / power;
  }
  return value;
}

bool FairNewton::solve(const UnitGram& unit, double a, std::vector<double>& alpha) {
  const auto m = static_cast<Eigen::Index>(unit.size());
  const auto cosine = cosine_of(unit);
  beta_.resize(m);
  s_.resize(m);
  right_.resize(m);
  x_.resize(m);
  trial_.resize(m);
  cosine_beta_.resize(m);
  product_.resize(m);
  system_.resize(m, m);
  // The solution for orthogonal rows: α n² = α^(−1/a).
  for (Eigen::Index i = 0; i < m; ++i) {
    const double n = unit.norm[static_cast<std::size_t>(i)];
    beta_[i] = n * power_of(n, -2.0 * a / (1.0 + a));
  }
  double last_residual = std::numeric_limits<double>::infinity();
  bool nearby = false;
  for (steps_ = 0; steps_ < kMaxSteps; ++steps_) {
    cosine_beta_.noalias() = cosine * beta_;
    residual_ = 0;
    for (Eigen::Index i = 0; i < m; ++i) {
      const double n = unit.norm[static_cast<std::size_t>(i)];
      s_[i] = power_of(beta_[i] / n, 1.0 - 1.0 / a);
      const double size = beta_[i] * cosine.col(i).cwiseAbs().dot(beta_) / s_[i];
      residual_ =
          std::max(residual_, std::abs(cosine_beta_[i] * beta_[i] / s_[i] - 1.0) / (1.0 + size));
    }
    if (!std::isfinite(residual_)) return false;
    // Once full steps stop gaining, what is left is rounding.
    if (residual_ <= kTarget || (nearby && residual_ <= kAccepted && residual_ >= last_residual)) {
      break;
    }
    last_residual = residual_;
    right_ = s_ - beta_.cwiseProduct(cosine_beta_);
    system_ = beta_.asDiagonal() * cosine * beta_.asDiagonal();
    system_.diagonal() += s_ / a;
    factor_.compute(system_);
    x_ = right_;
    factor_.solveInPlace(x_);
    if (!x_.allFinite()) return false;
    nearby = x_.cwiseAbs().maxCoeff() < kNearby;
    double step = 1.0;
    if (!nearby) {
      // Stay inside the positive orthant, then demand a sufficient decrease.
      for (Eigen::Index i = 0; i < m; ++i) {
        if (x_[i] < 0) step = std::min(step, -0.9 / x_[i]);
      }
      trial_ = beta_;
      const double here = objective(unit, a);
      const double decrement = right_.dot(x_);
      for (int halving = 0; halving < 60; ++halving) {
        trial_ = beta_.array() * (1.0 + step * x_.array());
        if (objective(unit, a) <= here - 0.1 * step * decrement) break;
        step *= 0.5;
      }
    }
    beta_ = beta_.array() * (1.0 + step * x_.array());
  }
  alpha.resize(unit.size());
  for (std::size_t i = 0; i < unit.size(); ++i) {
    alpha[i] = beta_[static_cast<Eigen::Index>(i)] / unit.norm[i];
  }
  return residual_ <= kAccepted;
}

}  // namespace detente::balance::internal

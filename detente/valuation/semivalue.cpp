// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/valuation/internal/log_choose.h>
#include <detente/valuation/semivalue.h>

#include <cmath>
#include <limits>

namespace detente::valuation {
namespace {

double log_beta(double a, double b) {
  return internal::log_gamma(a) + internal::log_gamma(b) - internal::log_gamma(a + b);
}

}  // namespace

Semivalue Semivalue::beta(double alpha, double beta) {
  DETENTE_CHECK(alpha > 0 && beta > 0 && std::isfinite(alpha) && std::isfinite(beta),
                ErrorCode::kInvalidArgument,
                "[valuation::Semivalue] alpha is {} and beta {}; expected numbers above 0",
                alpha,
                beta);
  Semivalue value;
  value.alpha_ = alpha;
  value.beta_ = beta;
  return value;
}

Semivalue Semivalue::banzhaf() {
  Semivalue value;
  value.kind_ = Kind::kBanzhaf;
  return value;
}

Semivalue Semivalue::leave_one_out() {
  Semivalue value;
  value.kind_ = Kind::kLeaveOneOut;
  return value;
}

std::vector<double> Semivalue::log_masses(std::size_t n) const {
  constexpr double kNever = -std::numeric_limits<double>::infinity();
  std::vector<double> masses(n, kNever);
  if (n == 0) return masses;
  const auto others = static_cast<double>(n - 1);
  if (kind_ == Kind::kLeaveOneOut) {
    masses[n - 1] = 0.0;
    return masses;
  }
  for (std::size_t size = 0; size < n; ++size) {
    const auto k = static_cast<double>(size);
    masses[size] = internal::log_choose(others, k);
    if (kind_ == Kind::kBanzhaf) {
      masses[size] -= others * std::log(2.0);
    } else if (alpha_ == 1 && beta_ == 1) {
      masses[size] = -std::log(others + 1);  // to the last digit
    } else {
      masses[size] += log_beta(k + beta_, others - k + alpha_) - log_beta(alpha_, beta_);
    }
  }
  return masses;
}

}  // namespace detente::valuation

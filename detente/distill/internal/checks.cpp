// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <detente/core/error.h>
#include <detente/distill/internal/checks.h>

#include <cmath>

namespace detente::distill::internal {

std::string shape_text(const at::Tensor& tensor) {
  if (!tensor.defined()) return "of none";
  std::string text = "[";
  for (std::int64_t d = 0; d < tensor.dim(); ++d) {
    if (d > 0) text += ", ";
    text += std::to_string(tensor.size(d));
  }
  return text + "]";
}

at::Tensor widened(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kDouble ? tensor : tensor.to(at::kFloat);
}

void check_logits(const char* where, const at::Tensor& a, const at::Tensor& b) {
  DETENTE_CHECK(a.defined() && b.defined() && a.dim() == 2 && a.sizes() == b.sizes() &&
                    a.size(0) >= 1 && a.size(1) >= 2,
                ErrorCode::kInvalidArgument,
                "[distill::{}] the logits have the shapes {} and {}; expected one shape [n, C] "
                "with a row or more and two classes or more.",
                where,
                shape_text(a),
                shape_text(b));
}

void check_temperature(const char* where, double temperature) {
  DETENTE_CHECK(temperature > 0 && std::isfinite(temperature),
                ErrorCode::kInvalidArgument,
                "[distill::{}] the temperature must be > 0, got {}.",
                where,
                temperature);
}

at::Tensor divergences(const at::Tensor& log_p, const at::Tensor& log_q) {
  return (log_p.exp() * (log_p - log_q)).sum(1);
}

void check_features(const char* where,
                    const char* what,
                    const at::Tensor& features,
                    std::int64_t width) {
  DETENTE_CHECK(features.defined() && features.dim() == 2 && features.size(0) >= 1 &&
                    features.size(1) >= 1 && (width == 0 || features.size(1) == width),
                ErrorCode::kInvalidArgument,
                "[distill::{}] the {} features have shape {}; expected [n, {}] with n >= 1.",
                where,
                what,
                shape_text(features),
                width == 0 ? std::string("d") : std::to_string(width));
  DETENTE_CHECK(at::isfinite(features).all().item<bool>(),
                ErrorCode::kNumeric,
                "[distill::{}] the {} features have entries that are NaN or infinite; expected "
                "finite numbers.",
                where,
                what);
}

void check_labels(const char* where,
                  const char* what,
                  const at::Tensor& features,
                  std::span<const std::int64_t> labels) {
  DETENTE_CHECK(static_cast<std::int64_t>(labels.size()) == features.size(0),
                ErrorCode::kInvalidArgument,
                "[distill::{}] there are {} {} labels; expected {}, one for each row of features.",
                where,
                labels.size(),
                what,
                features.size(0));
}

}  // namespace detente::distill::internal

// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/core/Tensor.h>
#include <detente/core/error.h>
#include <detente/losses/loss.h>

namespace detente::losses {
namespace {

std::string loss_shape(const at::Tensor& tensor) {
  std::string text = "[";
  for (std::int64_t d = 0; d < tensor.dim(); ++d) {
    if (d > 0) text += ", ";
    text += std::to_string(tensor.size(d));
  }
  return text + "]";
}

// [b, c, h, w] → [b h w, c].
at::Tensor pixel_rows(const at::Tensor& map) {
  return map.permute({0, 2, 3, 1}).reshape({-1, map.size(1)});
}

}  // namespace

void Loss::describe(FieldVisitor& /*visitor*/) {}

at::Tensor Loss::operator()(const at::Tensor& prediction,
                            const at::Tensor& target,
                            LossInfo* info) const {
  LossInfo unused;
  LossInfo& out = info != nullptr ? *info : unused;
  out = LossInfo{};
  at::Tensor p = prediction;
  at::Tensor y = target.detach();
  const std::int64_t vectors = wants_vectors();
  const bool columns = wants_classes() || vectors > 0;
  if (p.dim() == 4) {
    const at::Tensor beside = vectors > 0 ? y : y.unsqueeze(1);
    DETENTE_CHECK(beside.dim() == 4 && beside.size(0) == p.size(0) && beside.size(2) == p.size(2) &&
                      beside.size(3) == p.size(3),
                  ErrorCode::kShape,
                  "[losses::{}] the prediction has shape {}, the target {}; expected maps of the "
                  "same pixels.",
                  name(),
                  loss_shape(prediction),
                  loss_shape(target));
    p = pixel_rows(p);
    y = pixel_rows(beside);
    if (vectors == 0) y = y.squeeze(1);
  }
  if (!columns && p.dim() == 2 && p.size(1) == 1) p = p.squeeze(1);
  DETENTE_CHECK(p.dim() == (columns ? 2 : 1) && (vectors == 0 || p.size(1) == vectors),
                ErrorCode::kShape,
                "[losses::{}] the prediction has shape {}; expected {}.",
                name(),
                loss_shape(prediction),
                wants_classes() ? "[n, classes]"
                : vectors > 0   ? fmt::format("[n, {}]", vectors)
                                : "[n] or [n, 1]");
  DETENTE_CHECK(y.dim() == (vectors > 0 ? 2 : 1) && y.size(0) == p.size(0) &&
                    (vectors == 0 || y.size(1) == vectors),
                ErrorCode::kShape,
                "[losses::{}] the target has shape {}; expected [{}{}], one {} per row of the "
                "prediction.",
                name(),
                loss_shape(target),
                p.size(0),
                vectors > 0 ? fmt::format(", {}", vectors) : "",
                vectors > 0 ? "vector" : "number");
  DETENTE_CHECK(target.is_floating_point(),
                ErrorCode::kShape,
                "[losses::{}] the target must be float32 or float64, NaN where missing.",
                name());
  if (p.scalar_type() != at::kFloat && p.scalar_type() != at::kDouble) p = p.to(at::kFloat);
  at::Tensor known = at::isnan(y).logical_not();
  if (vectors > 0) known = known.all(1);
  out.rows = known.sum().item<std::int64_t>();
  if (out.rows == 0) return {};
  if (out.rows < y.size(0)) {
    // Selecting keeps NaN out of the gradient, where multiplying by 0 would not.
    const at::Tensor rows = known.nonzero().squeeze(1);
    y = y.index_select(0, rows);
    p = p.index_select(0, rows.to(p.device()));
  }
  DETENTE_CHECK(at::isfinite(y).all().item<bool>(),
                ErrorCode::kData,
                "[losses::{}] a target is infinite; expected a number, or NaN where it is missing.",
                name());
  return compute(p, y.to(p.device(), p.scalar_type()), out);
}

}  // namespace detente::losses

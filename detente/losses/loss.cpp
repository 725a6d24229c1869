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

}  // namespace

void Loss::describe(FieldVisitor& /*visitor*/) {}

at::Tensor Loss::operator()(const at::Tensor& prediction,
                            const at::Tensor& target,
                            LossInfo* info) const {
  LossInfo unused;
  LossInfo& out = info != nullptr ? *info : unused;
  out = LossInfo{};
  at::Tensor p = prediction;
  if (!wants_classes() && p.dim() == 2 && p.size(1) == 1) p = p.squeeze(1);
  DETENTE_CHECK(p.dim() == (wants_classes() ? 2 : 1),
                ErrorCode::kShape,
                "[losses::{}] the prediction has shape {}; expected {}.",
                name(),
                loss_shape(prediction),
                wants_classes() ? "[n, classes]" : "[n] or [n, 1]");
  DETENTE_CHECK(target.dim() == 1 && target.size(0) == p.size(0),
                ErrorCode::kShape,
                "[losses::{}] the target has shape {}; expected [{}], one number per row of the "
                "prediction.",
                name(),
                loss_shape(target),
                p.size(0));
  DETENTE_CHECK(target.is_floating_point(),
                ErrorCode::kShape,
                "[losses::{}] the target must be float32 or float64, NaN where missing.",
                name());
  if (p.scalar_type() != at::kFloat && p.scalar_type() != at::kDouble) p = p.to(at::kFloat);
  at::Tensor y = target.detach();
  const at::Tensor known = at::isnan(y).logical_not();
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

// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/core/Tensor.h>
#include <detente/core/error.h>
#include <detente/losses/loss.h>

#include <string>
#include <vector>

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

at::Tensor Loss::compute(const at::Tensor& prediction,
                         const at::Tensor& target,
                         LossInfo& /*info*/) const {
  return terms(prediction, target).mean();
}

at::Tensor Loss::terms(const at::Tensor& /*prediction*/, const at::Tensor& /*target*/) const {
  fail(ErrorCode::kInvalidArgument,
       "[losses::{}] class weights are for losses of classes; expected none.",
       name());
}

at::Tensor Loss::mean_of_columns(const at::Tensor& prediction,
                                 const at::Tensor& target,
                                 LossInfo& info) const {
  at::Tensor sum;
  double count = 0;
  for (std::int64_t c = 0; c < target.size(1); ++c) {
    LossInfo own;
    const at::Tensor one = (*this)(prediction.select(1, c), target.select(1, c), &own);
    info.rows += own.rows;
    info.correlation_skipped = info.correlation_skipped || own.correlation_skipped;
    if (!one.defined()) continue;
    sum = sum.defined() ? sum + one : one;
    ++count;
  }
  return sum.defined() ? sum / count : sum;
}

at::Tensor Loss::operator()(const at::Tensor& prediction,
                            const at::Tensor& target,
                            LossInfo* info,
                            std::span<const double> class_weights) const {
  LossInfo unused;
  LossInfo& out = info != nullptr ? *info : unused;
  out = LossInfo{};
  at::Tensor p = prediction;
  at::Tensor y = target.detach();
  const bool several = !wants_classes() && target.dim() == 2;
  if (!wants_classes() && !several && p.dim() == 2 && p.size(1) == 1) p = p.squeeze(1);
  DETENTE_CHECK(p.dim() == (wants_classes() || several ? 2 : 1),
                ErrorCode::kShape,
                "[losses::{}] the prediction has shape {}; expected {}.",
                name(),
                loss_shape(prediction),
                wants_classes() ? "[n, classes]"
                : several       ? "that of the target, " + loss_shape(target)
                                : std::string("[n] or [n, 1]"));
  DETENTE_CHECK(
      several ? target.sizes() == p.sizes() : target.dim() == 1 && target.size(0) == p.size(0),
      ErrorCode::kShape,
      "[losses::{}] the target has shape {}; expected {}, {}.",
      name(),
      loss_shape(target),
      several ? loss_shape(p) : "[" + std::to_string(p.size(0)) + "]",
      several ? "as the prediction" : "one number per row of the prediction");
  DETENTE_CHECK(target.is_floating_point(),
                ErrorCode::kShape,
                "[losses::{}] the target must be float32 or float64, NaN where missing.",
                name());
  if (p.scalar_type() != at::kFloat && p.scalar_type() != at::kDouble) p = p.to(at::kFloat);
  if (several) {
    if (by_column()) return mean_of_columns(p, y, out);
    p = p.reshape({-1});
    y = y.reshape({-1});
  }
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
  y = y.to(p.device(), p.scalar_type());
  if (class_weights.empty()) return compute(p, y, out);
  const auto classes = static_cast<std::int64_t>(class_weights.size());
  const at::Tensor losses = terms(p, y);  // has looked at the targets
  DETENTE_CHECK(y.eq(y.round()).logical_and(y.lt(classes)).all().item<bool>(),
                ErrorCode::kData,
                "[losses::{}] a target is no class below {}, the number of class weights.",
                name(),
                classes);
  const at::Tensor weights =
      at::tensor(std::vector<double>(class_weights.begin(), class_weights.end()), at::kDouble)
          .to(p.options());
  return (losses * weights.index_select(0, y.to(at::kLong))).mean();
}

}  // namespace detente::losses

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

// [b, c, h, w] → [b h w, c].
at::Tensor pixel_rows(const at::Tensor& map) {
  return map.permute({0, 2, 3, 1}).reshape({-1, map.size(1)});
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
  const bool several = !columns && y.dim() == 2;
  if (!columns && !several && p.dim() == 2 && p.size(1) == 1) p = p.squeeze(1);
  DETENTE_CHECK(p.dim() == (columns || several ? 2 : 1) && (vectors == 0 || p.size(1) == vectors),
                ErrorCode::kShape,
                "[losses::{}] the prediction has shape {}; expected {}.",
                name(),
                loss_shape(prediction),
                wants_classes() ? "[n, classes]"
                : vectors > 0   ? fmt::format("[n, {}]", vectors)
                : several       ? "that of the target, " + loss_shape(target)
                                : std::string("[n] or [n, 1]"));
  DETENTE_CHECK(several ? y.sizes() == p.sizes()
                        : y.dim() == (vectors > 0 ? 2 : 1) && y.size(0) == p.size(0) &&
                              (vectors == 0 || y.size(1) == vectors),
                ErrorCode::kShape,
                "[losses::{}] the target has shape {}; expected {}.",
                name(),
                loss_shape(target),
                several ? loss_shape(p) + ", as the prediction"
                        : fmt::format("[{}{}], one {} per row of the prediction",
                                      p.size(0),
                                      vectors > 0 ? fmt::format(", {}", vectors) : "",
                                      vectors > 0 ? "vector" : "number"));
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

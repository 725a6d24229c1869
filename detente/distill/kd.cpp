// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <detente/core/error.h>
#include <detente/distill/internal/checks.h>
#include <detente/distill/kd.h>
#include <detente/losses/bce.h>
#include <detente/losses/cosine.h>
#include <detente/losses/mse.h>

#include <utility>

namespace detente::distill {
namespace {

constexpr const char* kDistillation = "distillation_loss";
constexpr std::int64_t kMap = 4;  // dimensions

std::int64_t smallest_width(TaskKind kind) {
  return kind == TaskKind::kClasses || kind == TaskKind::kSegmentation ? 2 : 1;
}

void check_kind(TaskKind kind, const at::Tensor& student, const at::Tensor& teacher) {
  DETENTE_CHECK(student.defined() && teacher.defined() && student.sizes() == teacher.sizes(),
                ErrorCode::kInvalidArgument,
                "[distill::{}] the student's outputs have shape {}, the teacher's {}; expected one "
                "shape. A teacher must have the task's classes and columns.",
                kDistillation,
                internal::shape_text(student),
                internal::shape_text(teacher));
  const bool rows = has_classes(kind) || kind == TaskKind::kLabels;
  const bool fits = is_map(kind) ? student.dim() == kMap
                    : rows       ? student.dim() == 2
                                 : student.dim() == 1 || student.dim() == 2;
  DETENTE_CHECK(fits && (student.dim() == 1 || student.size(1) >= smallest_width(kind)),
                ErrorCode::kInvalidArgument,
                "[distill::{}] the outputs of a {} head have shape {}; expected {}.",
                kDistillation,
                name_of(kind),
                internal::shape_text(student),
                is_map(kind) ? "[b, channels, h, w], of segmentation two channels or more"
                : rows       ? "[n, columns], of classes two or more"
                             : "[n] or [n, columns]");
  DETENTE_CHECK(!at::isinf(teacher).any().item<bool>(),
                ErrorCode::kNumeric,
                "[distill::{}] the teacher's outputs have infinite entries; expected numbers, or "
                "NaN where it does not know.",
                kDistillation);
}

// [b, c, h, w] → [b h w, c].
at::Tensor as_rows(const at::Tensor& x) {
  if (x.dim() != kMap) return x;
  return x.permute({0, 2, 3, 1}).reshape({-1, x.size(1)});
}

// The rows of both that the teacher knows whole; `rows` their number.
std::pair<at::Tensor, at::Tensor> known_rows(at::Tensor student, at::Tensor teacher, double* rows) {
  const at::Tensor known = at::isnan(teacher).any(1).logical_not();
  const auto count = known.sum().item<std::int64_t>();
  *rows = static_cast<double>(count);
  if (count < teacher.size(0)) {
    // Selecting keeps NaN out of the gradient, where multiplying by 0 would not.
    const at::Tensor index = known.nonzero().squeeze(1);
    student = student.index_select(0, index);
    teacher = teacher.index_select(0, index);
  }
  return {std::move(student), std::move(teacher)};
}

at::Tensor of_loss(const losses::Loss& loss,
                   const at::Tensor& student,
                   const at::Tensor& target,
                   double* rows) {
  losses::LossInfo info;
  at::Tensor value = loss(student, target, &info);
  *rows = static_cast<double>(info.rows);
  return value;
}

at::Tensor classes_loss(const at::Tensor& student,
                        const at::Tensor& teacher,
                        double temperature,
                        double* rows) {
  const auto [s, t] = known_rows(as_rows(student), as_rows(teacher), rows);
  if (*rows == 0) return {};
  const at::Tensor aim = at::log_softmax(t / temperature, 1);
  const at::Tensor own = at::log_softmax(s / temperature, 1);
  return internal::divergences(aim, own).mean() * (temperature * temperature);
}

at::Tensor ordinal_loss(const at::Tensor& student, const at::Tensor& teacher, double* rows) {
  const auto [s, t] = known_rows(student, teacher, rows);
  if (*rows == 0) return {};
  const at::Tensor more = t.sigmoid();
  return (at::softplus(-s) * more + at::softplus(s) * (1 - more)).sum(1).mean();
}

}  // namespace

at::Tensor distillation_loss(TaskKind kind,
                             const at::Tensor& student_logits,
                             const at::Tensor& teacher_logits,
                             double temperature,
                             double* rows) {
  double unused = 0;
  double* const count = rows != nullptr ? rows : &unused;
  *count = 0;
  internal::check_temperature(kDistillation, temperature);
  check_kind(kind, student_logits, teacher_logits);
  const at::Tensor s = internal::widened(student_logits);
  const at::Tensor t = teacher_logits.detach().to(s.device(), s.scalar_type());
  switch (kind) {
    case TaskKind::kClasses:
    case TaskKind::kSegmentation:
      return classes_loss(s, t, temperature, count);
    case TaskKind::kOrdinal:
      return ordinal_loss(s, t, count);
    case TaskKind::kBinary:
    case TaskKind::kLabels:
      return of_loss(*losses::make_bce(), s, t.sigmoid(), count);
    case TaskKind::kRegression:
      return of_loss(*losses::make_mse(), s, t, count);
    case TaskKind::kDepth:
      return of_loss(*losses::make_mse(), s.reshape({-1}), t.reshape({-1}), count);
    case TaskKind::kNormals:
      return of_loss(*losses::make_cosine(), s, t / t.norm(2, {1}, /*keepdim=*/true), count);
  }
  return {};
}

}  // namespace detente::distill

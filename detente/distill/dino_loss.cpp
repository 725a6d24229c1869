// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <detente/core/error.h>
#include <detente/distill/dino_loss.h>
#include <detente/distill/internal/checks.h>

#include <cmath>

namespace detente::distill {
namespace {

constexpr const char* kTerms = "dino_terms";
constexpr double kShortestFeature = 1e-12;

using internal::shape_text;

void check_views(const at::Tensor& student,
                 const at::Tensor& teacher,
                 const at::Tensor& centre,
                 std::int64_t views,
                 std::int64_t globals) {
  DETENTE_CHECK(globals >= 1 && views >= globals,
                ErrorCode::kInvalidArgument,
                "[distill::{}] there are {} views, {} of them global; expected 1 <= globals <= "
                "views.",
                kTerms,
                views,
                globals);
  DETENTE_CHECK(views > 1,
                ErrorCode::kInvalidArgument,
                "[distill::{}] there is one view of each image; expected two or more, as the "
                "student is compared with the teacher on another view. Add a global or a local "
                "view.",
                kTerms);
  DETENTE_CHECK(student.defined() && student.dim() == 2 && student.size(0) >= views &&
                    student.size(0) % views == 0,
                ErrorCode::kInvalidArgument,
                "[distill::{}] the student's outputs have shape {}; expected [{} N, K], as many "
                "rows for each of {} views, N >= 1.",
                kTerms,
                shape_text(student),
                views,
                views);
  const std::int64_t images = student.size(0) / views;
  const std::int64_t outputs = student.size(1);
  DETENTE_CHECK(outputs >= 2,
                ErrorCode::kInvalidArgument,
                "[distill::{}] there are {} outputs; expected two or more: a softmax over one is "
                "always 1.",
                kTerms,
                outputs);
  DETENTE_CHECK(teacher.defined() && teacher.dim() == 2 && teacher.size(0) == globals * images &&
                    teacher.size(1) == outputs,
                ErrorCode::kInvalidArgument,
                "[distill::{}] the teacher's outputs have shape {}; expected [{}, {}]: {} global "
                "views of {} images, and the student's outputs.",
                kTerms,
                shape_text(teacher),
                globals * images,
                outputs,
                globals,
                images);
  DETENTE_CHECK(
      centre.defined() && centre.dim() == 2 && centre.size(0) == 1 && centre.size(1) == outputs,
      ErrorCode::kInvalidArgument,
      "[distill::{}] the centre has shape {}; expected [1, {}].",
      kTerms,
      shape_text(centre),
      outputs);
}

}  // namespace

DinoTerms dino_terms(const at::Tensor& student,
                     const at::Tensor& teacher,
                     const at::Tensor& centre,
                     std::int64_t views,
                     std::int64_t globals,
                     double student_temperature,
                     double teacher_temperature) {
  check_views(student, teacher, centre, views, globals);
  internal::check_temperature(kTerms, student_temperature);
  internal::check_temperature(kTerms, teacher_temperature);
  const std::int64_t images = student.size(0) / views;
  const std::int64_t outputs = student.size(1);
  const std::int64_t locals = views - globals;
  const at::Tensor s = internal::widened(student);

  DinoTerms terms;
  terms.global_pairs = static_cast<double>(globals * (globals - 1));
  terms.local_pairs = static_cast<double>(globals * locals);

  // For each view of the student the teacher's other views, summed: every pair is linear in q.
  at::Tensor others;  // [G, N, K], of the global views
  at::Tensor all;     // [N, K], of a local one
  at::Tensor entropies;
  {
    const at::NoGradGuard no_grad;
    const at::Tensor t = teacher.detach().to(s.device(), s.scalar_type());
    const at::Tensor c = centre.detach().to(s.device(), s.scalar_type());
    const at::Tensor log_p = at::log_softmax((t - c) / teacher_temperature, 1);
    const at::Tensor p = log_p.exp();
    entropies = at::stack({-(p * log_p).sum(1).mean(), at::special_entr(p.mean(0)).sum()});
    const at::Tensor by_view = p.view({globals, images, outputs});
    all = by_view.sum(0);
    if (globals > 1) {
      // Added up without the view rather than taken from the sum, where a small p would be lost
      // beside a large one.
      TensorList rest;
      for (std::int64_t v = 0; v < globals; ++v) {
        at::Tensor sum;
        for (std::int64_t i = 0; i < globals; ++i) {
          if (i == v) continue;
          sum = sum.defined() ? sum + by_view.select(0, i) : by_view.select(0, i);
        }
        rest.push_back(sum);
      }
      others = at::stack(rest);
    }
  }

  const at::Tensor q = at::log_softmax(s / student_temperature, 1).view({views, images, outputs});
  const auto rows = static_cast<double>(images);
  if (globals > 1) {
    terms.global_to_global =
        (others * q.narrow(0, 0, globals)).sum() / (-rows * terms.global_pairs);
  }
  if (locals > 0) {
    terms.local_to_global =
        (all * q.narrow(0, globals, locals)).sum() / (-rows * terms.local_pairs);
  }
  if (locals == 0) {
    terms.total = terms.global_to_global;
  } else if (globals == 1) {
    terms.total = terms.local_to_global;
  } else {
    const double pairs = terms.global_pairs + terms.local_pairs;
    terms.total = terms.global_to_global * (terms.global_pairs / pairs) +
                  terms.local_to_global * (terms.local_pairs / pairs);
  }

  // One wait for the device instead of three.
  const at::Tensor numbers =
      at::cat({entropies, terms.total.detach().reshape({1})}).to(at::kCPU, at::kDouble);
  const double* values = numbers.const_data_ptr<double>();
  terms.mean_entropy = values[0];
  terms.entropy_of_mean = values[1];
  terms.cross_entropy = values[2];
  return terms;
}

at::Tensor moved_centre(const at::Tensor& centre,
                        const at::Tensor& sum,
                        double rows,
                        double momentum) {
  DETENTE_CHECK(centre.defined() && sum.defined() && centre.dim() == 2 && centre.size(0) == 1 &&
                    centre.sizes() == sum.sizes(),
                ErrorCode::kInvalidArgument,
                "[distill::moved_centre] the centre has shape {}, the sum {}; expected [1, K] "
                "both.",
                shape_text(centre),
                shape_text(sum));
  DETENTE_CHECK(rows > 0 && std::isfinite(rows),
                ErrorCode::kInvalidArgument,
                "[distill::moved_centre] the number of rows must be > 0, got {}.",
                rows);
  DETENTE_CHECK(momentum >= 0 && momentum <= 1,
                ErrorCode::kInvalidArgument,
                "[distill::moved_centre] the momentum must be in [0, 1], got {}.",
                momentum);
  const at::NoGradGuard no_grad;
  const at::Tensor mean = sum.detach() / rows;
  return centre.detach() * momentum + mean.to(centre.options()) * (1.0 - momentum);
}

double feature_deviation(const at::Tensor& features) {
  DETENTE_CHECK(features.defined() && features.dim() == 2 && features.numel() >= 1,
                ErrorCode::kInvalidArgument,
                "[distill::feature_deviation] the features have shape {}; expected [n, d] with a "
                "row or more.",
                shape_text(features));
  const at::NoGradGuard no_grad;
  const at::Tensor x = internal::widened(features.detach());
  const at::Tensor unit = x / x.norm(2, {1}, /*keepdim=*/true).clamp_min(kShortestFeature);
  const at::Tensor spread = (unit - unit.mean(0)).square().mean(0).sqrt();
  return std::sqrt(static_cast<double>(x.size(1))) * spread.mean().item<double>();
}

}  // namespace detente::distill

// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/distill/dino_options.h>
#include <detente/distill/schedules.h>

#include <cmath>
#include <numbers>

namespace detente::distill {
namespace {

// The i-th of n numbers from `first` to `last`; the last is that to the bit, and of one it is the
// first.
double on_line(double first, double last, std::int64_t i, std::int64_t n) {
  if (n == 1) return first;
  if (i == n - 1) return last;
  return first + (last - first) * static_cast<double>(i) / static_cast<double>(n - 1);
}

}  // namespace

double cosine_course(double begin,
                     double end,
                     std::int64_t step,
                     std::int64_t total,
                     std::int64_t warmup,
                     ScheduleEnds ends) {
  DETENTE_CHECK(std::isfinite(begin) && std::isfinite(end),
                ErrorCode::kInvalidArgument,
                "[distill::cosine_course] the ends must be finite numbers, got {} and {}.",
                begin,
                end);
  DETENTE_CHECK(total >= 1 && step >= 0 && step < total,
                ErrorCode::kInvalidArgument,
                "[distill::cosine_course] step {} is none of a run of {}; expected 0 <= step < "
                "total.",
                step,
                total);
  DETENTE_CHECK(warmup >= 0 && warmup <= total,
                ErrorCode::kInvalidArgument,
                "[distill::cosine_course] the warm-up has {} steps; expected 0 to {}, the run's. "
                "Shorten it or train longer.",
                warmup,
                total);
  const bool inclusive = ends == ScheduleEnds::kInclusive;
  if (step < warmup) {
    if (!inclusive) return on_line(0.0, begin, step, warmup);
    return begin * static_cast<double>(step + 1) / static_cast<double>(warmup);
  }
  const std::int64_t length = total - warmup - (inclusive ? 1 : 0);
  if (length == 0) return end;
  const double share = static_cast<double>(step - warmup) / static_cast<double>(length);
  return end + 0.5 * (begin - end) * (1.0 + std::cos(std::numbers::pi * share));
}

double teacher_temperature(const DinoOptions& options, std::int64_t epoch) {
  DETENTE_CHECK(epoch >= 0,
                ErrorCode::kInvalidArgument,
                "[distill::teacher_temperature] the epoch must be >= 0, got {}.",
                epoch);
  if (epoch >= options.teacher_warmup_epochs) return options.teacher_temperature;
  return on_line(options.first_teacher_temperature,
                 options.teacher_temperature,
                 epoch,
                 options.teacher_warmup_epochs);
}

}  // namespace detente::distill

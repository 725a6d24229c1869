// SPDX-License-Identifier: Apache-2.0
// Numbers that change along a run: learning rate, weight decay and the teacher's momentum per step,
// its temperature per epoch. Published code differs in which ends a course has, so it is said by
// name. With b = begin, e = end, T = total, w = warmup, t = step:
//
//   kReference  t < w: b t / (w − 1), 0 and b included (w = 1: 0)
//               else   e + (b − e)(1 + cos(π (t − w) / (T − w))) / 2, which never is e
//   kInclusive  t < w: b (t + 1) / w, which never is 0
//               else   e + (b − e)(1 + cos(π (t − w) / (T − w − 1))) / 2, whose last value is e
//                      (T − w = 1: e)
//
// kReference is the code of Caron et al. (Emerging Properties in Self-Supervised Vision
// Transformers, ICCV 2021, arXiv 2104.14294), kInclusive that of the library lightly.
#pragma once

#include <cstdint>

namespace detente::distill {

struct DinoOptions;

enum class ScheduleEnds { kReference, kInclusive };

// begin, end finite; 0 <= step < total, 0 <= warmup <= total. Throws kInvalidArgument otherwise.
double cosine_course(double begin,
                     double end,
                     std::int64_t step,
                     std::int64_t total,
                     std::int64_t warmup = 0,
                     ScheduleEnds ends = ScheduleEnds::kReference);

// τ_t of epoch 0, 1, ...: in a straight line from first_teacher_temperature to teacher_temperature,
// both included, in teacher_warmup_epochs (1: the first alone), then teacher_temperature. Throws
// kInvalidArgument for a negative epoch.
double teacher_temperature(const DinoOptions& options, std::int64_t epoch);

}  // namespace detente::distill

// SPDX-License-Identifier: Apache-2.0
// What a student learns from a teacher's answers to the same examples (Hinton, Vinyals, Dean 2015,
// arXiv 1503.02531), for every kind of head; t the teacher's outputs (constants), s the student's,
// n rows.
//
//   classes, segmentation  T²/n Σ_i KL(softmax(t_i / T) ‖ softmax(s_i / T)), summed over classes; 0
//                          where equal. Gradient T (softmax(s/T) − softmax(t/T)) / n; for large T
//                          and outputs of mean zero (s − t) / (C n), which is why T² stands there
//   binary, labels         cross-entropy of σ(s) against σ(t), mean over all n numbers; gradient
//                          (σ(s) − σ(t)) / n
//   ordinal                the same of every step between classes, summed over steps, mean over
//                          rows
//   regression, depth      (s − t)², mean over all numbers
//   normals                1 − cos(s, t), mean over pixels
//   normals                1 − cos(s, t), mean over pixels
//
// T is for classes alone. Published mistakes that differ from this: a mean over n C in place of n,
// KL the other way round, squared error of logits.
#pragma once

#include <detente/core/task_kind.h>
#include <detente/tensor/fwd.h>

namespace detente::distill {

// Outputs of one head as losses see them (nn/heads.h), of one shape. NaN of the teacher's: it does
// not know this row (of several numbers, this number), which is left out. Returns a scalar with the
// student's graph, or an undefined tensor when nothing is left; `rows`, where given, becomes what
// the mean is over: rows, pixels, or numbers. Throws kInvalidArgument for shapes that differ or are
// not the kind's and temperature <= 0, kNumeric for infinite outputs of the teacher.
at::Tensor distillation_loss(TaskKind kind,
                             const at::Tensor& student_logits,
                             const at::Tensor& teacher_logits,
                             double temperature,
                             double* rows);

}  // namespace detente::distill

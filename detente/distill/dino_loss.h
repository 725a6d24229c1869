// SPDX-License-Identifier: Apache-2.0
// DINO's loss (Caron et al., ICCV 2021, arXiv 2104.14294): the student's answer to every view of an
// image is to be the teacher's to every other view that the teacher saw. N images, G global views
// (the first), V views in all, K outputs; rows are view-major: row v N + n is view v of image n.
//
//   p_i = softmax((t_i − c) / τ_t), a constant      q_v = ln softmax(s_v / τ_s)
//   H(i, v) = mean_n −Σ_k p_i[n, k] q_v[n, k]
//   L = 1/M Σ_{i<G} Σ_{v<V, v≠i} H(i, v),  M = G V − G
//
// The sum falls into pairs with both views global, G (G − 1) of them, and those with a local one of
// the student's, G (V − G). Gradient: (Σ_{i≠v} (softmax(s_v / τ_s) − p_i)) / (τ_s N M).
//
// Why the plain thing fails: one constant answer to everything has no loss. Subtracting the centre
// c, the mean of what the teacher answered lately, keeps one output from taking all; a teacher's
// temperature below the student's keeps all from being alike (collapse.h watches both). The loss of
// a step uses the centre from before it.
//
// Memory: two to three tensors of the size of the student's outputs.
#pragma once

#include <ATen/core/Tensor.h>
#include <detente/distill/dino_options.h>
#include <detente/tensor/fwd.h>

#include <cstdint>

namespace detente::distill {

struct DinoTerms {
  at::Tensor total;  // L, with its graph
  // Each the mean over its own pairs; undefined when it has none.
  at::Tensor global_to_global, local_to_global;
  double global_pairs = 0, local_pairs = 0;  // L = (global_pairs gg + local_pairs lg) / their sum
  // Of this process's rows: h1 = mean over rows of the entropy of p, h2 = the entropy of the mean
  // p; nats, 0 <= h1 <= h2 <= ln K. cross_entropy is L; L − h1 is the mean KL(p ‖ q).
  double mean_entropy = 0, entropy_of_mean = 0, cross_entropy = 0;
};

// student [V N, K], teacher [G N, K] (its graph, if it has one, gets nothing), centre [1, K],
// floating; what is below float32 is computed in float32. V = views >= G = globals >= 1. Throws
// kInvalidArgument: no pair of views (V = 1), K = 1, rows that are not whole views, no rows, shapes
// that do not fit, temperatures that are not > 0.
DinoTerms dino_terms(const at::Tensor& student,
                     const at::Tensor& teacher,
                     const at::Tensor& centre,
                     std::int64_t views,
                     std::int64_t globals,
                     double student_temperature,
                     double teacher_temperature);

// m c + (1 − m) sum / rows, without a graph, a tensor of its own: `sum` [1, K] over the rows of the
// teacher's outputs in all processes and `rows` > 0 their number. (Dividing by this process's rows
// times the processes, as the published code does, is right only for batches of one size.) m in [0,
// 1]. Throws kInvalidArgument.
at::Tensor moved_centre(const at::Tensor& centre,
                        const at::Tensor& sum,
                        double rows,
                        double momentum);

// How much the directions of features [n, d] differ: √d times the mean over the columns of the
// standard deviation of f / |f|. About 1 for directions without order, 0 when all rows point one
// way. Throws kInvalidArgument unless n >= 1, d >= 1.
double feature_deviation(const at::Tensor& features);

}  // namespace detente::distill

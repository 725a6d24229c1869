// SPDX-License-Identifier: Apache-2.0
// Exact Shapley values of training examples in the game "how well do the K nearest of us classify
// this test point", averaged over the test points.
//
// With u_j = 1 where the j-th nearest of the set S has the test point's label and 0 elsewhere:
//
//   hard   v(S) = (1/K) Σ_{j <= min(K, |S|)} u_j
//   soft   v(S) = Σ_{j <= min(K, |S|)} u_j / min(K, |S|), v(∅) = what is known of nobody
//
// Of N examples, r the rank by distance (Jia et al., VLDB 2019, theorem 1; Wang and Jia, 2023):
//
//   hard   s_N = u_N / max(N, K),  s_r = s_{r+1} + (u_r − u_{r+1}) / max(r, K)
//   soft   s_r + (Σ_{j=2}^{K} 1/j) / (N − 1) · (u_r − mean u) − v(∅) / N, K at most N
//
// (the usual 1/N in place of 1/max(N, K) is wrong for K > N). That soft differs from hard by a term
// without ranks follows from the published recursion. Values sum to v(all) − v(∅) at each point.
//
// Ties: s is linear in u, so its mean over all orders of the examples at one distance has a closed
// form, and that is what they get: equal examples have equal values, without draws.
#pragma once

#include <detente/valuation/estimate.h>

#include <cstddef>
#include <span>
#include <vector>

namespace detente::valuation {

enum class KnnUtility { kHard, kSoft };

struct KnnRule {
  std::size_t k = 10;
  KnnUtility utility = KnnUtility::kHard;
  double nobody = 0;  // v(∅) of kSoft: 1/C for C classes
};

// One column of labels: class ids, or numbers that match within a tolerance.
struct KnnTask {
  std::span<const double> labels;       // n; NaN: not labelled, and no player in this task
  std::span<const double> test_labels;  // m; NaN: the point does not judge this task
  double tolerance = 0;                 // u = 1 where |y − y*| <= tolerance
  double nobody = 0;                    // see KnnRule
};

struct KnnOptions {
  std::size_t k = 10;
  KnnUtility utility = KnnUtility::kHard;
  int threads = 0;                    // 0: all cores; the result does not depend on it
  std::size_t memory = 256ULL << 20;  // bytes for what is computed at once; 56 n are used at least
  Progress progress = {};             // in test points
};

// For each task the values of the n training examples; features are row-major, train [n, width],
// test [m, width], near in the squared Euclidean distance (for the angle, give rows of length 1).
// Standard errors say what other test points would change: deviation over them / √m. Examples
// without a label have NaN and count 0. Distances are those of float arithmetic: differences below
// 1e-7 of the squared distances from the mean of the training rows may come out as ties or not.
//
// Throws kShape for sizes that do not fit, kInvalidArgument without a task, for k = 0, a negative
// tolerance and 2³² examples, kNumeric naming the row for features or labels that are not finite.
// Cost: n m (width multiply-adds and a sort's share); 16 n bytes for each task and `memory`.
std::vector<Estimate> knn_shapley(std::span<const float> train,
                                  std::span<const float> test,
                                  std::size_t width,
                                  std::span<const KnnTask> tasks,
                                  const KnnOptions& options = {});

// The values at one test point from a ranking alone: `matches` are the u of the examples, the
// nearest first (any numbers, soft labels too), `distances` theirs, increasing, equal for ties;
// empty: no ties. values[r] is that of the r-th nearest. Throws kShape, kInvalidArgument for k = 0.
void knn_shapley_of_ranking(std::span<const double> matches,
                            std::span<const float> distances,
                            const KnnRule& rule,
                            std::span<double> values);

}  // namespace detente::valuation

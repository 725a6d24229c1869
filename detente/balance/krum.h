// SPDX-License-Identifier: Apache-2.0
// Krum: the gradient that lies closest to its neighbours, or the mean of the m closest.
//
// Rule: the score of task i is the sum of its squared distances ‖g_i − g_j‖² to its k − f − 2
// nearest others; the m tasks of least score get 1/m each. Not an optimisation problem: no
// certificate. Why the plain thing fails: one gradient that is wrong by any amount moves the mean
// by any amount; up to f of them, k >= 2f + 3, cannot move this by more than the others differ.
// Meant for workers that compute the same gradient; among tasks it drops those unlike the others.
// Limits: k = 1 → w = 1; m = k → the mean; identical or orthonormal rows → the mean; scores equal
// to within rounding share their weight, so two tasks get 1/2 each; a zero row is a gradient like
// any other; scaling all gradients leaves w unchanged. With fewer than f + 3 tasks one neighbour is
// taken, and the result says so; m is never more than k.
// Cost: O(k² log k), no allocation after the first call. Class G.
// Paper: Blanchard, El Mhamdi, Guerraoui and Stainer, NeurIPS 2017, arXiv 1703.02757.
#pragma once

#include <detente/balance/method.h>

#include <cstdint>
#include <memory>

namespace detente::balance {

struct KrumOptions {
  std::int64_t faulty = 0;    // f
  std::int64_t selected = 1;  // m; more than one is "multi-Krum"
  bool squared = true;        // score by squared distances (paper), or by distances

  void describe(FieldVisitor& visitor);
};

// Throws as Method::solve, and kInvalidArgument for illegal options.
Result krum(MatrixView gram, const KrumOptions& options = {});

std::unique_ptr<Method> make_krum();

}  // namespace detente::balance

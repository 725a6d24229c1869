// SPDX-License-Identifier: Apache-2.0
// DiBS-MTL: the direction on which the tasks bargain knowing only each other's directions.
//
// Rule: with unit gradients û_i, task i would like the step r û_i. From x = 0, for T steps:
// x ← x + (s/T) Σ_i ‖x − û_i‖ û_i, which pulls towards a task the more the farther x is from its
// wish; if ‖x‖ exceeds 1 it is shortened to 1 and the iteration ends. d = r x. Not an optimisation
// problem: no certificate.
// Why the plain thing fails: weighted sums of gradients follow the units of the losses; here any
// increasing transformation of a loss (which only changes the length of its gradient) leaves d as
// it is.
// Limits: T = 1 → d = r s Σ û_i, shortened to r: the sum of the unit gradients; k = 1 → d = r (1 −
// (1 − s/T)^T) ĝ; orthonormal rows → equal weights; a pair of opposite gradients → d = 0; ‖d‖ <= r
// whatever the scale of the gradients, so the learning rate alone sets the step; zero rows are left
// out (weight 0). A task may be harmed.
// at_edge = keep is what the authors' code does where ‖x‖ would exceed 1: it ends with the x
// before. Cost: O(T k²), no allocation after the first call. Class G. Paper: Murthy, Gupta,
// Karabag, Fridovich-Keil and Topcu, 2025, arXiv 2509.23948.
#pragma once

#include <detente/balance/method.h>

#include <cstdint>
#include <memory>

namespace detente::balance {

struct DibsOptions {
  double radius = 1.0;      // r
  double rate = 1.0;        // s
  std::int64_t steps = 20;  // T

  void describe(FieldVisitor& visitor);
};

// Throws as Method::solve, and kInvalidArgument for illegal options.
Result dibs(MatrixView gram, const DibsOptions& options = {});

std::unique_ptr<Method> make_dibs();

}  // namespace detente::balance

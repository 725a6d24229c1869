// SPDX-License-Identifier: Apache-2.0
// Two-dimensional problems with two losses on which balancing methods are commonly compared.
//
// cagrad: two steep log-shaped valleys in the upper half plane, two paraboloids in the lower one
//   (Liu et al., NeurIPS 2021, arXiv 2110.14048). With S = tanh(x2/2), c1 = max(S, 0),
//   c2 = max(-S, 0) and ε = 5e-6:
//     f1 = ln max(|0.5(-x1 - 7) - tanh(-x2)|, ε) + 6     q1 = ((-x1 + 7)² + 0.1(-x2 - 8)²)/10 - 20
//     f2 = ln max(|0.5(-x1 + 3) + tanh(-x2) + 2|, ε) + 6 q2 = ((-x1 - 7)² + 0.1(-x2 - 8)²)/10 - 20
//     L1 = c1 f1 + c2 q1,  L2 = c1 f2 + c2 q2
//   The paper prints -tanh(-x2) in f2; its code, and therefore its pictures, have the sign above.
//   The mean has its minimum -15.0916 at (0, -8.355).
// pcgrad: two log-shaped valleys that meet at x1 = -2, x2 → ∞ (Yu et al., NeurIPS 2020,
//   arXiv 2001.06782, appendix D):
//     L1 = 20 ln max(|0.5 x1 + tanh x2|, ε),  L2 = 25 ln max(|0.5 x1 - tanh x2 + 2|, ε)
//
// Gradients are analytic; inside the floor of a logarithm they are zero, and at x2 = 0 both
// one-sided derivatives of c1 and c2 count, as automatic differentiation of max(·, 0) has it.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace detente::toy {

struct Vec2 {
  double x1 = 0;
  double x2 = 0;

  bool operator==(const Vec2&) const = default;
};

struct Evaluation {
  std::array<double, 2> losses{};
  std::array<Vec2, 2> gradients{};
};

struct Box {
  Vec2 low;
  Vec2 high;
};

struct ToyProblem {
  std::string name;
  std::string title;
  Evaluation (*evaluate)(Vec2 x) = nullptr;
  // Whether methods with a choice descend the sum of the gradients (as the paper does) or their
  // mean.
  bool sum = false;
  std::vector<Vec2> starts;       // the paper's
  std::int64_t steps = 0;         // the paper's
  std::array<double, 2> shift{};  // both losses are at least 1 with it, for methods that need that
  double lr = 0.001;
  Box view;                      // what a figure shows
  std::vector<Vec2> pareto_set;  // its part within the view, as a line
};

std::span<const ToyProblem> problems();

// Throws kInvalidArgument with the nearest name.
const ToyProblem& find_problem(std::string_view name);

// Norm of the shortest vector in the convex hull of the two gradients: 0 exactly at
// Pareto-stationary points.
double min_norm(const Evaluation& evaluation);

}  // namespace detente::toy

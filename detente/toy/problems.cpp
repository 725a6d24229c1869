// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/suggest.h>
#include <detente/toy/problems.h>

#include <algorithm>
#include <cmath>

namespace detente::toy {
namespace {

constexpr double kFloor = 5e-6;

// ln max(|u|, ε) and its derivative in u.
struct LogValley {
  double value;
  double slope;
};

LogValley log_valley(double u) {
  const double size = std::abs(u);
  if (size < kFloor) return {std::log(kFloor), 0.0};
  return {std::log(size), 1.0 / u};
}

Evaluation evaluate_cagrad(Vec2 x) {
  const double tanh = std::tanh(x.x2);
  const double steepness = 1.0 - tanh * tanh;
  LogValley f1 = log_valley(0.5 * (-x.x1 - 7.0) + tanh);
  LogValley f2 = log_valley(0.5 * (-x.x1 + 3.0) - tanh + 2.0);
  f1.value += 6.0;
  f2.value += 6.0;
  const double bowl = 0.1 * (x.x2 + 8.0) * (x.x2 + 8.0);
  const double q1 = ((x.x1 - 7.0) * (x.x1 - 7.0) + bowl) / 10.0 - 20.0;
  const double q2 = ((x.x1 + 7.0) * (x.x1 + 7.0) + bowl) / 10.0 - 20.0;
  const double bowl_slope = 0.02 * (x.x2 + 8.0);
  const double half = std::tanh(0.5 * x.x2);
  const double half_slope = 0.5 * (1.0 - half * half);
  const double c1 = std::max(half, 0.0);
  const double c2 = std::max(-half, 0.0);
  const double c1_slope = x.x2 >= 0 ? half_slope : 0.0;
  const double c2_slope = x.x2 <= 0 ? -half_slope : 0.0;

  Evaluation out;
  out.losses = {c1 * f1.value + c2 * q1, c1 * f2.value + c2 * q2};
  out.gradients[0] = {
      c1 * -0.5 * f1.slope + c2 * (x.x1 - 7.0) / 5.0,
      c1 * steepness * f1.slope + c1_slope * f1.value + c2 * bowl_slope + c2_slope * q1};
  out.gradients[1] = {
      c1 * -0.5 * f2.slope + c2 * (x.x1 + 7.0) / 5.0,
      c1 * -steepness * f2.slope + c1_slope * f2.value + c2 * bowl_slope + c2_slope * q2};
  return out;
}

Evaluation evaluate_pcgrad(Vec2 x) {
  const double tanh = std::tanh(x.x2);
  const double steepness = 1.0 - tanh * tanh;
  const LogValley f1 = log_valley(0.5 * x.x1 + tanh);
  const LogValley f2 = log_valley(0.5 * x.x1 - tanh + 2.0);
  Evaluation out;
  out.losses = {20.0 * f1.value, 25.0 * f2.value};
  out.gradients[0] = {20.0 * 0.5 * f1.slope, 20.0 * steepness * f1.slope};
  out.gradients[1] = {25.0 * 0.5 * f2.slope, 25.0 * -steepness * f2.slope};
  return out;
}

// Where w ∇L1 + (1 - w) ∇L2 = 0 in the lower half plane: the first component gives
// w = (x1 + 7)/14, the second then changes its sign once between x2 = -12 and -8.
std::vector<Vec2> pareto_cagrad() {
  std::vector<Vec2> out;
  for (int i = 0; i <= 56; ++i) {
    const double x1 = -7.0 + 0.25 * i;
    const double w = (x1 + 7.0) / 14.0;
    double low = -12.0;
    double high = -8.0;
    for (int k = 0; k < 60; ++k) {
      const double x2 = 0.5 * (low + high);
      const Evaluation e = evaluate_cagrad({x1, x2});
      (w * e.gradients[0].x2 + (1.0 - w) * e.gradients[1].x2 < 0 ? low : high) = x2;
    }
    out.push_back({x1, 0.5 * (low + high)});
  }
  return out;
}

}  // namespace

std::span<const ToyProblem> problems() {
  static const std::vector<ToyProblem> table = {
      {"cagrad",
       "The CAGrad toy problem",
       &evaluate_cagrad,
       false,
       {{-8.5, 7.5}, {-8.5, 5.0}, {0.0, 0.0}, {9.0, 9.0}, {10.0, -8.0}},
       100'000,
       {21.0, 21.0},  // the bowls reach down to -20
       0.001,
       {{-11.0, -11.0}, {11.0, 11.0}},
       pareto_cagrad()},
      {"pcgrad",
       "The PCGrad toy problem",
       &evaluate_pcgrad,
       true,
       {{0.5, -3.0}},
       500'000,
       {1.0 - 20.0 * std::log(kFloor), 1.0 - 25.0 * std::log(kFloor)},
       0.001,
       {{-4.0, -4.0}, {4.0, 8.0}},
       // Both logarithms rest on their floor from tanh x2 = 1 - ε on.
       {{-2.0, std::atanh(1.0 - kFloor)}, {-2.0, 8.0}}},
  };
  return table;
}

const ToyProblem& find_problem(std::string_view name) {
  std::vector<std::string> names;
  for (const auto& problem : problems()) {
    if (problem.name == name) return problem;
    names.push_back(problem.name);
  }
  fail(ErrorCode::kInvalidArgument,
       "[toy::find_problem] '{}' is not a toy problem; {}",
       name,
       expected_one_of(name, names));
}

double min_norm(const Evaluation& evaluation) {
  const auto [a, b] = evaluation.gradients;
  const Vec2 difference = {a.x1 - b.x1, a.x2 - b.x2};
  const double length2 = difference.x1 * difference.x1 + difference.x2 * difference.x2;
  // The point a - t (a - b) nearest to the origin.
  double t = 0.0;
  if (length2 > 0) {
    t = std::clamp((a.x1 * difference.x1 + a.x2 * difference.x2) / length2, 0.0, 1.0);
  }
  return std::hypot(a.x1 - t * difference.x1, a.x2 - t * difference.x2);
}

}  // namespace detente::toy

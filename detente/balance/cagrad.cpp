// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/cagrad.h>
#include <detente/balance/internal/cone.h>
#include <detente/balance/internal/unit_gram.h>
#include <detente/balance/method_info.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace detente::balance {
namespace {

constexpr double kTolerance = 1e-9;
constexpr double kEpsilon = std::numeric_limits<double>::epsilon();

// The method solves for the level μ = min_i ⟨g_i, d⟩ instead of w. The nearest point to g₀ with
// ⟨g_i, d⟩ >= μ for all i is g₀ + Jᵀu, u >= 0, a projection that ConeProjector does exactly; its
// distance φ(μ) = ‖Jᵀu‖ is convex and grows with μ, and the answer is the μ with φ(μ) = r. Newton's
// step from above is μ ← ⟨g_w, g₀⟩ + r‖g_w‖ at w = u/Σu, the dual value, so every iterate is also
// an upper bound, and on the last face it ends at the closed form. The final weights are 1/k + u.
class Cagrad final : public Method {
 public:
  Cagrad() = default;
  explicit Cagrad(const CagradOptions& options) : options_(options) {}

  const char* name() const override { return "cagrad"; }
  MethodClass method_class() const override { return MethodClass::kGram; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }

 protected:
  void compute(const Problem& problem, Result& result) override {
    const double mean = 1.0 / static_cast<double>(problem.tasks);
    std::fill(result.weights.begin(), result.weights.end(), mean);
    result.certificate = 0.0;
    unit_.assign(problem.gram);
    const std::size_t m = unit_.size();
    if (m == 0) {
      result.stop = StopReason::kDegenerate;
      result.message = "All gradients are zero.";
      return;
    }
    if (m < problem.tasks) {
      result.message = "A task's gradient is zero; it is left out of the worst-task term.";
    }

    // b_i = ⟨g_i, g₀⟩ and ‖g₀‖, in units of the largest norm.
    b_.assign(m, 0.0);
    double mean_squared = 0;
    double mean_size = 0;
    for (std::size_t i = 0; i < m; ++i) {
      for (std::size_t j = 0; j < m; ++j) b_[i] += unit_.c(i, j) * unit_.norm[j] * mean;
      mean_squared += b_[i] * unit_.norm[i] * mean;
      mean_size += unit_.norm[i] * mean;
      b_[i] *= unit_.norm[i];
    }
    if (mean_squared <= 8 * static_cast<double>(m) * kEpsilon * mean_size * mean_size) {
      result.stop = StopReason::kDegenerate;
      result.message = "The mean gradient is zero, so the direction is zero.";
      return;
    }
    const double r = options_.c * std::sqrt(mean_squared);
    if (r > 0) {
      const double bound = raise_worst(r, result);
      total_.resize(m);
      for (std::size_t i = 0; i < m; ++i) {
        total_[i] = mean + projector_.beta()[i] / unit_.norm[i] * stretch_;
        result.weights[unit_.rows[i]] = total_[i];
      }
      result.certificate = internal::shortfall(unit_, total_, bound);
      result.stop =
          result.certificate <= kTolerance ? StopReason::kConverged : StopReason::kMaxIterations;
    }
    const double scale = options_.rescale == CagradOptions::Rescale::kNone ? 1.0
                         : options_.rescale == CagradOptions::Rescale::kOnePlusC
                             ? 1.0 + options_.c
                             : 1.0 + options_.c * options_.c;
    for (double& w : result.weights) w /= scale;
  }

 private:
  // Leaves u in projector_ and stretch_; returns the best upper bound on μ.
  double raise_worst(double r, Result& result) {
    const std::size_t m = unit_.size();
    // Weak duality at the corners of the simplex.
    double level = std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i < m; ++i) level = std::min(level, b_[i] + r * unit_.norm[i]);
    double bound = level;
    bool stationary = false;
    h_.resize(m);
    stretch_ = 1.0;
    for (int step = 0; step < 100; ++step) {
      for (std::size_t i = 0; i < m; ++i) h_[i] = (level - b_[i]) / unit_.norm[i];
      const bool feasible = projector_.solve(unit_, h_, /*feasible=*/level <= 0.0);
      result.iterations += projector_.pivots();
      double sum = 0;
      double along = 0;
      double squared = 0;
      for (std::size_t i = 0; i < m; ++i) {
        const double beta = projector_.beta()[i];
        if (beta == 0.0) continue;
        sum += beta / unit_.norm[i];
        along += b_[i] * (beta / unit_.norm[i]);
        for (std::size_t j = 0; j < m; ++j) squared += beta * unit_.c(i, j) * projector_.beta()[j];
      }
      const double length = std::sqrt(std::max(squared, 0.0));
      if (!feasible) {
        // The gradients positively span 0, to within what their Gram matrix can tell: no direction
        // improves all of them, and the level 0 is the highest there is.
        bound = std::min(bound, 0.0);
        level = 0.0;
        stationary = true;
        continue;
      }
      const double dual = sum > 0 ? (along + r * length) / sum : level;
      bound = std::min(bound, dual);
      if (length <= r * (1.0 + 4 * kEpsilon) || !(dual < level)) {
        // On the sphere exactly, unless the highest level that exists lies inside the ball.
        const bool inside = stationary && length < r;
        if (!inside && length > 0) stretch_ = r / length;
        if (inside)
          result.message =
              "No direction improves every task; d is the nearest to the "
              "mean gradient that harms none.";
        return bound;
      }
      level = dual;
    }
    return bound;
  }

  CagradOptions options_;
  internal::UnitGram unit_;
  internal::ConeProjector projector_;
  std::vector<double> b_;      // ⟨g_i, g₀⟩
  std::vector<double> h_;      // the projection's right side at the present level
  std::vector<double> total_;  // 1/k + u
  double stretch_ = 1.0;
};

}  // namespace

void CagradOptions::describe(FieldVisitor& visitor) {
  // Beyond the upper bound c² exceeds what double separates; mgda is that limit.
  visitor.number("c",
                 c,
                 {.min = 0, .max = 1e9},
                 "Radius of the ball around the mean gradient, in units of its norm; 0 gives the "
                 "mean, >= 1 lets no task get worse, large values tend to mgda.");
  visitor.choice("rescale",
                 rescale,
                 {{"none", Rescale::kNone},
                  {"one_plus_c", Rescale::kOnePlusC},
                  {"one_plus_c2", Rescale::kOnePlusC2}},
                 "Divide the direction by 1, 1 + c or 1 + c^2 (paper; toy and CAGrad-Fast code; "
                 "vision code).");
}

Result cagrad(MatrixView gram, const CagradOptions& options) {
  Cagrad method(options);
  validate_fields([&](FieldVisitor& v) { method.describe(v); }, "[balance::cagrad]");
  return solve_once(method, {.tasks = gram.rows, .gram = gram});
}

std::unique_ptr<Method> make_cagrad() { return std::make_unique<Cagrad>(); }

MethodInfo cagrad_info() {
  return {.name = "cagrad",
          .title = "Conflict-averse gradient descent",
          .summary = "The direction near the mean gradient that helps the worst task most.",
          .when =
              "The mean loss is what counts, but no task should be sacrificed on the way; c in "
              "[0.2, 0.8] is a good start.",
          .paper = "Liu et al., NeurIPS 2021, arXiv 2110.14048",
          .method_class = MethodClass::kGram,
          .laws = kCommonLaws | kZeroRowIgnored,
          .make = &make_cagrad};
}

}  // namespace detente::balance

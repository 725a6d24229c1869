// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/conicgrad.h>
#include <detente/balance/internal/level.h>
#include <detente/balance/internal/min_norm.h>
#include <detente/balance/internal/unit_gram.h>
#include <detente/balance/method_info.h>

#include <algorithm>
#include <cmath>

namespace detente::balance {
namespace {

class Conicgrad final : public Method {
 public:
  Conicgrad() = default;
  explicit Conicgrad(const ConicgradOptions& options) : options_(options) {}

  const char* name() const override { return "conicgrad"; }
  MethodClass method_class() const override { return MethodClass::kGram; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }

 protected:
  void compute(const Problem& problem, Result& result) override {
    const double mean = 1.0 / static_cast<double>(problem.tasks);
    reserve(problem.tasks);
    result.certificate = 0.0;
    if (!internal::take_rows(problem, mean, unit_, result)) return;
    const std::size_t m = unit_.size();

    // In units of the largest norm: b_i = ⟨g_i, g₀⟩ and ‖g₀‖².
    b_.assign(m, 0.0);
    mean_squared_ = 0;
    double mean_size = 0;
    for (std::size_t i = 0; i < m; ++i) {
      for (std::size_t j = 0; j < m; ++j) b_[i] += unit_.c(i, j) * unit_.norm[j] * mean;
      b_[i] *= unit_.norm[i];
      mean_squared_ += b_[i] * mean;
      mean_size += unit_.norm[i] * mean;
    }
    if (mean_squared_ <= 8 * static_cast<double>(m) * internal::kEpsilon * mean_size * mean_size) {
      result.stop = StopReason::kDegenerate;
      result.message = "The mean gradient is zero, so the direction is zero.";
      return;
    }
    if (options_.c >= 1.0) return;  // the cone is g₀ itself
    double bound = 0;
    double common = 0;  // what all tasks have, those without a gradient too
    if (!within_cone(bound, result)) {
      bound = on_cone(mean, common, result);
    }
    for (double& x : w_) x += common;
    std::fill(result.weights.begin(), result.weights.end(), common);
    for (std::size_t i = 0; i < m; ++i) result.weights[unit_.rows[i]] = w_[i];
    internal::certify(std::max(internal::shortfall(unit_, w_, bound), excess()), result);
  }

 private:
  // For all paths, whichever this call takes.
  void reserve(std::size_t k) {
    min_norm_.reserve(k);
    solver_.reserve(k);
    across_.rows.reserve(k);
    across_.cosine.reserve(k * k);
    for (auto* numbers : {&across_.norm, &b_, &cosine_, &offset_, &w_}) numbers->reserve(k);
  }

  // Whether mgda's direction lies in the cone; if so, w_ gets the length of g₀.
  bool within_cone(double& bound, Result& result) {
    const std::size_t m = unit_.size();
    result.iterations = min_norm_.solve(unit_, w_);
    const auto squared = internal::squared_length(unit_, w_);
    double along = 0;
    for (std::size_t i = 0; i < m; ++i) along += w_[i] * b_[i];
    if (m > 1 && squared.value <= internal::kStationary * squared.size) return false;
    const double length = std::sqrt(squared.value);
    const double radius = std::sqrt(mean_squared_);
    if (along < options_.c * length * radius * (1.0 - 4 * internal::kEpsilon)) return false;
    for (double& x : w_) x *= radius / length;
    bound = radius * length;
    return true;
  }

  // The best d = c g₀ + v; w_ gets u with v = Σ u_i h_i, where h_i is the part of g_i across g₀,
  // and `common` the share of g₀. Returns the upper bound on the level.
  double on_cone(double mean, double& common, Result& result) {
    const std::size_t m = unit_.size();
    const double c = options_.c;
    const double radius = std::sqrt(mean_squared_);
    across_.rows.clear();
    across_.norm.clear();
    offset_.clear();
    cosine_.resize(m);
    across_.largest = unit_.largest;
    // Σ h_i = 0 over the rows bounds the level by the mean of the offsets; so does a row along g₀,
    // which no v moves.
    double highest = c * mean_squared_ / (mean * static_cast<double>(m));
    for (std::size_t i = 0; i < m; ++i) {
      cosine_[i] = std::clamp(b_[i] / unit_.norm[i] / radius, -1.0, 1.0);
      const double sine2 = (1.0 - cosine_[i]) * (1.0 + cosine_[i]);
      if (sine2 <= 16 * static_cast<double>(m) * internal::kEpsilon) {
        highest = std::min(highest, c * b_[i]);
        continue;
      }
      across_.rows.push_back(i);
      across_.norm.push_back(unit_.norm[i] * std::sqrt(sine2));
      offset_.push_back(c * b_[i]);
    }
    const std::size_t s = across_.size();
    across_.cosine.resize(s * s);
    for (std::size_t a = 0; a < s; ++a) {
      const std::size_t i = across_.rows[a];
      for (std::size_t e = 0; e < a; ++e) {
        const std::size_t j = across_.rows[e];
        const double sines = across_.norm[a] / unit_.norm[i] * (across_.norm[e] / unit_.norm[j]);
        const double value =
            std::clamp((unit_.c(i, j) - cosine_[i] * cosine_[j]) / sines, -1.0, 1.0);
        across_.cosine[a * s + e] = value;
        across_.cosine[e * s + a] = value;
      }
      across_.cosine[a * s + a] = 1.0;
    }

    w_.assign(m, 0.0);
    common = c * mean;
    if (s == 0) return highest;
    const double bound =
        solver_.solve(across_, offset_, radius * std::sqrt(1.0 - c * c), {.highest = highest});
    result.iterations += solver_.pivots();
    if (solver_.inside()) {
      result.message = "A longer direction would not help the worst task; d is shorter than g0.";
    }
    double along = 0;
    for (std::size_t a = 0; a < s; ++a) {
      w_[across_.rows[a]] = solver_.u()[a];
      along += solver_.u()[a] * b_[across_.rows[a]];
    }
    common -= mean * (along / mean_squared_);
    return bound;
  }

  // By how much ‖d‖² exceeds ‖g₀‖², relative to the terms of both.
  double excess() const {
    const auto squared = internal::squared_length(unit_, w_);
    return std::max(0.0, squared.value - mean_squared_) / (squared.size + mean_squared_);
  }

  ConicgradOptions options_;
  internal::UnitGram unit_, across_;
  internal::MinNorm min_norm_;
  internal::LevelSolver solver_;
  double mean_squared_ = 0;
  std::vector<double> b_, cosine_, offset_, w_;
};

}  // namespace

void ConicgradOptions::describe(FieldVisitor& visitor) {
  visitor.number("c",
                 c,
                 {.min = 0, .max = 1},
                 "Least cosine between the direction and the mean gradient; 0 gives mgda's "
                 "direction, 1 the mean gradient.");
}

Result conicgrad(MatrixView gram, const ConicgradOptions& options) {
  Conicgrad method(options);
  validate_fields([&](FieldVisitor& v) { method.describe(v); }, "[balance::conicgrad]");
  return solve_once(method, {.tasks = gram.rows, .gram = gram});
}

std::unique_ptr<Method> make_conicgrad() { return std::make_unique<Conicgrad>(); }

MethodInfo conicgrad_info() {
  return {.name = "conicgrad",
          .title = "ConicGrad",
          .summary =
              "Within an angle of the mean gradient, the direction that helps the worst task most.",
          .when =
              "As cagrad, when the step should keep the length of the mean gradient and only its "
              "direction be in question.",
          .paper = "Hassanpour et al., 2025, arXiv 2502.00217",
          .method_class = MethodClass::kGram,
          .laws = kCommonLaws | kSingleTaskIdentity | kIdenticalRowsIdentity | kZeroRowIgnored,
          .make = &make_conicgrad};
}

}  // namespace detente::balance

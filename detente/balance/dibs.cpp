// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/dibs.h>
#include <detente/balance/internal/unit_gram.h>
#include <detente/balance/method_info.h>

#include <algorithm>
#include <cmath>

namespace detente::balance {
namespace {

class Dibs final : public Method {
 public:
  Dibs() = default;
  explicit Dibs(const DibsOptions& options) : options_(options) {}

  const char* name() const override { return "dibs"; }
  MethodClass method_class() const override { return MethodClass::kGram; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }

 protected:
  void compute(const Problem& problem, Result& result) override {
    if (!internal::take_rows(problem, 0.0, unit_, result)) return;
    const std::size_t m = unit_.size();
    const double step = options_.rate / static_cast<double>(options_.steps);
    beta_.assign(m, 0.0);   // x = Σ β_i û_i
    along_.assign(m, 0.0);  // ⟨x, û_i⟩
    double squared = 0;     // ‖x‖²
    for (std::int64_t t = 0; t < options_.steps; ++t) {
      for (std::size_t i = 0; i < m; ++i) {
        beta_[i] += step * std::sqrt(std::max(0.0, squared - 2 * along_[i] + 1.0));
      }
      ++result.iterations;
      squared = multiply();
      if (squared <= 1.0) continue;
      for (double& b : beta_) b /= std::sqrt(squared);
      break;
    }
    for (std::size_t i = 0; i < m; ++i) {
      result.weights[unit_.rows[i]] = options_.radius * beta_[i] / unit_.norm[i] / unit_.largest;
    }
  }

 private:
  // Leaves Cβ in along_; returns βᵀCβ.
  double multiply() {
    const std::size_t m = unit_.size();
    along_.assign(m, 0.0);
    double squared = 0;
    for (std::size_t i = 0; i < m; ++i) {
      for (std::size_t j = 0; j < m; ++j) along_[i] += unit_.c(i, j) * beta_[j];
      squared += beta_[i] * along_[i];
    }
    return std::max(squared, 0.0);
  }

  DibsOptions options_;
  internal::UnitGram unit_;
  std::vector<double> beta_, along_;
};

}  // namespace

void DibsOptions::describe(FieldVisitor& visitor) {
  visitor.number("radius",
                 radius,
                 {.min = 0, .max = 1e9, .min_open = true},
                 "Length of the step each task wishes for, and the greatest length of the result.");
  visitor.number("rate",
                 rate,
                 {.min = 0, .max = 1e3, .min_open = true},
                 "How far all steps together move towards the wishes; small values give the sum "
                 "of unit gradients.");
  visitor.integer("steps", steps, {.min = 1, .max = 1e6}, "Steps of the bargain.");
}

Result dibs(MatrixView gram, const DibsOptions& options) {
  Dibs method(options);
  validate_fields([&](FieldVisitor& v) { method.describe(v); }, "[balance::dibs]");
  return solve_once(method, {.tasks = gram.rows, .gram = gram});
}

std::unique_ptr<Method> make_dibs() { return std::make_unique<Dibs>(); }

MethodInfo dibs_info() {
  return {.name = "dibs",
          .title = "DiBS-MTL",
          .summary = "A bargain in which each task only says which direction it prefers.",
          .when =
              "Losses whose scale means nothing, or changes in non-linear ways; the step length "
              "is bounded, so the learning rate must be chosen for it.",
          .paper = "Murthy et al., 2025, arXiv 2509.23948",
          .method_class = MethodClass::kGram,
          .laws = kPermutation | kMeanWhenAligned | kUniformWhenOrthonormal | kDeterministic |
                  kRowScaleInvariant | kZeroRowIgnored,
          .make = &make_dibs};
}

}  // namespace detente::balance

// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/ferero.h>
#include <detente/balance/internal/checks.h>
#include <detente/balance/internal/simplex.h>
#include <detente/balance/internal/state.h>
#include <detente/balance/method_info.h>
#include <detente/core/error.h>

#include <cmath>
#include <string>

namespace detente::balance {
namespace {

const std::string kInFerero = "[balance::ferero]";  // made once: solve() allocates nothing

class Ferero final : public Method {
 public:
  const char* name() const override { return "ferero"; }
  MethodClass method_class() const override {
    return options_.double_sampling ? MethodClass::kCross : MethodClass::kGramLoss;
  }
  bool uses_losses() const override { return true; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }

  Json state() const override {
    if (kept_.empty()) return nullptr;
    return Json{{"weights", kept_.all()}, {"constraint", constraint_}};
  }
  void load_state(const Json& state) override {
    std::vector<double> weights, constraint;
    if (!state.is_null()) {
      weights = internal::state_numbers(state, "weights", kInFerero);
      constraint = internal::state_numbers(state, "constraint", kInFerero);
      DETENTE_CHECK(weights.size() == constraint.size(),
                    ErrorCode::kData,
                    "{} the saved state has lists of different sizes.",
                    kInFerero);
    }
    kept_.load(std::move(weights), kInFerero);
    constraint_ = std::move(constraint);
  }

 protected:
  void compute(const Problem& problem, Result& result) override {
    const std::size_t k = problem.tasks;
    internal::check_per_task(options_.preference.size(), problem, name(), "preference");
    kept_.take(problem, kInFerero, w_);
    if (constraint_.empty()) constraint_.assign(problem.total(), 0.0);
    measure(problem);
    // The slope A λ, then half of it less the losses, projected.
    const bool cross = options_.double_sampling && !problem.cross.empty();
    const MatrixView& a = cross ? problem.cross : problem.gram;
    slope_.resize(k);
    excess_.resize(k);
    for (std::size_t i = 0; i < k; ++i) {
      slope_[i] = 0;
      for (std::size_t j = 0; j < k; ++j) {
        slope_[i] += a(i, j) / norm_ / norm_ * (w_[j] + constraint_[problem.id(j)]);
      }
      excess_[i] = slope_[i] - 0.5 * problem.losses[i] / loss_;
    }
    project_off_ray(problem);
    for (std::size_t i = 0; i < k; ++i) w_[i] -= options_.gamma * slope_[i];
    internal::project_on_simplex(w_, scratch_);
    kept_.put(problem, w_);
    double sum = 0;
    for (std::size_t i = 0; i < k; ++i) {
      double& nu = constraint_[problem.id(i)];
      nu -= options_.gamma * excess_[i];
      result.weights[i] = w_[i] + nu;
      sum += std::abs(result.weights[i]);
      DETENTE_CHECK(std::isfinite(nu),
                    ErrorCode::kNumeric,
                    "{} the multipliers of the preference diverge (gamma = {}); expected gamma "
                    "below 1 / the largest eigenvalue of the Gram matrix. Lower gamma or set "
                    "normalize.",
                    kInFerero,
                    options_.gamma);
    }
    if (options_.rescale == FereroOptions::Rescale::kSumOne && sum > 0) {
      for (double& x : result.weights) x /= sum;
    }
    result.iterations = 1;
  }

 private:
  // The units of gradients and losses; 1 where everything is zero.
  void measure(const Problem& problem) {
    norm_ = 1;
    loss_ = 1;
    if (!options_.normalize) return;
    const double k = static_cast<double>(problem.tasks);
    double norms = 0;
    double losses = 0;
    for (std::size_t i = 0; i < problem.tasks; ++i) {
      norms += std::sqrt(problem.gram(i, i)) / k;
      losses += std::abs(problem.losses[i]) / k;
    }
    if (norms > 0) norm_ = norms;
    if (losses > 0) loss_ = losses;
  }

  // excess_ loses its component along p.
  void project_off_ray(const Problem& problem) {
    double along = 0;
    double squared = 0;
    for (std::size_t i = 0; i < problem.tasks; ++i) {
      const double p = internal::per_task(options_.preference, problem, i, 1.0);
      along += p * excess_[i];
      squared += p * p;
    }
    for (std::size_t i = 0; i < problem.tasks; ++i) {
      excess_[i] -= along / squared * internal::per_task(options_.preference, problem, i, 1.0);
    }
  }

  FereroOptions options_;
  internal::SimplexWeights kept_;   // λ_f
  std::vector<double> constraint_;  // ν of all tasks; empty before the first step
  std::vector<double> w_, slope_, excess_, scratch_;
  double norm_ = 1, loss_ = 1;
};

}  // namespace

void FereroOptions::describe(FieldVisitor& visitor) {
  visitor.numbers("preference",
                  preference,
                  {.min = 0, .max = 1e9, .min_open = true},
                  "One number per task: the losses are driven to these proportions. Empty: equal "
                  "losses.");
  visitor.number("gamma",
                 gamma,
                 {.min = 0, .max_open = true},
                 "Learning rate of the weights, in units of 1/gradient² unless normalize is set.");
  visitor.flag("normalize",
               normalize,
               "Measure gradients in their mean norm and losses in their mean, so that gamma does "
               "not depend on the scale of the losses.");
  visitor.flag("double_sampling",
               double_sampling,
               "Take the weights' steps on gradients of two independent batches (class X).");
  visitor.choice("rescale",
                 rescale,
                 {{"none", Rescale::kNone}, {"sum_one", Rescale::kSumOne}},
                 "sum_one: divide the weights by the sum of their absolute values, as the authors' "
                 "code does.");
}

std::unique_ptr<Method> make_ferero() { return std::make_unique<Ferero>(); }

MethodInfo ferero_info() {
  return {.name = "ferero",
          .title = "Preference-guided multi-objective learning by constraints",
          .summary =
              "Small steps towards mgda's weights under the constraint that the losses keep "
              "given proportions.",
          .when =
              "When losses shall end in given proportions and epo's linear program jumps too much; "
              "gamma needs tuning.",
          .paper = "Chen, Saif, Shen, Chen, NeurIPS 2024, arXiv 2412.01773",
          .method_class = MethodClass::kGramLoss,
          .stateful = true,
          .laws = kPermutation | kMeanWhenAligned | kUniformWhenOrthonormal | kDeterministic |
                  kSingleTaskIdentity | kIdenticalRowsIdentity,
          .make = &make_ferero};
}

}  // namespace detente::balance

// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/method_info.h>
#include <detente/balance/pcgrad.h>
#include <detente/core/error.h>

#include <algorithm>

namespace detente::balance {
namespace {

class Pcgrad final : public Method {
 public:
  Pcgrad() = default;
  explicit Pcgrad(const PcgradOptions& options) : options_(options) {}

  const char* name() const override { return "pcgrad"; }
  MethodClass method_class() const override { return MethodClass::kGram; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }

 protected:
  void compute(const Problem& problem, Result& result) override {
    const std::size_t k = problem.tasks;
    const bool random = options_.order == PcgradOptions::Order::kRandom && k > 2;
    DETENTE_CHECK(!random || problem.rng != nullptr,
                  ErrorCode::kInvalidArgument,
                  "[balance::pcgrad] the order of projection is random for {} tasks; expected a "
                  "random generator in Problem::rng, got none.",
                  k);
    const MatrixView& g = problem.gram;
    std::fill(result.weights.begin(), result.weights.end(), 0.0);
    for (std::size_t i = 0; i < k; ++i) {
      order_.clear();
      for (std::size_t j = 0; j < k; ++j) {
        if (j != i || options_.include_self) order_.push_back(j);
      }
      if (random) problem.rng->shuffle(order_);
      // v = Jᵀu, so ⟨v, g_j⟩ = (G u)_j and the projection only lowers u_j.
      u_.assign(k, 0.0);
      u_[i] = 1.0;
      for (const std::size_t j : order_) {
        double inner = 0;
        for (std::size_t l = 0; l < k; ++l) inner += g(j, l) * u_[l];
        if (inner < 0 && g(j, j) > 0) u_[j] -= inner / g(j, j);
      }
      for (std::size_t j = 0; j < k; ++j) result.weights[j] += u_[j];
    }
    if (options_.reduction == PcgradOptions::Reduction::kMean) {
      for (double& w : result.weights) w /= static_cast<double>(k);
    }
  }

 private:
  PcgradOptions options_;
  std::vector<std::size_t> order_;
  std::vector<double> u_;
};

}  // namespace

void PcgradOptions::describe(FieldVisitor& visitor) {
  if (visit_preset(visitor,
                   preset,
                   "paper: random order, the other tasks; official_code: order index and "
                   "include_self, as in the authors' code.")) {
    order = preset == Preset::kPaper ? Order::kRandom : Order::kIndex;
    include_self = preset == Preset::kOfficialCode;
  }
  visitor.choice("reduction",
                 reduction,
                 {{"sum", Reduction::kSum}, {"mean", Reduction::kMean}},
                 "sum: add the projected gradients (paper); mean: divide by k.");
  visitor.choice("order",
                 order,
                 {{"random", Order::kRandom}, {"index", Order::kIndex}},
                 "Order of the projections: drawn anew for each task, or that of the tasks.");
  visitor.flag("include_self",
               include_self,
               "Project also on the task's own gradient, where the others turned against it.");
}

Result pcgrad(MatrixView gram, const PcgradOptions& options, Rng* rng) {
  Pcgrad method(options);
  return solve_once(method, {.tasks = gram.rows, .gram = gram, .rng = rng});
}

std::unique_ptr<Method> make_pcgrad() { return std::make_unique<Pcgrad>(); }

MethodInfo pcgrad_info() {
  return {.name = "pcgrad",
          .title = "Projecting conflicting gradients",
          .summary = "Each gradient loses its component against the others before they are added.",
          .when =
              "A cheap first step beyond the sum when gradients conflict and differ in size; "
              "harmless to both tasks for k = 2, no guarantee beyond.",
          .paper = "Yu et al., NeurIPS 2020, arXiv 2001.06782",
          .method_class = MethodClass::kGram,
          .laws = kScaleInvariant | kMeanWhenAligned | kUniformWhenOrthonormal |
                  kSingleTaskIdentity | kZeroRowIgnored,
          .make = &make_pcgrad};
}

}  // namespace detente::balance

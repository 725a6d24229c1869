// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/checks.h>
#include <detente/balance/internal/min_norm.h>
#include <detente/balance/internal/unit_gram.h>
#include <detente/balance/method_info.h>
#include <detente/balance/mgda.h>
#include <detente/balance/mgda_ub.h>

#include <algorithm>

namespace detente::balance {
namespace {

// mgda and mgda_ub, which differ in where their gradients are taken.
class Mgda final : public Method {
 public:
  Mgda(const char* name, bool at_features, const MgdaOptions& options = {})
      : name_(name), at_features_(at_features), options_(options) {}

  const char* name() const override { return name_; }
  MethodClass method_class() const override {
    return divides_by_losses() ? MethodClass::kGramLoss : MethodClass::kGram;
  }
  bool at_features() const override { return at_features_; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }

 protected:
  void compute(const Problem& problem, Result& result) override {
    solver_.reserve(problem.tasks);
    unit_.assign(problem.gram);
    if (unit_.size() < problem.tasks) {
      stationary(problem, result);
    } else {
      normalize(problem);
      result.iterations = solver_.solve(unit_, result.weights);
      certify(result);
    }
    if (problem.tasks != 2) return;
    for (std::size_t i = 0; i < 2; ++i) {
      if (result.weights[i] != 0.0) continue;
      result.weights[i] = options_.least_share;
      result.weights[1 - i] = 1.0 - options_.least_share;
    }
  }

 private:
  using Normalizer = MgdaOptions::Normalizer;

  bool divides_by_losses() const {
    return options_.normalizer == Normalizer::kLoss || options_.normalizer == Normalizer::kLossPlus;
  }

  void normalize(const Problem& problem) {
    if (divides_by_losses()) {
      internal::check_positive_losses(problem, name_, "its normalizer divides by the losses");
    }
    const bool unit_length =
        options_.normalizer == Normalizer::kL2 || options_.normalizer == Normalizer::kLossPlus;
    for (std::size_t i = 0; i < problem.tasks; ++i) {
      if (unit_length) unit_.norm[i] = 1.0;
      if (divides_by_losses()) unit_.norm[i] /= problem.losses[i];
    }
    // Only the ratios of the norms matter.
    const double largest = *std::max_element(unit_.norm.begin(), unit_.norm.end());
    for (double& n : unit_.norm) n /= largest;
  }

  // Some gradient is zero, so no direction improves that task: the convex hull contains 0.
  void stationary(const Problem& problem, Result& result) const {
    const double share = 1.0 / static_cast<double>(problem.tasks - unit_.size());
    std::fill(result.weights.begin(), result.weights.end(), share);
    for (const std::size_t row : unit_.rows) result.weights[row] = 0.0;
    result.stop = StopReason::kDegenerate;
    result.certificate = 0.0;
    result.message = unit_.size() == 0 ? "All gradients are zero; the weights are uniform."
                                       : "A task's gradient is zero, so the least-norm direction "
                                         "is zero; leave that task out of this step to go on.";
  }

  void certify(Result& result) const {
    const auto squared = internal::squared_length(unit_, result.weights);
    internal::certify(internal::shortfall(unit_, result.weights, squared.value), result);
    if (unit_.size() > 1 && squared.value <= internal::kStationary * squared.size) {
      result.message = "Pareto-stationary: no direction improves every task.";
    }
  }

  const char* name_;
  bool at_features_;
  MgdaOptions options_;
  internal::UnitGram unit_;
  internal::MinNorm solver_;
};

}  // namespace

void MgdaOptions::describe(FieldVisitor& visitor) {
  if (visit_preset(visitor,
                   preset,
                   "paper: the exact weights; official_code: least_share 0.001, as in the authors' "
                   "solver for two tasks.")) {
    least_share = preset == Preset::kPaper ? 0.0 : 0.001;
  }
  visitor.choice("normalizer",
                 normalizer,
                 {{"none", Normalizer::kNone},
                  {"l2", Normalizer::kL2},
                  {"loss", Normalizer::kLoss},
                  {"loss+", Normalizer::kLossPlus}},
                 "Divide each gradient by its norm (l2), its loss (loss) or both (loss+) before "
                 "solving; the weights apply to the gradients as they are.");
  visitor.number("least_share",
                 least_share,
                 {.min = 0, .max = 0.5},
                 "With two tasks, the weight of the one that would get none; 0 is exact.");
}

Result mgda(MatrixView gram, const MgdaOptions& options, std::span<const double> losses) {
  Mgda method("mgda", false, options);
  validate_fields([&](FieldVisitor& v) { method.describe(v); }, "[balance::mgda]");
  return solve_once(method, {.tasks = gram.rows, .gram = gram, .losses = losses});
}

std::unique_ptr<Method> make_mgda() { return std::make_unique<Mgda>("mgda", false); }
std::unique_ptr<Method> make_mgda_ub() { return std::make_unique<Mgda>("mgda_ub", true); }

MethodInfo mgda_info() {
  return {.name = "mgda",
          .title = "Multiple-gradient descent",
          .summary = "The shortest vector in the gradients' convex hull.",
          .when =
              "When no task may ever get worse and any Pareto point will do; slow near the Pareto "
              "set, and it favours the task with the smallest gradient.",
          .paper = "Désidéri, C. R. Acad. Sci. 2012; Sener, Koltun, NeurIPS 2018, arXiv 1810.04650",
          .method_class = MethodClass::kGram,
          .laws = kCommonLaws | kNonConflicting | kSimplex | kSingleTaskIdentity |
                  kIdenticalRowsIdentity | kDuplicateInvariant,
          .make = &make_mgda};
}

}  // namespace detente::balance

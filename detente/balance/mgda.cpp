// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/min_norm.h>
#include <detente/balance/internal/unit_gram.h>
#include <detente/balance/method_info.h>
#include <detente/balance/mgda.h>
#include <detente/core/error.h>

#include <algorithm>
#include <cmath>

namespace detente::balance {
namespace {

using Normalizer = MgdaOptions::Normalizer;

bool mgda_needs_losses(Normalizer normalizer) {
  return normalizer == Normalizer::kLoss || normalizer == Normalizer::kLossPlus;
}

class Mgda final : public Method {
 public:
  Mgda() = default;
  explicit Mgda(const MgdaOptions& options) : options_(options) {}

  const char* name() const override { return "mgda"; }
  MethodClass method_class() const override {
    return mgda_needs_losses(options_.normalizer) ? MethodClass::kGramLoss : MethodClass::kGram;
  }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }

 protected:
  void compute(const Problem& problem, Result& result) override {
    const std::size_t k = problem.tasks;
    unit_.assign(problem.gram);
    if (unit_.size() < k) return stationary(problem, result);

    for (std::size_t i = 0; i < k; ++i) {
      const bool unit_length =
          options_.normalizer == Normalizer::kL2 || options_.normalizer == Normalizer::kLossPlus;
      if (unit_length) unit_.norm[i] = 1.0;
      if (!mgda_needs_losses(options_.normalizer)) continue;
      DETENTE_CHECK(problem.losses[i] > 0,
                    ErrorCode::kNumeric,
                    "[balance::mgda] normalizer '{}' divides by the losses; expected all > 0, got "
                    "{} for task {}. Use normalizer l2 or none.",
                    options_.normalizer == Normalizer::kLoss ? "loss" : "loss+",
                    problem.losses[i],
                    i < problem.names.size() ? problem.names[i] : std::to_string(i));
      unit_.norm[i] /= problem.losses[i];
    }
    // Only the ratios of the norms matter.
    const double largest = *std::max_element(unit_.norm.begin(), unit_.norm.end());
    for (double& n : unit_.norm) n /= largest;

    result.iterations = solver_.solve(unit_, result.weights);
    certify(result);
  }

 private:
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
    const std::size_t k = unit_.size();
    double value = 0;
    double size = 0;
    for (std::size_t i = 0; i < k; ++i) {
      for (std::size_t j = 0; j < k; ++j) {
        const double term =
            unit_.norm[i] * unit_.c(i, j) * unit_.norm[j] * result.weights[i] * result.weights[j];
        value += term;
        size += std::abs(term);
      }
    }
    result.certificate = internal::shortfall(unit_, result.weights, value);
    result.stop =
        result.certificate <= kTolerance ? StopReason::kConverged : StopReason::kMaxIterations;
    if (k > 1 && value <= kStationary * size) {
      result.message = "Pareto-stationary: no direction improves every task.";
    }
  }

  static constexpr double kTolerance = 1e-9;
  static constexpr double kStationary = 1e-13;  // of the sum's terms: what double can cancel to

  MgdaOptions options_;
  internal::UnitGram unit_;
  internal::MinNorm solver_;
};

}  // namespace

void MgdaOptions::describe(FieldVisitor& visitor) {
  visitor.choice("normalizer",
                 normalizer,
                 {{"none", Normalizer::kNone},
                  {"l2", Normalizer::kL2},
                  {"loss", Normalizer::kLoss},
                  {"loss+", Normalizer::kLossPlus}},
                 "Divide each gradient by its norm (l2), its loss (loss) or both (loss+) before "
                 "solving; the weights apply to the gradients as they are.");
}

Result mgda(MatrixView gram, const MgdaOptions& options, std::span<const double> losses) {
  Mgda method(options);
  return solve_once(method, {.tasks = gram.rows, .gram = gram, .losses = losses});
}

std::unique_ptr<Method> make_mgda() { return std::make_unique<Mgda>(); }

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

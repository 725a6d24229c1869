// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/least_norm.h>
#include <detente/balance/method_info.h>
#include <detente/balance/mgda.h>

namespace detente::balance {
namespace {

class Mgda final : public Method {
 public:
  Mgda() = default;
  explicit Mgda(const MgdaOptions& options) : options_(options) {}

  const char* name() const override { return "mgda"; }
  MethodClass method_class() const override {
    return internal::LeastNorm::needs_losses(options_) ? MethodClass::kGramLoss
                                                       : MethodClass::kGram;
  }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }

 protected:
  void compute(const Problem& problem, Result& result) override {
    solver_.solve(problem, options_, name(), result);
  }

 private:
  MgdaOptions options_;
  internal::LeastNorm solver_;
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
  Mgda method(options);
  validate_fields([&](FieldVisitor& v) { method.describe(v); }, "[balance::mgda]");
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

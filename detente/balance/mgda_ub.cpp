// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/least_norm.h>
#include <detente/balance/method_info.h>
#include <detente/balance/mgda_ub.h>

namespace detente::balance {
namespace {

class MgdaUb final : public Method {
 public:
  const char* name() const override { return "mgda_ub"; }
  MethodClass method_class() const override {
    return internal::LeastNorm::needs_losses(options_) ? MethodClass::kGramLoss
                                                       : MethodClass::kGram;
  }
  bool at_features() const override { return true; }
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

std::unique_ptr<Method> make_mgda_ub() { return std::make_unique<MgdaUb>(); }

MethodInfo mgda_ub_info() {
  return {.name = "mgda_ub",
          .title = "Multiple-gradient descent, upper bound",
          .summary =
              "mgda on the gradients at the shared representation: one pass through the "
              "trunk instead of k.",
          .when =
              "As mgda, when its k passes through a large shared trunk cost too much; the "
              "guarantee to harm no task is lost.",
          .paper = "Sener, Koltun, NeurIPS 2018, arXiv 1810.04650",
          .method_class = MethodClass::kGram,
          .laws = kCommonLaws | kNonConflicting | kSimplex | kSingleTaskIdentity |
                  kIdenticalRowsIdentity | kDuplicateInvariant,
          .make = &make_mgda_ub};
}

}  // namespace detente::balance

// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/constant.h>
#include <detente/balance/internal/checks.h>
#include <detente/balance/method_info.h>

namespace detente::balance {
namespace {

class Constant final : public Method {
 public:
  const char* name() const override { return "constant"; }
  MethodClass method_class() const override { return MethodClass::kLoss; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }
  bool uses_losses() const override { return false; }

 protected:
  void compute(const Problem& problem, Result& result) override {
    internal::check_per_task(options_.weights.size(), problem, name(), "weights");
    for (std::size_t i = 0; i < problem.tasks; ++i) {
      result.weights[i] = internal::per_task(options_.weights, problem, i, 1.0);
    }
  }

 private:
  ConstantOptions options_;
};

}  // namespace

void ConstantOptions::describe(FieldVisitor& visitor) {
  visitor.numbers("weights",
                  weights,
                  {.min = 0, .max_open = true},
                  "One weight per task, in the order of the tasks; empty: all 1.");
}

std::unique_ptr<Method> make_constant() { return std::make_unique<Constant>(); }

MethodInfo constant_info() {
  return {.name = "constant",
          .title = "Constant weights",
          .summary = "Every loss has a weight of your choice.",
          .when =
              "When you know the weights, or search for them; with one weight 1 and the rest 0 it "
              "is single-task training, the yardstick for everything else.",
          .paper = "Folklore",
          .method_class = MethodClass::kLoss,
          .laws = kCommonLaws | kSingleTaskIdentity | kZeroRowIgnored,
          .make = &make_constant};
}

}  // namespace detente::balance

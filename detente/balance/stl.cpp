// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/checks.h>
#include <detente/balance/method_info.h>
#include <detente/balance/stl.h>

namespace detente::balance {
namespace {

class Stl final : public Method {
 public:
  const char* name() const override { return "stl"; }
  MethodClass method_class() const override { return MethodClass::kLoss; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }
  bool uses_losses() const override { return false; }

 protected:
  void compute(const Problem& problem, Result& result) override {
    const std::size_t task = internal::chosen_task(options_.task, problem, "stl");
    bool present = false;
    for (std::size_t i = 0; i < problem.tasks; ++i) {
      const bool chosen = problem.id(i) == task;
      result.weights[i] = chosen ? 1.0 : 0.0;
      present = present || chosen;
    }
    if (present) return;
    result.stop = StopReason::kDegenerate;
    result.message = "The task to train is absent; all weights are zero.";
  }

 private:
  StlOptions options_;
};

}  // namespace

void StlOptions::describe(FieldVisitor& visitor) {
  visitor.integer("task", task, {.min = 0}, "The task to train, counted from 0.");
}

std::unique_ptr<Method> make_stl() { return std::make_unique<Stl>(); }

MethodInfo stl_info() {
  return {.name = "stl",
          .title = "Single-task learning",
          .summary = "One task is trained, the others do not count.",
          .when =
              "As the yardstick for each task: what training together gains or loses is measured "
              "against it.",
          .paper = "Folklore",
          .method_class = MethodClass::kLoss,
          .laws = kScaleInvariant | kMeanWhenAligned | kDeterministic | kSimplex |
                  kSingleTaskIdentity | kIdenticalRowsIdentity | kDuplicateInvariant,
          .make = &make_stl};
}

}  // namespace detente::balance

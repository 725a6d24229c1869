// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/ew.h>
#include <detente/balance/method_info.h>

#include <algorithm>

namespace detente::balance {
namespace {

class Ew final : public Method {
 public:
  const char* name() const override { return "ew"; }
  MethodClass method_class() const override { return MethodClass::kLoss; }
  bool uses_losses() const override { return false; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }

 protected:
  void compute(const Problem& problem, Result& result) override {
    const double w =
        options_.scale == EwOptions::Scale::kSum ? 1.0 : 1.0 / static_cast<double>(problem.tasks);
    std::fill(result.weights.begin(), result.weights.end(), w);
  }

 private:
  EwOptions options_;
};

}  // namespace

void EwOptions::describe(FieldVisitor& visitor) {
  visitor.choice("scale",
                 scale,
                 {{"sum", Scale::kSum}, {"mean", Scale::kMean}},
                 "sum: w = 1 per task; mean: w = 1/k.");
}

std::unique_ptr<Method> make_ew() { return std::make_unique<Ew>(); }

MethodInfo ew_info() {
  return {.name = "ew",
          .title = "Equal weighting",
          .summary = "Every loss counts the same.",
          .when = "The baseline; tune it first. Right when gradients agree and have similar norms.",
          .paper = "Folklore; see Kurin et al., NeurIPS 2022, arXiv 2201.04122",
          .method_class = MethodClass::kLoss,
          .laws = kCommonLaws | kSimplex | kSingleTaskIdentity | kIdenticalRowsIdentity |
                  kZeroRowIgnored,
          .make = &make_ew};
}

}  // namespace detente::balance

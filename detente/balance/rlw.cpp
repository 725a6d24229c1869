// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/checks.h>
#include <detente/balance/internal/softmax.h>
#include <detente/balance/method_info.h>
#include <detente/balance/rlw.h>

namespace detente::balance {
namespace {

class Rlw final : public Method {
 public:
  const char* name() const override { return "rlw"; }
  MethodClass method_class() const override { return MethodClass::kLoss; }
  bool uses_losses() const override { return false; }

 protected:
  void compute(const Problem& problem, Result& result) override {
    internal::draw_softmax(internal::require_rng(problem, name()), result.weights);
  }
};

}  // namespace

std::unique_ptr<Method> make_rlw() { return std::make_unique<Rlw>(); }

MethodInfo rlw_info() {
  return {
      .name = "rlw",
      .title = "Random loss weighting",
      .summary = "Weights drawn anew at every step, equal on average.",
      .when =
          "As a control: what a method gains over this is more than noise in the weights gives.",
      .paper = "Lin, Ye, Zhang, Tsang, TMLR 2022, arXiv 2111.10603",
      .method_class = MethodClass::kLoss,
      .laws = kScaleInvariant | kMeanWhenAligned | kSimplex | kSingleTaskIdentity |
              kIdenticalRowsIdentity,
      .make = &make_rlw};
}

}  // namespace detente::balance

// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/checks.h>
#include <detente/balance/internal/softmax.h>
#include <detente/balance/method_info.h>
#include <detente/balance/rgw.h>

namespace detente::balance {
namespace {

class Rgw final : public Method {
 public:
  const char* name() const override { return "rgw"; }
  MethodClass method_class() const override { return MethodClass::kGram; }

 protected:
  void compute(const Problem& problem, Result& result) override {
    internal::draw_softmax(internal::require_rng(problem, name()), result.weights);
  }
};

}  // namespace

std::unique_ptr<Method> make_rgw() { return std::make_unique<Rgw>(); }

MethodInfo rgw_info() {
  return {.name = "rgw",
          .title = "Random gradient weighting",
          .summary = "The weights of rlw, applied to the tasks' gradients.",
          .when =
              "As the control for methods that balance gradients: same cost and same treatment of "
              "the tasks' own parameters, no thought. Otherwise rlw, which costs one backward "
              "pass.",
          .paper = "Lin, Ye, Zhang, Tsang, TMLR 2022, arXiv 2111.10603",
          .method_class = MethodClass::kGram,
          .laws = kScaleInvariant | kMeanWhenAligned | kSimplex | kSingleTaskIdentity |
                  kIdenticalRowsIdentity,
          .make = &make_rgw};
}

}  // namespace detente::balance

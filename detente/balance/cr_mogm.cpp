// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/cr_mogm.h>
#include <detente/balance/internal/inner.h>
#include <detente/balance/internal/state.h>
#include <detente/balance/method_info.h>
#include <detente/balance/mgda.h>
#include <detente/core/error.h>

#include <string>

namespace detente::balance {
namespace {

const std::string kInCrMogm = "[balance::cr_mogm]";  // made once: solve() allocates nothing

class CrMogm final : public internal::Wrapper {
 public:
  CrMogm() : Wrapper("mgda", make_mgda()) {}

  const char* name() const override { return "cr_mogm"; }
  void describe(FieldVisitor& visitor) override {
    options_.describe(visitor);
    inner_.describe(visitor);
  }

  Json state() const override {
    if (weights_.empty()) return nullptr;
    return Json{{"inner", inner_.state()}, {"weights", weights_}, {"seen", seen_}};
  }
  void load_state(const Json& state) override {
    std::vector<double> weights, seen;
    if (state.is_null()) {
      inner_->load_state(nullptr);
    } else {
      weights = internal::state_numbers(state, "weights", kInCrMogm);
      seen = internal::state_numbers(state, "seen", kInCrMogm);
      DETENTE_CHECK(weights.size() == seen.size() && state.contains("inner"),
                    ErrorCode::kData,
                    "{} the saved state has lists of different sizes or no inner state.",
                    kInCrMogm);
      inner_.load_state(state.at("inner"), kInCrMogm);
    }
    weights_ = std::move(weights);
    seen_ = std::move(seen);
  }

 protected:
  void compute(const Problem& problem, Result& result) override {
    if (weights_.empty()) {
      weights_.assign(problem.total(), 0.0);
      seen_.assign(problem.total(), 0.0);
    }
    internal::check_tasks(weights_.size(), problem.total(), kInCrMogm);
    inner_->solve(problem, result);
    for (std::size_t i = 0; i < problem.tasks; ++i) {
      double& w = weights_[problem.id(i)];
      double& seen = seen_[problem.id(i)];
      const double a = seen != 0.0 ? options_.a : 0.0;
      w = a * w + (1.0 - a) * result.weights[i];
      seen = 1.0;
      result.weights[i] = w;
    }
  }

 private:
  CrMogmOptions options_;
  std::vector<double> weights_;  // of all tasks; empty before the first step
  std::vector<double> seen_;     // 1 for tasks that have a weight
};

}  // namespace

void CrMogmOptions::describe(FieldVisitor& visitor) {
  visitor.number("a",
                 a,
                 {.min = 0, .max = 1},
                 "Share of the weights of the step before; 0 is the inner method itself, 1 keeps "
                 "its first weights.");
}

std::unique_ptr<Method> make_cr_mogm() { return std::make_unique<CrMogm>(); }

MethodInfo cr_mogm_info() {
  return {.name = "cr_mogm",
          .title = "Smoothed weights of another method",
          .summary = "The weights of another method, averaged over the steps.",
          .when =
              "Around any method whose weights jump from batch to batch, with small batches above "
              "all; not where the weights must be exact at every step.",
          .paper = "Zhou et al., NeurIPS 2022",
          .method_class = MethodClass::kGram,
          .stateful = true,
          .laws = kCommonLaws | kSimplex | kSingleTaskIdentity | kIdenticalRowsIdentity,
          .make = &make_cr_mogm};
}

}  // namespace detente::balance

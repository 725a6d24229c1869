// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/simplex.h>
#include <detente/balance/method_info.h>
#include <detente/balance/modo.h>

#include <algorithm>
#include <cmath>
#include <string>

namespace detente::balance {
namespace {

const std::string kInModo = "[balance::modo]";  // made once: solve() allocates nothing

class Modo final : public Method {
 public:
  const char* name() const override { return "modo"; }
  MethodClass method_class() const override { return MethodClass::kCross; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }

  Json state() const override { return kept_.state(); }
  void load_state(const Json& state) override { kept_.load_state(state, kInModo); }

 protected:
  void compute(const Problem& problem, Result& result) override {
    const std::size_t k = problem.tasks;
    const MatrixView& a = problem.cross.empty() ? problem.gram : problem.cross;
    const double unit = options_.normalize ? mean_norm(problem) : 1.0;
    kept_.take(problem, kInModo, w_);
    next_.resize(k);
    for (std::size_t i = 0; i < k; ++i) {
      double inner = options_.rho * w_[i];
      for (std::size_t j = 0; j < k; ++j) inner += a(i, j) / unit / unit * w_[j];
      next_[i] = w_[i] - options_.gamma * inner;
    }
    internal::project_on_simplex(next_, scratch_);
    kept_.put(problem, next_);
    std::copy(next_.begin(), next_.end(), result.weights.begin());
    result.iterations = 1;
  }

 private:
  // 1 when all gradients are zero: any unit will do then.
  static double mean_norm(const Problem& problem) {
    double norm = 0;
    for (std::size_t i = 0; i < problem.tasks; ++i) norm += std::sqrt(problem.gram(i, i));
    return norm > 0 ? norm / static_cast<double>(problem.tasks) : 1.0;
  }

  ModoOptions options_;
  internal::SimplexWeights kept_;
  std::vector<double> w_, next_, scratch_;
};

}  // namespace

void ModoOptions::describe(FieldVisitor& visitor) {
  visitor.number("gamma",
                 gamma,
                 {.min = 0, .max_open = true},
                 "Learning rate of the weights, in units of 1/gradient² unless normalize is set.");
  visitor.number("rho",
                 rho,
                 {.min = 0, .max_open = true},
                 "Pull of the weights towards uniform ones, in units of gradient² unless normalize "
                 "is set.");
  visitor.flag("normalize",
               normalize,
               "Measure gradients in units of their mean norm, so that gamma and rho do not depend "
               "on the scale of the losses.");
}

std::unique_ptr<Method> make_modo() { return std::make_unique<Modo>(); }

MethodInfo modo_info() {
  return {.name = "modo",
          .title = "Multi-objective gradient with double sampling",
          .summary =
              "mgda's weights followed by one small step per step of training, on "
              "independent batches.",
          .when =
              "When mgda is wanted but its weights jump from batch to batch; cheaper and simpler "
              "than sdmgrad, without its pull towards the mean gradient.",
          .paper = "Chen, Fernando, Ying, Chen, NeurIPS 2023, arXiv 2305.20057",
          .method_class = MethodClass::kCross,
          .stateful = true,
          .laws = kPermutation | kMeanWhenAligned | kUniformWhenOrthonormal | kDeterministic |
                  kSimplex | kSingleTaskIdentity | kIdenticalRowsIdentity,
          .make = &make_modo};
}

}  // namespace detente::balance

// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/simplex.h>
#include <detente/balance/method_info.h>
#include <detente/balance/sdmgrad.h>

#include <algorithm>
#include <cmath>
#include <string>

namespace detente::balance {
namespace {

const std::string kInSdmgrad = "[balance::sdmgrad]";  // made once: solve() allocates nothing

class Sdmgrad final : public Method {
 public:
  const char* name() const override { return "sdmgrad"; }
  MethodClass method_class() const override { return MethodClass::kCross; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }

  Json state() const override { return kept_.state(); }
  void load_state(const Json& state) override { kept_.load_state(state, kInSdmgrad); }

 protected:
  void compute(const Problem& problem, Result& result) override {
    const std::size_t k = problem.tasks;
    const double mean = options_.lambda / static_cast<double>(k);
    kept_.take(problem, kInSdmgrad, w_);
    scale(problem);
    v_.assign(k, 0.0);
    for (std::int64_t step = 0; step < options_.steps; ++step) {
      for (std::size_t i = 0; i < k; ++i) {
        v_[i] *= options_.momentum;
        for (std::size_t j = 0; j < k; ++j) v_[i] += a_[i * k + j] * (w_[j] + mean);
      }
      for (std::size_t i = 0; i < k; ++i) w_[i] -= options_.lr * v_[i];
      internal::project_on_simplex(w_, scratch_);
    }
    kept_.put(problem, w_);
    for (std::size_t i = 0; i < k; ++i) {
      result.weights[i] = (w_[i] + mean) / (1.0 + options_.lambda);
    }
    result.iterations = static_cast<int>(options_.steps);
  }

 private:
  // A in units of the gradients; zero when all gradients are.
  void scale(const Problem& problem) {
    const std::size_t k = problem.tasks;
    double largest = 0;
    for (std::size_t i = 0; i < k; ++i) largest = std::max(largest, problem.gram(i, i));
    const bool total = options_.unit == SdmgradOptions::Unit::kTotal;
    double sum = 0;
    for (std::size_t i = 0; i < k && largest > 0; ++i) {
      const double squared = problem.gram(i, i) / largest;
      sum += total ? squared : std::sqrt(squared) / static_cast<double>(k);
    }
    const double unit = total ? sum : sum * sum;
    const MatrixView& a = problem.cross.empty() ? problem.gram : problem.cross;
    a_.resize(k * k);
    for (std::size_t i = 0; i < k * k; ++i) a_[i] = sum > 0 ? a.data[i] / largest / unit : 0.0;
  }

  SdmgradOptions options_;
  internal::SimplexWeights kept_;
  std::vector<double> w_, v_, a_, scratch_;
};

}  // namespace

void SdmgradOptions::describe(FieldVisitor& visitor) {
  if (visit_preset(visitor,
                   preset,
                   "paper: steps that follow the problem; official_code: lr 10 for gradients of "
                   "mean norm 1, as in the authors' code.")) {
    lr = preset == Preset::kPaper ? 1.0 : 10.0;
    unit = preset == Preset::kPaper ? Unit::kTotal : Unit::kMeanNorm;
  }
  visitor.number("lambda",
                 lambda,
                 {.min = 0, .max_open = true},
                 "Pull towards the mean gradient: 0 is mgda, large values are the mean.");
  visitor.integer(
      "steps", steps, {.min = 1, .max = 1e6}, "Steps of the weights in each step of training.");
  visitor.number("lr",
                 lr,
                 {.min = 0, .min_open = true, .max_open = true},
                 "Learning rate of the weights, for gradients measured in unit.");
  visitor.number("momentum",
                 momentum,
                 {.min = 0, .max = 1, .max_open = true},
                 "Momentum of the weights' steps.");
  visitor.choice("unit",
                 unit,
                 {{"total", Unit::kTotal}, {"mean_norm", Unit::kMeanNorm}},
                 "What gradients are measured in: total (root of the sum of their squared norms; "
                 "lr up to 2 cannot overshoot) or mean_norm.");
}

std::unique_ptr<Method> make_sdmgrad() { return std::make_unique<Sdmgrad>(); }

MethodInfo sdmgrad_info() {
  return {
      .name = "sdmgrad",
      .title = "Stochastic direction-oriented multi-objective gradient",
      .summary =
          "mgda pulled towards the mean gradient, its weights following by steps on "
          "independent batches.",
      .when =
          "When mgda's even progress is wanted without giving up the mean loss, and batches are "
          "small enough that weights solved on one of them are noise.",
      .paper = "Xiao, Ban, Ji, NeurIPS 2023, arXiv 2305.18409",
      .method_class = MethodClass::kCross,
      .stateful = true,
      .laws = kCommonLaws | kSimplex | kSingleTaskIdentity | kIdenticalRowsIdentity,
      .make = &make_sdmgrad};
}

}  // namespace detente::balance

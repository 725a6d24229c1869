// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/gradnorm.h>
#include <detente/balance/internal/adam.h>
#include <detente/balance/internal/checks.h>
#include <detente/balance/internal/state.h>
#include <detente/balance/method_info.h>
#include <detente/core/error.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace detente::balance {
namespace {

constexpr const char* kInGradnorm = "[balance::gradnorm]";

class Gradnorm final : public Method {
 public:
  const char* name() const override { return "gradnorm"; }
  MethodClass method_class() const override { return MethodClass::kGramLoss; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }

  Json state() const override {
    if (first_.empty()) return nullptr;
    Json state = adam_.state();
    state["first_losses"] = first_;
    return state;
  }
  void load_state(const Json& state) override {
    adam_.load_state(state, kInGradnorm);
    first_.clear();
    if (state.is_null()) return;
    first_ = internal::state_numbers(state, "first_losses", kInGradnorm);
    DETENTE_CHECK(first_.size() == adam_.values().size(),
                  ErrorCode::kData,
                  "{} the saved state has vectors of different sizes.",
                  kInGradnorm);
  }

 protected:
  void compute(const Problem& problem, Result& result) override {
    const std::size_t k = problem.tasks;
    internal::check_per_task(options_.initial_losses.size(), problem, name(), "initial_losses");
    internal::check_non_negative_losses(problem, name(), "it compares each with its first");
    const bool raw = options_.parametrisation == GradnormOptions::Parametrisation::kRaw;
    adam_.start(problem.total(), raw ? 1.0 : 0.0, kInGradnorm);
    remember_first(problem);

    norm_.resize(k);
    double largest = 0;
    for (std::size_t i = 0; i < k; ++i) {
      norm_[i] = std::sqrt(problem.gram(i, i));
      largest = std::max(largest, norm_[i]);
    }
    fill_weights(problem, result.weights);
    if (!(largest > 0)) {
      internal::report_all_zero(result);
      return;
    }
    for (double& n : norm_) n /= largest;
    slope(problem, result.weights);
    if (!raw) {  // ∂/∂s of w = k softmax(s)
      double inner = 0;
      for (std::size_t i = 0; i < k; ++i) inner += gradient_[i] * result.weights[i];
      const auto total = static_cast<double>(problem.total());
      for (std::size_t i = 0; i < k; ++i) {
        gradient_[i] = result.weights[i] * (gradient_[i] - inner / total);
      }
    }
    adam_.step(problem, gradient_, options_.lr);
    if (raw) rescale(problem);
  }

 private:
  void remember_first(const Problem& problem) {
    first_.resize(problem.total(), 0.0);  // 0: not seen yet
    for (std::size_t i = 0; i < problem.tasks; ++i) {
      double& first = first_[problem.id(i)];
      if (first > 0) continue;
      first = options_.initial_losses.empty() ? problem.losses[i]
                                              : options_.initial_losses[problem.id(i)];
      DETENTE_CHECK(first > 0,
                    ErrorCode::kNumeric,
                    "{} the first loss of task {} is {}; expected a number > 0, because later ones "
                    "are divided by it. Set initial_losses.",
                    kInGradnorm,
                    internal::task_name(problem, i),
                    first);
    }
  }

  void fill_weights(const Problem& problem, std::vector<double>& w) const {
    const std::vector<double>& values = adam_.values();
    if (options_.parametrisation == GradnormOptions::Parametrisation::kRaw) {
      for (std::size_t i = 0; i < problem.tasks; ++i) w[i] = values[problem.id(i)];
      return;
    }
    const double top = *std::max_element(values.begin(), values.end());
    double sum = 0;
    for (const double s : values) sum += std::exp(s - top);
    for (std::size_t i = 0; i < problem.tasks; ++i) {
      w[i] = static_cast<double>(values.size()) * std::exp(values[problem.id(i)] - top) / sum;
    }
  }

  // ∂/∂w of Σ|G_i/Ḡ − r_i^α| with Ḡ and r held constant, to gradient_.
  void slope(const Problem& problem, const std::vector<double>& w) {
    const std::size_t k = problem.tasks;
    const auto count = static_cast<double>(k);
    double mean = 0;  // Ḡ
    double rate = 0;  // mean of L̃
    for (std::size_t i = 0; i < k; ++i) {
      mean += w[i] * norm_[i] / count;
      rate += problem.losses[i] / first_[problem.id(i)] / count;
    }
    gradient_.assign(k, 0.0);
    if (!(mean > 0)) return;
    for (std::size_t i = 0; i < k; ++i) {
      const double relative = rate > 0 ? problem.losses[i] / first_[problem.id(i)] / rate : 1.0;
      const double wanted = std::pow(relative, options_.alpha);
      const double length = w[i] * norm_[i] / mean;
      const double rounding =
          16 * count * std::numeric_limits<double>::epsilon() * std::max(length, wanted);
      if (std::abs(length - wanted) <= rounding) continue;  // reached
      gradient_[i] = (length > wanted ? 1.0 : -1.0) * norm_[i] / mean;
    }
  }

  // The sum over the tasks present becomes what it was before the step: all start at 1, so the sum
  // over all tasks stays their number.
  void rescale(const Problem& problem) {
    double others = 0;
    for (const double value : adam_.values()) others += value;
    double sum = 0;
    for (std::size_t i = 0; i < problem.tasks; ++i) {
      const std::size_t id = problem.id(i);
      others -= adam_.values()[id];
      adam_.set(id, std::max(adam_.values()[id], options_.floor));
      sum += adam_.values()[id];
    }
    const double wanted = static_cast<double>(problem.total()) - others;
    for (std::size_t i = 0; i < problem.tasks; ++i) {
      adam_.set(problem.id(i), adam_.values()[problem.id(i)] * wanted / sum);
    }
  }

  GradnormOptions options_;
  internal::Adam adam_;
  std::vector<double> first_;  // L(0)
  std::vector<double> norm_, gradient_;
};

}  // namespace

void GradnormOptions::describe(FieldVisitor& visitor) {
  visitor.number("alpha",
                 alpha,
                 {.min = 0, .max = 10},
                 "How strongly tasks that lag are helped; 0 makes all weighted gradients equally "
                 "long.");
  visitor.number("lr", lr, {.min = 0}, "Learning rate of the weights (Adam).");
  visitor.choice("parametrisation",
                 parametrisation,
                 {{"raw", Parametrisation::kRaw}, {"softmax", Parametrisation::kSoftmax}},
                 "What is trained: the weights (raw) or s with w = k softmax(s).");
  visitor.number("floor",
                 floor,
                 {.min = 0, .max = 1, .min_open = true},
                 "Least weight before the rescaling to sum k (raw).");
  visitor.numbers("initial_losses",
                  initial_losses,
                  {.min = 0, .min_open = true, .max_open = true},
                  "Losses that later ones are compared with, one per task; empty: the first seen.");
}

std::unique_ptr<Method> make_gradnorm() { return std::make_unique<Gradnorm>(); }

MethodInfo gradnorm_info() {
  return {.name = "gradnorm",
          .title = "GradNorm",
          .summary =
              "Trained weights that keep the weighted gradients' lengths in step with how fast "
              "each task learns.",
          .when =
              "Gradients or learning speeds of different size, without conflict in direction; "
              "slow weights with a learning rate of their own.",
          .paper = "Chen et al., ICML 2018, arXiv 1711.02257",
          .method_class = MethodClass::kGramLoss,
          .stateful = true,
          .laws = kCommonLaws | kSingleTaskIdentity,
          .make = &make_gradnorm};
}

}  // namespace detente::balance

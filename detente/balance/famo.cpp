// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/famo.h>
#include <detente/balance/internal/adam.h>
#include <detente/balance/internal/checks.h>
#include <detente/balance/internal/softmax.h>
#include <detente/balance/method_info.h>
#include <detente/core/error.h>

#include <cmath>

namespace detente::balance {
namespace {

class Famo final : public Method {
 public:
  const char* name() const override { return "famo"; }
  MethodClass method_class() const override { return MethodClass::kLoss; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }
  bool wants_losses_after_step() const override { return true; }

  Json state() const override { return logits_.state(); }
  void load_state(const Json& state) override {
    logits_.load_state(state, "[balance::famo]");
    ids_.clear();
  }

 protected:
  void compute(const Problem& problem, Result& result) override {
    const std::size_t k = problem.tasks;
    internal::check_per_task(options_.lower_bounds.size(), problem, name(), "lower_bounds");
    logits_.start(problem.total(), 0.0, "[balance::famo]");
    ids_.clear();
    log_before_.resize(k);
    z_.resize(k);
    for (std::size_t i = 0; i < k; ++i) {
      log_before_[i] = log_distance(problem, i);
      z_[i] = logits_.values()[problem.id(i)];
      result.weights[i] = z_[i] - log_before_[i];
    }
    internal::softmax(z_);
    internal::softmax(result.weights);
    for (std::size_t i = 0; i < k; ++i) ids_.push_back(problem.id(i));
  }

  void compute_after_step(const Problem& problem) override {
    bool same = problem.tasks == ids_.size();
    for (std::size_t i = 0; same && i < problem.tasks; ++i) same = problem.id(i) == ids_[i];
    DETENTE_CHECK(same,
                  ErrorCode::kInvalidArgument,
                  "[balance::famo] the losses after a step must be those of the {} tasks of the "
                  "solve() before it; got {} tasks.",
                  ids_.size(),
                  problem.tasks);
    gradient_.resize(problem.tasks);
    double mean = 0;
    for (std::size_t i = 0; i < problem.tasks; ++i) {
      gradient_[i] = log_before_[i] - log_distance(problem, i);
      mean += z_[i] * gradient_[i];
    }
    for (std::size_t i = 0; i < problem.tasks; ++i) {
      const double logit = logits_.values()[ids_[i]];
      gradient_[i] = z_[i] * (gradient_[i] - mean) + options_.decay * logit;
    }
    if (options_.optimizer == FamoOptions::Optimizer::kAdam) {
      logits_.step(problem, gradient_, options_.lr);
    } else {
      for (std::size_t i = 0; i < problem.tasks; ++i) {
        logits_.set(ids_[i], logits_.values()[ids_[i]] - options_.lr * gradient_[i]);
      }
    }
    ids_.clear();
  }

 private:
  double log_distance(const Problem& problem, std::size_t i) const {
    const double bound = internal::per_task(options_.lower_bounds, problem, i, 0.0);
    const double distance = problem.losses[i] - bound + options_.epsilon;
    DETENTE_CHECK(distance > 0,
                  ErrorCode::kNumeric,
                  "[balance::famo] the loss of task {} is {}; expected a number > {}, its lower "
                  "bound less epsilon, because the method needs the logarithm of the difference. "
                  "Lower the bound in option 'lower_bounds'.",
                  internal::task_name(problem, i),
                  problem.losses[i],
                  bound - options_.epsilon);
    return std::log(distance);
  }

  FamoOptions options_;
  internal::Adam logits_;         // ξ
  std::vector<std::size_t> ids_;  // tasks of the step whose new losses are to come
  std::vector<double> log_before_, z_, gradient_;
};

}  // namespace

void FamoOptions::describe(FieldVisitor& visitor) {
  if (visit_preset(visitor, preset, "The published formulas, or what the authors' code does.")) {
    const bool code = preset == Preset::kOfficialCode;
    optimizer = code ? Optimizer::kAdam : Optimizer::kPlain;
    decay = code ? 0.01 : 0.001;
    epsilon = code ? 1e-8 : 0.0;
  }
  visitor.choice("optimizer",
                 optimizer,
                 {{"plain", Optimizer::kPlain}, {"adam", Optimizer::kAdam}},
                 "How the logits move: against their gradient, or by Adam.");
  visitor.number("lr", lr, {.min = 0, .max_open = true}, "Learning rate of the logits.");
  visitor.number("decay",
                 decay,
                 {.min = 0, .max_open = true},
                 "Pull of the logits to 0, added to their gradient.");
  visitor.number("epsilon",
                 epsilon,
                 {.min = 0, .max_open = true},
                 "Added to every loss before the logarithm.");
  visitor.numbers("lower_bounds",
                  lower_bounds,
                  {.min_open = true, .max_open = true},
                  "A bound below each loss; empty: 0.");
}

std::unique_ptr<Method> make_famo() { return std::make_unique<Famo>(); }

MethodInfo famo_info() {
  return {.name = "famo",
          .title = "Fast adaptive multitask optimisation",
          .summary = "The task whose loss falls slowest gets more weight, learned step by step.",
          .when =
              "Many tasks and positive losses in any units: even progress at the price of one "
              "forward pass more per step, whatever the number of tasks.",
          .paper = "Liu, Feng, Stone, Liu, NeurIPS 2023, arXiv 2306.03792",
          .method_class = MethodClass::kLoss,
          .stateful = true,
          .laws = kCommonLaws | kSimplex | kSingleTaskIdentity | kIdenticalRowsIdentity |
                  kZeroRowIgnored,
          .make = &make_famo};
}

}  // namespace detente::balance

// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/checks.h>
#include <detente/balance/internal/softmax.h>
#include <detente/balance/internal/state.h>
#include <detente/balance/method_info.h>
#include <detente/balance/stch.h>

#include <cmath>

namespace detente::balance {
namespace {

constexpr const char* kInStch = "[balance::stch]";

class Stch final : public Method {
 public:
  const char* name() const override { return "stch"; }
  MethodClass method_class() const override { return MethodClass::kLoss; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }

  Json state() const override {
    if (steps_.empty()) return nullptr;
    return Json{{"steps", steps_}, {"means", means_}};
  }
  void load_state(const Json& state) override {
    internal::load_lists(state, {{"steps", &steps_}, {"means", &means_}}, kInStch);
  }

 protected:
  void compute(const Problem& problem, Result& result) override {
    internal::check_per_task(options_.preference.size(), problem, name(), "preference");
    internal::check_per_task(options_.ideal.size(), problem, name(), "ideal");
    const double total = internal::total_preference(options_.preference, problem, name(), result);
    const bool log_ratio = options_.losses == StchOptions::Losses::kLogRatio;
    if (log_ratio && !count(problem)) {
      for (std::size_t i = 0; i < problem.tasks; ++i) result.weights[i] = 1.0 / problem.losses[i];
      result.message = "The reference losses are being measured.";
      return;
    }
    if (total == 0) return;
    const bool tasks = options_.scale == StchOptions::Scale::kTasks;
    const double scale = tasks ? static_cast<double>(problem.tasks) : 1.0;
    shares_.resize(problem.tasks);
    for (std::size_t i = 0; i < problem.tasks; ++i) {
      shares_[i] = internal::per_task(options_.preference, problem, i, 1.0) / total * scale;
      const double loss =
          log_ratio ? std::log(problem.losses[i] / means_[problem.id(i)]) : problem.losses[i];
      const double ideal = internal::per_task(options_.ideal, problem, i, 0.0);
      result.weights[i] = shares_[i] * (loss - ideal) / options_.mu;
    }
    internal::softmax(result.weights);
    for (std::size_t i = 0; i < problem.tasks; ++i) {
      result.weights[i] *= shares_[i] * scale;
      if (log_ratio) result.weights[i] /= problem.losses[i];
    }
  }

 private:
  // Whether every task present had its reference before this step; adds the step to the others'.
  bool count(const Problem& problem) {
    internal::check_positive_losses(problem, name(), "its logarithm is needed");
    if (steps_.empty()) {
      steps_.assign(problem.total(), 0.0);
      means_.assign(problem.total(), 0.0);
    }
    internal::check_tasks(steps_.size(), problem.total(), kInStch);
    const auto first = static_cast<double>(options_.warmup);
    const double last = first + static_cast<double>(options_.reference);
    bool ready = true;
    for (std::size_t i = 0; i < problem.tasks; ++i) {
      double& steps = steps_[problem.id(i)];
      if (steps >= last) continue;
      ready = false;
      if (++steps <= first) continue;
      double& mean = means_[problem.id(i)];
      mean += (problem.losses[i] - mean) / (steps - first);
    }
    return ready;
  }

  StchOptions options_;
  std::vector<double> steps_;  // per task, absent ones included, up to warmup + reference
  std::vector<double> means_;  // the references
  std::vector<double> shares_;
};

}  // namespace

void StchOptions::describe(FieldVisitor& visitor) {
  if (visit_preset(visitor, preset, "The published formula, or what the authors' code does.")) {
    const bool code = preset == Preset::kOfficialCode;
    mu = 1.0;
    losses = code ? Losses::kLogRatio : Losses::kRaw;
    scale = code ? Scale::kTasks : Scale::kOne;
  }
  visitor.number("mu",
                 mu,
                 {.min = 0, .min_open = true, .max_open = true},
                 "Smoothing; small values follow the worst task alone.");
  visitor.numbers("preference",
                  preference,
                  {.min = 0, .max_open = true},
                  "Importance of each task, normalised; empty: equal.");
  visitor.numbers("ideal",
                  ideal,
                  {.min_open = true, .max_open = true},
                  "The best loss (or log-ratio) each task can reach; empty: 0.");
  visitor.choice("losses",
                 losses,
                 {{"raw", Losses::kRaw}, {"log_ratio", Losses::kLogRatio}},
                 "What is compared: the losses, or the logarithms of their ratios to reference "
                 "losses measured at the start.");
  visitor.choice(
      "scale",
      scale,
      {{"one", Scale::kOne}, {"tasks", Scale::kTasks}},
      "one: preferences sum to 1; tasks: they sum to k, and so is the objective scaled.");
  visitor.integer("warmup",
                  warmup,
                  {.min = 0},
                  "With log_ratio: steps of a task before its reference is measured.");
  visitor.integer("reference",
                  reference,
                  {.min = 1},
                  "With log_ratio: steps its reference loss is averaged over.");
}

std::unique_ptr<Method> make_stch() { return std::make_unique<Stch>(); }

MethodInfo stch_info() {
  return {.name = "stch",
          .title = "Smooth Tchebycheff scalarisation",
          .summary = "The gradient of a smooth maximum of the weighted losses.",
          .when =
              "When the worst task counts and the losses are on comparable scales; reaches Pareto "
              "points no weighted sum can.",
          .paper = "Lin et al., ICML 2024, arXiv 2402.19078",
          .method_class = MethodClass::kLoss,
          .laws = kCommonLaws | kSingleTaskIdentity,
          .make = &make_stch};
}

}  // namespace detente::balance

// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/go4align.h>
#include <detente/balance/internal/checks.h>
#include <detente/balance/internal/line_means.h>
#include <detente/balance/internal/softmax.h>
#include <detente/balance/internal/state.h>
#include <detente/balance/method_info.h>

#include <algorithm>
#include <cmath>

namespace detente::balance {
namespace {

constexpr const char* kInGo4align = "[balance::go4align]";

class Go4align final : public Method {
 public:
  const char* name() const override { return "go4align"; }
  MethodClass method_class() const override { return MethodClass::kLoss; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }

  Json state() const override {
    if (log_scores_.empty()) return nullptr;
    return Json{{"log_scores", log_scores_}};
  }
  void load_state(const Json& state) override {
    internal::load_lists(state, {{"log_scores", &log_scores_}}, kInGo4align);
  }

 protected:
  void compute(const Problem& problem, Result& result) override {
    internal::check_positive_losses(problem, name(), "losses are divided by it");
    if (log_scores_.empty()) log_scores_.assign(problem.total(), 0.0);
    internal::check_tasks(log_scores_.size(), problem.total(), kInGo4align);
    for (std::size_t i = 0; i < problem.tasks; ++i) {
      double& score = log_scores_[problem.id(i)];
      score -= options_.lr * problem.losses[i];
      result.weights[i] = score;
    }
    internal::softmax(result.weights);
    double total = 0;
    for (const double loss : problem.losses) total += loss;
    for (std::size_t i = 0; i < problem.tasks; ++i) result.weights[i] *= total / problem.losses[i];
    groups_.replace(result.weights, static_cast<std::size_t>(options_.groups));
  }

 private:
  Go4alignOptions options_;
  std::vector<double> log_scores_;  // log q but for a constant
  internal::LineMeans groups_;
};

}  // namespace

void Go4alignOptions::describe(FieldVisitor& visitor) {
  visitor.integer("groups", groups, {.min = 1}, "Number of groups; at least k: one per task.");
  visitor.number("lr",
                 lr,
                 {.min = 0, .max_open = true},
                 "How fast the scores of tasks with a large loss fall, per unit of loss.");
}

std::unique_ptr<Method> make_go4align() { return std::make_unique<Go4align>(); }

MethodInfo go4align_info() {
  return {.name = "go4align",
          .title = "GO4Align",
          .summary = "Tasks are grouped by how they are doing; a group shares one weight.",
          .when =
              "Many tasks with positive losses in different units, of which several behave alike, "
              "when one backward pass per step is all you can afford.",
          .paper = "Shen et al., NeurIPS 2024, arXiv 2404.06486",
          .method_class = MethodClass::kLoss,
          .stateful = true,
          .laws = kCommonLaws | kSingleTaskIdentity,
          .make = &make_go4align};
}

}  // namespace detente::balance

// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/checks.h>
#include <detente/balance/internal/state.h>
#include <detente/balance/metabalance.h>
#include <detente/balance/method_info.h>

#include <cmath>

namespace detente::balance {
namespace {

constexpr const char* kInMetabalance = "[balance::metabalance]";

class Metabalance final : public Method {
 public:
  Metabalance() = default;
  explicit Metabalance(const MetabalanceOptions& options) : options_(options) {}

  const char* name() const override { return "metabalance"; }
  MethodClass method_class() const override { return MethodClass::kGram; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }

  Json state() const override {
    if (average_.empty()) return nullptr;
    return Json{{"average", average_}, {"seen", seen_}};
  }
  void load_state(const Json& state) override {
    internal::load_lists(state, {{"average", &average_}, {"seen", &seen_}}, kInMetabalance);
  }

 protected:
  void compute(const Problem& problem, Result& result) override {
    const std::size_t main = internal::chosen_task(options_.task, problem, "metabalance");
    if (average_.empty()) {
      average_.assign(problem.total(), 0.0);
      seen_.assign(problem.total(), 0.0);
    }
    internal::check_tasks(average_.size(), problem.total(), kInMetabalance);
    for (std::size_t i = 0; i < problem.tasks; ++i) {
      const double norm = std::sqrt(problem.gram(i, i));
      double& average = average_[problem.id(i)];
      double& seen = seen_[problem.id(i)];
      average = options_.beta * average + (1.0 - options_.beta) * norm;
      seen = options_.beta * seen + (1.0 - options_.beta);
    }
    for (std::size_t i = 0; i < problem.tasks; ++i) {
      const std::size_t id = problem.id(i);
      result.weights[i] = id == main || !(seen_[main] > 0) ? 1.0 : weight(length(id), length(main));
    }
  }

 private:
  // Without the bias towards the zero start, which a task that joins later has for longer.
  double length(std::size_t id) const { return average_[id] / seen_[id]; }

  double weight(double own, double wanted) const {
    using When = MetabalanceOptions::When;
    if (!(own > 0)) return 1.0;
    if (options_.when == When::kLonger && own <= wanted) return 1.0;
    if (options_.when == When::kShorter && own >= wanted) return 1.0;
    return (1.0 - options_.relax) + options_.relax * (wanted / own);
  }

  MetabalanceOptions options_;
  std::vector<double> average_;  // by id
  std::vector<double> seen_;     // 1 − β^n after n steps
};

}  // namespace

void MetabalanceOptions::describe(FieldVisitor& visitor) {
  visitor.integer("task", task, {.min = 0}, "The main task, counted from 0.");
  visitor.number("relax",
                 relax,
                 {.min = 0, .max = 1},
                 "How near the gradients come to the main one's length; 0 changes nothing.");
  visitor.number("beta",
                 beta,
                 {.min = 0, .max = 1, .max_open = true},
                 "Decay of the running averages of the lengths; 0 takes those of this step.");
  visitor.choice("when",
                 when,
                 {{"both", When::kBoth}, {"longer", When::kLonger}, {"shorter", When::kShorter}},
                 "Scale all gradients, or only those longer, or shorter, than the main one.");
}

Result metabalance(MatrixView gram, const MetabalanceOptions& options) {
  Metabalance method(options);
  validate_fields([&](FieldVisitor& v) { method.describe(v); }, kInMetabalance);
  return solve_once(method, {.tasks = gram.rows, .gram = gram});
}

std::unique_ptr<Method> make_metabalance() { return std::make_unique<Metabalance>(); }

MethodInfo metabalance_info() {
  return {.name = "metabalance",
          .title = "MetaBalance",
          .summary = "Auxiliary gradients are brought near the length of the main task's gradient.",
          .when =
              "When one task counts and the others are there to help it; conflicts in direction "
              "stay as they are.",
          .paper = "He et al., WWW 2022, arXiv 2203.06801",
          .method_class = MethodClass::kGram,
          .stateful = true,
          .laws = kScaleInvariant | kMeanWhenAligned | kUniformWhenOrthonormal | kDeterministic |
                  kSingleTaskIdentity | kZeroRowIgnored,
          .make = &make_metabalance};
}

}  // namespace detente::balance

// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/excess_mtl.h>
#include <detente/balance/internal/coordinates.h>
#include <detente/balance/internal/kept_rows.h>
#include <detente/balance/method_info.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace detente::balance {
namespace {

using internal::Block;

// exp(700) is about the largest number there is: a larger step could not change more.
constexpr double kLargestStep = 700.0;

class ExcessMtl final : public internal::KeptRowsMethod<ExcessMtl> {
 public:
  ExcessMtl() : KeptRowsMethod({&roots_}) {}

  const char* name() const override { return "excess_mtl"; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }

  Json state() const override {
    if (tasks_ == 0) return nullptr;
    return Json{{"tasks", tasks_}, {"logits", logit_}, {"baselines", baseline_}, {"steps", steps_}};
  }
  void load_state(const Json& state) override {
    begin(0);
    roots_.clear();
    if (state.is_null()) return;
    const std::size_t tasks = internal::state_size(state, "tasks", name());
    logit_ = internal::state_list(state, "logits", tasks, false, name());
    baseline_ = internal::state_list(state, "baselines", tasks, false, name());
    steps_ = internal::state_list(state, "steps", tasks, true, name());
    tasks_ = tasks;
  }

  template <class T>
  void combine(const Problem& problem, const Rows<T>& rows, std::span<T> d, Result& result) {
    roots_.fit<T>(problem.total(), rows.cols, tasks_ != 0, name());
    if (tasks_ == 0) begin(problem.total());
    const double before = log_sum(problem);
    for (std::size_t i = 0; i < problem.tasks; ++i) {
      const std::size_t id = problem.id(i);
      move_weight(id, excess_of(rows[i], roots_.row<T>(id)));
    }
    const double after = log_sum(problem);
    const double factor =
        options_.scale == ExcessMtlOptions::Scale::kSum ? static_cast<double>(problem.tasks) : 1.0;
    for (std::size_t i = 0; i < problem.tasks; ++i) {
      const std::size_t id = problem.id(i);
      result.weights[i] = factor * std::exp(logit_[id] - after);
      logit_[id] += before - after;
    }
    internal::weighted_sum(pointers_.of(rows), result.weights, d);
  }

 private:
  void begin(std::size_t tasks) {
    tasks_ = tasks;
    logit_.assign(tasks, tasks == 0 ? 0.0 : -std::log(static_cast<double>(tasks)));
    baseline_.assign(tasks, 0.0);
    steps_.assign(tasks, 0.0);
  }

  // Adds g² to S and returns e. Roots instead of S itself keep the range of float32 from
  // underflowing where the gradients do not.
  template <class T>
  double excess_of(std::span<const T> row, std::span<T> roots) const {
    double excess = 0;
    Block term;
    internal::for_blocks(row.size(), [&](std::size_t begin, std::size_t n) {
      const T* g_of = row.data() + begin;
      T* root_of = roots.data() + begin;
      for (std::size_t c = 0; c < n; ++c) {
        const auto g = static_cast<double>(g_of[c]);
        const auto root = static_cast<double>(root_of[c]);
        const double squared = root * root + g * g;
        const double size = std::sqrt(squared + options_.epsilon);
        root_of[c] = static_cast<T>(std::sqrt(squared));
        // The bound stands for 0/0 = 0: size is 0 only where g is.
        term[c] = g * g / std::max(size, std::numeric_limits<double>::min());
      }
      excess += internal::total(term.data(), n);
    });
    return excess;
  }

  void move_weight(std::size_t id, double excess) {
    if (steps_[id] < static_cast<double>(options_.warmup)) {
      if (!(excess > 0)) return;
      steps_[id] += 1;
      baseline_[id] += (excess - baseline_[id]) / steps_[id];
    } else {
      logit_[id] += std::min(options_.eta * (excess / baseline_[id]), kLargestStep);
    }
  }

  // log Σ w over the tasks present.
  double log_sum(const Problem& problem) const {
    double largest = logit_[problem.id(0)];
    for (std::size_t i = 1; i < problem.tasks; ++i) {
      largest = std::max(largest, logit_[problem.id(i)]);
    }
    double sum = 0;
    for (std::size_t i = 0; i < problem.tasks; ++i) {
      sum += std::exp(logit_[problem.id(i)] - largest);
    }
    return largest + std::log(sum);
  }

  ExcessMtlOptions options_;
  std::vector<double> logit_;     // log w of all tasks
  std::vector<double> baseline_;  // e⁰, mean of the warm-up so far
  std::vector<double> steps_;     // of the warm-up
  internal::KeptRows roots_{"roots"};
  internal::RowPointers pointers_;
};

}  // namespace

void ExcessMtlOptions::describe(FieldVisitor& visitor) {
  if (visit_preset(visitor,
                   preset,
                   "official_code sets scale = sum and epsilon = 1e-7; options given beside it "
                   "win.")) {
    const bool code = preset == Preset::kOfficialCode;
    scale = code ? Scale::kSum : Scale::kMean;
    epsilon = code ? 1e-7 : 0.0;
  }
  visitor.number("eta", eta, {.min = 0, .max_open = true}, "Step of the weights; 0 keeps them.");
  visitor.integer("warmup",
                  warmup,
                  {.min = 1},
                  "Steps of a task whose mean excess risk is its yardstick; its weight rests "
                  "meanwhile. The paper takes three epochs.");
  visitor.choice("scale",
                 scale,
                 {{"sum", Scale::kSum}, {"mean", Scale::kMean}},
                 "sum: the weights add to the number of tasks; mean: to 1.");
  visitor.number("epsilon",
                 epsilon,
                 {.min = 0, .max_open = true},
                 "Added to the sums of squares under the root.");
}

std::unique_ptr<Method> make_excess_mtl() { return std::make_unique<ExcessMtl>(); }

MethodInfo excess_mtl_info() {
  return {.name = "excess_mtl",
          .title = "Multi-task learning with excess risks",
          .summary = "Tasks far from their own optimum gain weight; noisy labels do not count.",
          .when =
              "Some tasks have noisy labels, so that their losses stay large however well they are "
              "learnt.",
          .paper = "He et al., ICML 2024, arXiv 2402.02009",
          .method_class = MethodClass::kCoordinates,
          .stateful = true,
          .laws = kPermutation | kScaleInvariant | kMeanWhenAligned | kDeterministic | kSimplex |
                  kSingleTaskIdentity | kIdenticalRowsIdentity | kZeroRowIgnored,
          .make = &make_excess_mtl};
}

}  // namespace detente::balance

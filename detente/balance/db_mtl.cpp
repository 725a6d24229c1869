// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/db_mtl.h>
#include <detente/balance/internal/checks.h>
#include <detente/balance/internal/coordinates.h>
#include <detente/balance/internal/kept_rows.h>
#include <detente/balance/method_info.h>
#include <detente/core/error.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace detente::balance {
namespace {

// Subnormal squares have lost their digits and count as zero.
double root_of(double squared) {
  return squared < std::numeric_limits<double>::min() ? 0.0 : std::sqrt(squared);
}

class DbMtl final : public internal::KeptRowsMethod<DbMtl> {
 public:
  explicit DbMtl(const DbMtlOptions& options = {})
      : KeptRowsMethod({&average_}), options_(options) {}

  const char* name() const override { return "db_mtl"; }
  MethodClass method_class() const override {
    return options_.beta > 0 ? MethodClass::kCoordinates : MethodClass::kGramLoss;
  }
  bool uses_losses() const override { return true; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }

  Json state() const override {
    if (tasks_ == 0) return nullptr;
    return Json{{"tasks", tasks_}, {"steps", steps_}};
  }
  void load_state(const Json& state) override {
    tasks_ = 0;
    steps_.clear();
    average_.clear();
    if (state.is_null()) return;
    const std::size_t tasks = internal::state_size(state, "tasks", name());
    steps_ = internal::state_list(state, "steps", tasks, true, name());
    tasks_ = tasks;
  }

  template <class T>
  void combine(const Problem& problem, const Rows<T>& rows, std::span<T> d, Result& result) {
    const std::size_t k = problem.tasks;
    shift_losses(problem);
    average_.fit<T>(problem.total(), rows.cols, tasks_ != 0, name());
    if (tasks_ == 0) {
      tasks_ = problem.total();
      steps_.assign(tasks_, 0.0);
    }
    auto& averages = pointers_.of<T>();
    averages.clear();
    norm_.resize(k);
    for (std::size_t i = 0; i < k; ++i) {
      const std::size_t id = problem.id(i);
      steps_[id] += 1;
      const auto average = average_.row<T>(id);
      follow(rows[i], i, options_.beta / std::pow(steps_[id], options_.beta_decay), average);
      norm_[i] = root_of(internal::inner(average.data(), average.data(), average.size()));
      averages.push_back(average.data());
    }
    equalise(result);
    internal::weighted_sum<T>(averages, alpha_, d);
  }

 protected:
  void compute(const Problem& problem, Result& result) override {
    shift_losses(problem);
    norm_.resize(problem.tasks);
    for (std::size_t i = 0; i < problem.tasks; ++i) {
      norm_[i] = root_of(problem.gram(i, i)) / shifted_[i];
    }
    equalise(result);
  }

 private:
  void shift_losses(const Problem& problem) {
    shifted_.resize(problem.tasks);
    for (std::size_t i = 0; i < problem.tasks; ++i) {
      shifted_[i] = problem.losses[i] + options_.epsilon;
      DETENTE_CHECK(shifted_[i] > 0,
                    ErrorCode::kNumeric,
                    "[balance::db_mtl] the method takes the logarithm of the losses; expected a "
                    "loss > {}, got {} for task {}. Add a constant to that loss, or set epsilon.",
                    -options_.epsilon,
                    problem.losses[i],
                    internal::task_name(problem, i));
    }
  }

  template <class T>
  void follow(std::span<const T> row, std::size_t i, double beta, std::span<T> average) const {
    const double factor = (1.0 - beta) / shifted_[i];
    for (std::size_t c = 0; c < row.size(); ++c) {
      average[c] = static_cast<T>(beta * static_cast<double>(average[c]) +
                                  factor * static_cast<double>(row[c]));
    }
  }

  // α and the weights from the norms of ĥ.
  void equalise(Result& result) {
    const double longest = *std::max_element(norm_.begin(), norm_.end());
    alpha_.resize(norm_.size());
    for (std::size_t i = 0; i < norm_.size(); ++i) {
      alpha_[i] = norm_[i] > 0 ? longest / norm_[i] : 0.0;
      result.weights[i] = alpha_[i] / shifted_[i];
    }
    if (!(longest > 0)) internal::report_all_zero(result);
  }

  DbMtlOptions options_;
  std::vector<double> steps_;  // of each task
  internal::KeptRows average_{"average"};
  internal::RowPointers pointers_;
  std::vector<double> shifted_;  // L + ε
  std::vector<double> norm_;     // ‖ĥ‖
  std::vector<double> alpha_;
};

}  // namespace

void DbMtlOptions::describe(FieldVisitor& visitor) {
  visitor.number("beta",
                 beta,
                 {.min = 0, .max = 1, .max_open = true},
                 "How slowly the averages follow the gradients; 0 keeps none and needs the Gram "
                 "matrix only.");
  visitor.number("beta_decay",
                 beta_decay,
                 {.min = 0, .max = 10},
                 "beta is divided by step to this power; 0 keeps it.");
  visitor.number("epsilon",
                 epsilon,
                 {.min = 0, .max_open = true},
                 "Added to the losses inside the logarithm.");
}

Result db_mtl(MatrixView gram, std::span<const double> losses) {
  DbMtl method(DbMtlOptions{.beta = 0.0});
  return solve_once(method, {.tasks = gram.rows, .gram = gram, .losses = losses});
}

std::unique_ptr<Method> make_db_mtl() { return std::make_unique<DbMtl>(); }

MethodInfo db_mtl_info() {
  return {.name = "db_mtl",
          .title = "Dual-balancing multi-task learning",
          .summary = "Averaged gradients of the log losses, all as long as the longest.",
          .when =
              "Losses and gradients of very different size and tasks that matter equally. beta = 0 "
              "saves the copy of all gradients.",
          .paper = "Lin et al., Neural Networks 2025, arXiv 2308.12029",
          .method_class = MethodClass::kCoordinates,
          .stateful = true,
          .laws = kPermutation | kScaleInvariant | kMeanWhenAligned | kUniformWhenOrthonormal |
                  kDeterministic | kZeroRowIgnored | kRotation,
          .make = &make_db_mtl};
}

}  // namespace detente::balance

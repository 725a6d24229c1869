// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/checks.h>
#include <detente/balance/internal/min_norm.h>
#include <detente/balance/internal/state.h>
#include <detente/balance/internal/unit_gram.h>
#include <detente/balance/method_info.h>
#include <detente/balance/pareto_mtl.h>
#include <detente/core/error.h>

#include <algorithm>
#include <cmath>
#include <string>

namespace detente::balance {
namespace {

const std::string kInParetoMtl = "[balance::pareto_mtl]";  // made once: solve() allocates nothing

class ParetoMtl final : public Method {
 public:
  const char* name() const override { return "pareto_mtl"; }
  MethodClass method_class() const override { return MethodClass::kGramLoss; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }

  Json state() const override {
    if (tasks_ == 0) return nullptr;
    return Json{{"tasks", tasks_}, {"steps", steps_}, {"found", found_ ? 1 : 0}};
  }
  void load_state(const Json& state) override {
    std::int64_t tasks = 0, steps = 0;
    bool found = false;
    if (!state.is_null()) {
      tasks = internal::state_integer(state, "tasks", kInParetoMtl);
      steps = internal::state_integer(state, "steps", kInParetoMtl);
      found = internal::state_integer(state, "found", kInParetoMtl) != 0;
      DETENTE_CHECK(tasks >= 1 && steps >= 0,
                    ErrorCode::kData,
                    "{} the saved state has {} tasks and {} steps; expected >= 1 and >= 0.",
                    kInParetoMtl,
                    tasks,
                    steps);
    }
    tasks_ = tasks;
    steps_ = steps;
    found_ = found;
  }

 protected:
  void compute(const Problem& problem, Result& result) override {
    check(problem);
    if (tasks_ == 0) tasks_ = static_cast<std::int64_t>(problem.total());
    internal::check_tasks(static_cast<std::size_t>(tasks_), problem.total(), kInParetoMtl);
    make_room(problem);
    const std::size_t k = problem.tasks;
    find_active(problem);
    if (active() == 0) found_ = true;
    bool region = !found_ && steps_ < options_.region_steps;
    if (region) ++steps_;
    fill_gram(problem);
    if (region) {
      extend(k, k);
      region = unit_.size() > 0;  // constraints nobody can move: on to phase 2
    }
    if (!region) {
      extend(k, 0);
      const auto gradients = static_cast<std::size_t>(std::count_if(
          unit_.rows.begin(), unit_.rows.end(), [&](std::size_t row) { return row < k; }));
      if (gradients < k) return stationary(k, gradients, result);
    }
    result.iterations = solver_.solve(unit_, hull_);
    fold(k, region ? k : 0, result.weights);
    certify(result);
    rescale(result.weights);
  }

 private:
  void check(const Problem& problem) const {
    internal::check_per_task(options_.preference.size(), problem, name(), "preference");
    internal::check_non_negative_losses(problem, name(), "directions divide the positive orthant");
    DETENTE_CHECK(
        options_.others.size() % problem.total() == 0,
        ErrorCode::kInvalidArgument,
        "{} option 'others' holds directions of one number per task, one after the other; "
        "expected a multiple of {} numbers, got {}.",
        kInParetoMtl,
        problem.total(),
        options_.others.size());
  }

  std::size_t directions(const Problem& problem) const {
    return options_.others.empty() ? problem.total() : options_.others.size() / problem.total();
  }

  // One solve of the largest size that can come up, so that later ones allocate nothing.
  void make_room(const Problem& problem) {
    const std::size_t n = problem.tasks + directions(problem);
    if (n <= room_) return;
    room_ = n;
    rows_.reserve(n * problem.tasks);
    product_.reserve(n * problem.tasks);
    extended_.assign(n * n, 0.0);
    for (std::size_t i = 0; i < n; ++i) extended_[i * n + i] = 1.0;
    unit_.assign({extended_.data(), n, n});
    solver_.solve(unit_, hull_);
    unit_.assign(problem.gram);
  }

  // rows_: the identity, then u_j − u for the active constraints, each of k numbers.
  void find_active(const Problem& problem) {
    const std::size_t k = problem.tasks;
    rows_.assign(k * k, 0.0);
    for (std::size_t i = 0; i < k; ++i) rows_[i * k + i] = 1.0;
    chosen_.resize(k);
    for (std::size_t i = 0; i < k; ++i) {
      chosen_[i] = internal::per_task(options_.preference, problem, i, 1.0);
    }
    if (!to_unit_length(chosen_)) return;  // nothing is preferred among the tasks present
    other_.resize(k);
    for (std::size_t j = 0; j < directions(problem); ++j) {
      for (std::size_t i = 0; i < k; ++i) {
        const std::size_t id = problem.id(i);
        other_[i] = options_.others.empty() ? (id == j ? 1.0 : 0.0)
                                            : options_.others[j * problem.total() + id];
      }
      if (!to_unit_length(other_)) continue;
      double value = 0;
      double size = 0;
      for (std::size_t i = 0; i < k; ++i) {
        other_[i] -= chosen_[i];
        value += other_[i] * problem.losses[i];
        size += (std::abs(other_[i]) + 2 * chosen_[i]) * problem.losses[i];
      }
      if (value > 4 * static_cast<double>(k) * internal::kEpsilon * size) {
        rows_.insert(rows_.end(), other_.begin(), other_.end());
      }
    }
  }
  std::size_t active() const {
    return chosen_.empty() ? 0 : rows_.size() / chosen_.size() - chosen_.size();
  }

  static bool to_unit_length(std::vector<double>& u) {
    const double largest = *std::max_element(u.begin(), u.end());
    if (!(largest > 0)) return false;
    double squared = 0;
    for (double& x : u) {
      x /= largest;
      squared += x * x;
    }
    for (double& x : u) x /= std::sqrt(squared);
    return true;
  }

  // In units of the largest gradient norm.
  void fill_gram(const Problem& problem) {
    const std::size_t k = problem.tasks;
    unit_.assign(problem.gram);
    gram_.assign(k * k, 0.0);
    for (std::size_t i = 0; i < unit_.size(); ++i) {
      for (std::size_t j = 0; j < unit_.size(); ++j) {
        gram_[unit_.rows[i] * k + unit_.rows[j]] = unit_.norm[i] * unit_.c(i, j) * unit_.norm[j];
      }
    }
  }

  // unit_ becomes the rows from `first` on: M gram Mᵀ with the rows M of rows_.
  void extend(std::size_t k, std::size_t first) {
    const std::size_t n = rows_.size() / k - first;
    const double* m = &rows_[first * k];
    product_.assign(n * k, 0.0);
    for (std::size_t r = 0; r < n; ++r) {
      for (std::size_t i = 0; i < k; ++i) {
        if (m[r * k + i] == 0.0) continue;
        for (std::size_t j = 0; j < k; ++j) {
          product_[r * k + j] += m[r * k + i] * gram_[i * k + j];
        }
      }
    }
    extended_.assign(n * n, 0.0);
    for (std::size_t r = 0; r < n; ++r) {
      for (std::size_t s = 0; s <= r; ++s) {
        double value = 0;
        for (std::size_t j = 0; j < k; ++j) value += product_[r * k + j] * m[s * k + j];
        extended_[r * n + s] = value;
        extended_[s * n + r] = value;
      }
      // What rounding leaves of a row that vanishes has no direction.
      double size = 0;
      for (std::size_t i = 0; i < k; ++i) {
        size += std::abs(m[r * k + i]) * std::sqrt(gram_[i * k + i]);
      }
      if (extended_[r * n + r] <= 16 * static_cast<double>(k) * internal::kEpsilon * size * size) {
        extended_[r * n + r] = 0.0;
      }
    }
    unit_.assign({extended_.data(), n, n});
  }

  void fold(std::size_t k, std::size_t first, std::vector<double>& w) const {
    std::fill(w.begin(), w.end(), 0.0);
    for (std::size_t r = 0; r < unit_.size(); ++r) {
      const double* row = &rows_[(first + unit_.rows[r]) * k];
      for (std::size_t i = 0; i < k; ++i) w[i] += hull_[r] * row[i];
    }
  }

  void certify(Result& result) const {
    const auto squared = internal::squared_length(unit_, hull_);
    internal::certify(internal::shortfall(unit_, hull_, squared.value), result);
    if (unit_.size() > 1 && squared.value <= internal::kStationary * squared.size) {
      result.message = "Stationary: no direction improves every task and active constraint.";
    }
  }

  // Some gradient is zero, so no direction improves that task.
  void stationary(std::size_t k, std::size_t gradients, Result& result) const {
    const double share = 1.0 / static_cast<double>(k - gradients);
    std::fill(result.weights.begin(), result.weights.end(), share);
    for (const std::size_t row : unit_.rows) {
      if (row < k) result.weights[row] = 0.0;
    }
    result.stop = StopReason::kDegenerate;
    result.certificate = 0.0;
    result.message =
        "A task's gradient is zero, so the least-norm direction is zero; leave that task out of "
        "this step to go on.";
  }

  void rescale(std::vector<double>& w) const {
    if (options_.rescale == ParetoMtlOptions::Rescale::kNone) return;
    double sum = 0;
    for (const double x : w) sum += std::abs(x);
    if (sum == 0.0) return;
    for (double& x : w) x *= static_cast<double>(w.size()) / sum;
  }

  ParetoMtlOptions options_;
  std::int64_t tasks_ = 0;  // 0 before the first step
  std::int64_t steps_ = 0;  // of phase 1
  bool found_ = false;      // phase 1 is over
  internal::UnitGram unit_;
  internal::MinNorm solver_;
  std::vector<double> gram_, rows_, product_, extended_, chosen_, other_, hull_;
  std::size_t room_ = 0;
};

}  // namespace

void ParetoMtlOptions::describe(FieldVisitor& visitor) {
  visitor.numbers("preference",
                  preference,
                  {.min = 0, .max_open = true},
                  "One number per task: the direction of the loss vector to stay near. Empty: "
                  "equal losses.");
  visitor.numbers("others",
                  others,
                  {.min = 0, .max_open = true},
                  "The other directions that share the front with it, one after the other, one "
                  "number per task each. Empty: one per task, that task alone.");
  visitor.integer("region_steps",
                  region_steps,
                  {.min = 0, .max = 1e9},
                  "At most so many first steps only move the losses towards the preference, until "
                  "they are nearer to it than to the others; 0: none.");
  visitor.choice("rescale",
                 rescale,
                 {{"none", Rescale::kNone}, {"sum_k", Rescale::kSumK}},
                 "sum_k: scale the weights so that their absolute values sum to k, as the authors' "
                 "code does.");
}

std::unique_ptr<Method> make_pareto_mtl() { return std::make_unique<ParetoMtl>(); }

MethodInfo pareto_mtl_info() {
  return {.name = "pareto_mtl",
          .title = "Pareto multi-task learning",
          .summary = "mgda kept in the part of the loss space nearest to a chosen direction.",
          .when =
              "When several models are to spread over the Pareto front, one run per direction; for "
              "an exact ratio of losses take epo.",
          .paper = "Lin, Zhen, Li, Zhang, Kwong, NeurIPS 2019, arXiv 1912.12854",
          .method_class = MethodClass::kGramLoss,
          .stateful = true,
          .laws = kPermutation | kScaleInvariant | kUniformWhenOrthonormal | kDeterministic |
                  kSingleTaskIdentity,
          .make = &make_pareto_mtl};
}

}  // namespace detente::balance

// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/epo.h>
#include <detente/balance/internal/checks.h>
#include <detente/balance/internal/linear_program.h>
#include <detente/balance/internal/min_norm.h>
#include <detente/balance/internal/unit_gram.h>
#include <detente/balance/method_info.h>

#include <algorithm>
#include <cmath>

namespace detente::balance {
namespace {

class Epo final : public Method {
 public:
  Epo() = default;
  explicit Epo(const EpoOptions& options) : options_(options) {}

  const char* name() const override { return "epo"; }
  MethodClass method_class() const override { return MethodClass::kGramLoss; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }

 protected:
  void compute(const Problem& problem, Result& result) override {
    const std::size_t k = problem.tasks;
    internal::check_per_task(options_.preference.size(), problem, name(), "preference");
    internal::check_non_negative_losses(problem, name(), "its logarithm is taken");
    program_.reserve(k, k + 1);
    rows_.reserve((k + 1) * k);
    for (auto* list : {&sums_, &norm_, &size_, &beta_, &least_}) list->reserve(k);
    unit_.assign(problem.gram);
    if (unit_.size() == 0) {
      std::fill(result.weights.begin(), result.weights.end(), 1.0 / static_cast<double>(k));
      result.stop = StopReason::kDegenerate;
      result.message = "All gradients are zero; the weights are uniform.";
      return;
    }
    fill_gram(k);
    const double distance = anchor(problem);
    bool found = false;
    if (distance > options_.eps) {
      found = balance(k);
    } else {
      found = !options_.relax && dominate(k, /*on_ray=*/true);
      if (!found) found = dominate(k, /*on_ray=*/false);
    }
    result.iterations = program_.pivots();
    if (!found) return least_norm(result);
    std::copy(beta_.begin(), beta_.end(), result.weights.begin());
    internal::certify(program_.certificate(), result);
  }

 private:
  // In units of the largest gradient norm.
  void fill_gram(std::size_t k) {
    gram_.assign(k * k, 0.0);
    for (std::size_t i = 0; i < unit_.size(); ++i) {
      for (std::size_t j = 0; j < unit_.size(); ++j) {
        gram_[unit_.rows[i] * k + unit_.rows[j]] = unit_.norm[i] * unit_.c(i, j) * unit_.norm[j];
      }
    }
  }

  // Fills the weighted losses, and q with its rounding error; returns μ.
  double anchor(const Problem& problem) {
    const std::size_t k = problem.tasks;
    const double count = static_cast<double>(k);
    share_.resize(k);
    anchor_.resize(k);
    double largest_preference = 0;
    double largest_loss = 0;
    for (std::size_t i = 0; i < k; ++i) {
      const double r = internal::per_task(options_.preference, problem, i, 1.0);
      largest_preference = std::max(largest_preference, r);
      largest_loss = std::max(largest_loss, problem.losses[i]);
    }
    double sum = 0;
    for (std::size_t i = 0; i < k; ++i) {
      const double r = internal::per_task(options_.preference, problem, i, 1.0);
      share_[i] =
          largest_loss > 0 ? r / largest_preference * (problem.losses[i] / largest_loss) : 1.0;
      sum += share_[i];
    }
    double distance = 0;
    for (double& share : share_) {
      share /= sum;
      if (share > internal::kEpsilon) distance += share * std::log(count * share);
    }
    for (std::size_t i = 0; i < k; ++i) {
      const double r = internal::per_task(options_.preference, problem, i, 1.0);
      anchor_[i] = r / largest_preference *
                   (std::log(count * std::max(share_[i], internal::kEpsilon)) - distance);
    }
    q_.resize(k);
    for (std::size_t i = 0; i < k; ++i) {
      double value = 0;
      double size = 0;
      for (std::size_t j = 0; j < k; ++j) {
        const double term = gram_[i * k + j] * anchor_[j];
        value += term;
        size += std::abs(term);
      }
      q_[i] = std::abs(value) > count * internal::kEpsilon * size ? value : 0.0;
    }
    return distance;
  }

  void demand(std::size_t k, const double* row, double bound) {
    for (std::size_t j = 0; j < k; ++j) rows_.push_back(row[j] - bound);
  }

  bool balance(std::size_t k) {
    const double highest = *std::max_element(share_.begin(), share_.end());
    const bool any = std::any_of(q_.begin(), q_.end(), [](double q) { return q > 0.0; });
    rows_.clear();
    for (std::size_t i = 0; i < k; ++i) {
      const double* row = &gram_[i * k];
      if (!any || share_[i] >= highest * (1.0 - 16 * internal::kEpsilon)) {
        demand(k, row, 0.0);
      } else if (q_[i] <= 0.0) {
        demand(k, row, q_[i]);
      }
    }
    if (!program_.solve(q_, rows_)) return false;
    beta_.assign(program_.x().begin(), program_.x().end());
    return true;
  }

  // In γ_j = n_j β_j, whose numbers are of order one where those of β span the ratio of the norms.
  bool dominate(std::size_t k, bool on_ray) {
    rows_.assign(gram_.begin(), gram_.end());
    if (on_ray) demand(k, q_.data(), std::min(0.0, *std::max_element(q_.begin(), q_.end())));
    sums_.assign(k, 0.0);
    for (std::size_t i = 0; i < k; ++i) {
      for (std::size_t j = 0; j < k; ++j) sums_[j] += gram_[i * k + j];
    }
    const double smallest = *std::min_element(unit_.norm.begin(), unit_.norm.end());
    norm_.assign(k, smallest);
    for (std::size_t i = 0; i < unit_.size(); ++i) norm_[unit_.rows[i]] = unit_.norm[i];
    size_.resize(k);
    for (std::size_t j = 0; j < k; ++j) {
      sums_[j] /= norm_[j];
      size_[j] = smallest / norm_[j];
    }
    for (std::size_t i = 0; i < rows_.size(); ++i) rows_[i] /= norm_[i % k];
    if (!program_.solve(sums_, rows_, size_)) return false;
    beta_.resize(k);
    for (std::size_t j = 0; j < k; ++j) beta_[j] = program_.x()[j] * size_[j];
    return true;
  }

  // Only rounding leads here: the least-norm weights satisfy every program without the ray.
  void least_norm(Result& result) {
    std::fill(result.weights.begin(), result.weights.end(), 0.0);
    solver_.solve(unit_, least_);
    for (std::size_t i = 0; i < unit_.size(); ++i) result.weights[unit_.rows[i]] = least_[i];
    result.stop = StopReason::kMaxIterations;
    result.message = "The linear program was not solved; the weights are those of mgda.";
  }

  EpoOptions options_;
  internal::UnitGram unit_;
  internal::SimplexProgram program_;
  internal::MinNorm solver_;
  std::vector<double> gram_, share_, anchor_, q_, sums_, rows_, norm_, size_;
  std::vector<double> beta_, least_;
};

}  // namespace

void EpoOptions::describe(FieldVisitor& visitor) {
  visitor.numbers("preference",
                  preference,
                  {.min = 0, .min_open = true, .max_open = true},
                  "One number per task, the larger the smaller its loss shall become: the products "
                  "of preference and loss are made equal. Empty: all equal.");
  visitor.number("eps",
                 eps,
                 {.min = 0, .max_open = true},
                 "Distance of the weighted losses from equal ones (KL divergence) below which all "
                 "losses are lowered together.");
  visitor.flag("relax", relax, "Lower all losses together without regard to their ratios.");
}

Result epo(MatrixView gram, std::span<const double> losses, const EpoOptions& options) {
  Epo method(options);
  validate_fields([&](FieldVisitor& v) { method.describe(v); }, "[balance::epo]");
  return solve_once(method, {.tasks = gram.rows, .gram = gram, .losses = losses});
}

std::unique_ptr<Method> make_epo() { return std::make_unique<Epo>(); }

MethodInfo epo_info() {
  return {.name = "epo",
          .title = "Exact Pareto optimal search",
          .summary = "To the Pareto point at which preference times loss is equal for all tasks.",
          .when =
              "When the trade-off itself is prescribed as ratios of losses. Losses must be "
              "comparable in size or the preference must make them so.",
          .paper = "Mahapatra, Rajan, ICML 2020",
          .method_class = MethodClass::kGramLoss,
          .laws = kPermutation | kScaleInvariant | kMeanWhenAligned | kDeterministic | kSimplex |
                  kSingleTaskIdentity | kIdenticalRowsIdentity,
          .make = &make_epo};
}

}  // namespace detente::balance

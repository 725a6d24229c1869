// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/cagrad_fast.h>
#include <detente/balance/internal/checks.h>
#include <detente/balance/internal/conflict_averse.h>
#include <detente/balance/method_info.h>
#include <detente/core/error.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace detente::balance {
namespace {

class CagradFast final : public Method {
 public:
  CagradFast() = default;
  explicit CagradFast(const CagradFastOptions& options) : options_(options) {}

  const char* name() const override { return "cagrad_fast"; }
  MethodClass method_class() const override { return MethodClass::kGram; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }

  std::span<const Objective> draw_objectives(const Problem& problem) override {
    const std::size_t n = std::min(static_cast<std::size_t>(options_.n), problem.tasks);
    if (n == problem.tasks) return {};
    draw(problem, n);
    drawn_ = true;
    objectives_.resize(n);
    for (std::size_t a = 0; a < n; ++a) {
      objectives_[a].tasks.assign(order_.begin() + static_cast<std::ptrdiff_t>(first_[a]),
                                  order_.begin() + static_cast<std::ptrdiff_t>(first_[a + 1]));
      objectives_[a].factor = part_[a];
    }
    return objectives_;
  }

 protected:
  void compute(const Problem& problem, Result& result) override {
    const std::size_t k = problem.tasks;
    const std::size_t n = std::min(static_cast<std::size_t>(options_.n), k);
    DETENTE_CHECK(problem.objectives == 0 || (drawn_ && problem.objectives == n),
                  ErrorCode::kInvalidArgument,
                  "[balance::cagrad_fast] there is a Gram matrix of {} objectives; expected "
                  "draw_objectives() before it.",
                  problem.objectives);
    if (n == k) {
      shares_.assign(k, 1.0 / static_cast<double>(k));
      solver_.solve(problem, shares_, options_.c, result);
    } else {
      if (!drawn_) draw(problem, n);
      drawn_ = false;
      if (problem.objectives > 0) {
        gram_.assign(problem.gram.data, problem.gram.data + n * n);
      } else {
        group(problem.gram);
      }
      grouped_.weights.resize(n);
      grouped_.message.clear();
      grouped_.message.reserve(200);
      grouped_.iterations = 0;
      grouped_.stop = StopReason::kClosedForm;
      solver_.solve({.tasks = n, .gram = {gram_.data(), n, n}}, shares_, options_.c, grouped_);
      std::fill(result.weights.begin(), result.weights.end(), 0.0);
      for (std::size_t a = 0; a < n; ++a) {
        for (std::size_t i = first_[a]; i < first_[a + 1]; ++i) {
          result.weights[order_[i]] = grouped_.weights[a] * part_[a];
        }
      }
      result.stop = grouped_.stop;
      result.iterations = grouped_.iterations;
      result.certificate = grouped_.certificate;
      if (!grouped_.message.empty()) result.message = grouped_.message;
    }
    const double scale = rescale_factor(options_.rescale, options_.c);
    for (double& w : result.weights) w *= scale;
  }

 private:
  // Objective a is part_[a] times the sum of the gradients order_[first_[a]], ..., before
  // order_[first_[a + 1]].
  void draw(const Problem& problem, std::size_t n) {
    const std::size_t k = problem.tasks;
    order_.resize(k);
    std::iota(order_.begin(), order_.end(), std::size_t{0});
    if (n > 1 || options_.rest == CagradFastOptions::Rest::kSkipOne) {
      internal::require_rng(problem, name()).shuffle(order_);
    }
    first_.resize(n + 1);
    std::iota(first_.begin(), first_.end(), std::size_t{0});
    first_[n] = k;
    if (options_.rest == CagradFastOptions::Rest::kSkipOne) {
      std::rotate(order_.begin() + static_cast<std::ptrdiff_t>(n) - 1,
                  order_.begin() + static_cast<std::ptrdiff_t>(n),
                  order_.end());
      first_[n] = k - 1;
    }
    const auto rest = static_cast<double>(k - n + 1);
    part_.assign(n, 1.0);
    part_[n - 1] = 1.0 / rest;
    shares_.assign(n, 1.0 / static_cast<double>(k));
    shares_[n - 1] = rest / static_cast<double>(k);
  }

  void group(const MatrixView& gram) {
    const std::size_t n = part_.size();
    gram_.resize(n * n);
    for (std::size_t a = 0; a < n; ++a) {
      for (std::size_t b = 0; b <= a; ++b) {
        double sum = 0;
        for (std::size_t i = first_[a]; i < first_[a + 1]; ++i) {
          for (std::size_t j = first_[b]; j < first_[b + 1]; ++j) {
            sum += gram(order_[i], order_[j]);
          }
        }
        gram_[a * n + b] = part_[a] * part_[b] * sum;
        gram_[b * n + a] = gram_[a * n + b];
      }
    }
    // The sum of gradients that cancel is not below zero by more than rounding.
    gram_[n * n - 1] = std::max(gram_[n * n - 1], 0.0);
  }

  CagradFastOptions options_;
  internal::ConflictAverse solver_;
  Result grouped_;
  bool drawn_ = false;  // for the next compute()
  std::vector<Objective> objectives_;
  std::vector<std::size_t> order_, first_;
  std::vector<double> part_, shares_, gram_;
};

}  // namespace

void CagradFastOptions::describe(FieldVisitor& visitor) {
  if (visit_preset(visitor,
                   preset,
                   "paper: as in the paper; official_code: rest skip_one and rescale one_plus_c, "
                   "as in the authors' code.")) {
    const bool code = preset == Preset::kOfficialCode;
    rest = code ? Rest::kSkipOne : Rest::kAll;
    rescale = code ? CagradOptions::Rescale::kOnePlusC : CagradOptions::Rescale::kNone;
  }
  visitor.integer(
      "n",
      n,
      {.min = 1, .max = 1e6},
      "Objectives: n - 1 single tasks and the mean of the others; k or more is cagrad.");
  visit_cagrad_radius(visitor, c, rescale);
  visitor.choice("rest",
                 rest,
                 {{"all", Rest::kAll}, {"skip_one", Rest::kSkipOne}},
                 "Tasks in the lumped mean: all others, or all but one, divided as if it were "
                 "there (the authors' code).");
}

Result cagrad_fast(MatrixView gram, const CagradFastOptions& options, Rng* rng) {
  CagradFast method(options);
  validate_fields([&](FieldVisitor& v) { method.describe(v); }, "[balance::cagrad_fast]");
  return solve_once(method, {.tasks = gram.rows, .gram = gram, .rng = rng});
}

std::unique_ptr<Method> make_cagrad_fast() { return std::make_unique<CagradFast>(); }

MethodInfo cagrad_fast_info() {
  return {.name = "cagrad_fast",
          .title = "CAGrad-Fast",
          .summary = "cagrad on a few random objectives: single tasks and the mean of the rest.",
          .when =
              "As cagrad with many tasks, when protecting a few of them per step is enough; a "
              "larger n is closer to cagrad.",
          .paper = "Liu et al., NeurIPS 2021, arXiv 2110.14048",
          .method_class = MethodClass::kGram,
          .laws = kScaleInvariant | kMeanWhenAligned,
          .make = &make_cagrad_fast};
}

}  // namespace detente::balance

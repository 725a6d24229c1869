// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/gradvac.h>
#include <detente/balance/internal/checks.h>
#include <detente/balance/internal/state.h>
#include <detente/balance/method_info.h>
#include <detente/core/error.h>

#include <algorithm>
#include <cmath>

namespace detente::balance {
namespace {

constexpr const char* kInGradvac = "[balance::gradvac]";
// A target of exactly 1 would ask for an infinite step.
constexpr double kLargestTarget = 1.0 - 1e-9;

class Gradvac final : public Method {
 public:
  const char* name() const override { return "gradvac"; }
  MethodClass method_class() const override { return MethodClass::kGram; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }

  Json state() const override {
    if (tasks_ == 0) return nullptr;
    return Json{{"tasks", tasks_}, {"targets", target_}};
  }
  void load_state(const Json& state) override {
    tasks_ = 0;
    target_.clear();
    if (state.is_null()) return;
    const auto targets = internal::state_numbers(state, "targets", kInGradvac);
    const auto tasks = internal::state_integer(state, "tasks", kInGradvac);
    DETENTE_CHECK(tasks >= 1 && targets.size() == static_cast<std::size_t>(tasks * tasks),
                  ErrorCode::kData,
                  "{} the saved state must hold k*k targets; got {} for {} tasks.",
                  kInGradvac,
                  targets.size(),
                  tasks);
    tasks_ = static_cast<std::size_t>(tasks);
    target_ = targets;
  }

 protected:
  void compute(const Problem& problem, Result& result) override {
    const std::size_t k = problem.tasks;
    const MatrixView& g = problem.gram;
    if (tasks_ == 0) {
      tasks_ = problem.total();
      target_.assign(tasks_ * tasks_, 0.0);
    }
    internal::check_tasks(tasks_, problem.total(), kInGradvac);
    Rng* rng = k > 2 ? &internal::require_rng(problem, name()) : nullptr;
    std::fill(result.weights.begin(), result.weights.end(), 0.0);
    gram_u_.resize(k);
    for (std::size_t i = 0; i < k; ++i) {
      order_.clear();
      for (std::size_t j = 0; j < k; ++j) {
        if (j != i) order_.push_back(j);
      }
      if (rng != nullptr) rng->shuffle(order_);
      u_.assign(k, 0.0);
      u_[i] = 1.0;
      for (std::size_t a = 0; a < k; ++a) gram_u_[a] = g(a, i);
      for (const std::size_t j : order_) {
        turn(g, j, target_[problem.id(i) * tasks_ + problem.id(j)]);
      }
      for (std::size_t j = 0; j < k; ++j) result.weights[j] += u_[j];
    }
  }

 private:
  void turn(const MatrixView& g, std::size_t j, double& target) {
    const double inner = gram_u_[j];  // ⟨v, g_j⟩
    double squared = 0;               // ‖v‖²
    for (std::size_t a = 0; a < u_.size(); ++a) squared += u_[a] * gram_u_[a];
    const double length = std::sqrt(std::max(squared, 0.0));
    const double norm = std::sqrt(g(j, j));
    if (!(length > 0) || !(norm > 0)) return;
    const double phi = std::clamp(inner / length / norm, -1.0, 1.0);
    const double wanted = std::min(target, kLargestTarget);
    if (phi < wanted) {
      const double sine = std::sqrt(1.0 - wanted * wanted);
      const double amount =
          length * (wanted * std::sqrt(1.0 - phi * phi) - phi * sine) / (norm * sine);
      u_[j] += amount;
      for (std::size_t a = 0; a < u_.size(); ++a) gram_u_[a] += amount * g(a, j);
    }
    target = (1.0 - options_.beta) * target + options_.beta * phi;
  }

  GradvacOptions options_;
  std::size_t tasks_ = 0;       // all, absent ones included
  std::vector<double> target_;  // φ̂, row-major
  std::vector<std::size_t> order_;
  std::vector<double> u_;       // v = Jᵀu
  std::vector<double> gram_u_;  // G u
};

}  // namespace

void GradvacOptions::describe(FieldVisitor& visitor) {
  visitor.number("beta",
                 beta,
                 {.min = 0, .max = 1},
                 "How fast the cosine targets follow the observed cosines; 0 is pcgrad.");
}

std::unique_ptr<Method> make_gradvac() { return std::make_unique<Gradvac>(); }

MethodInfo gradvac_info() {
  return {.name = "gradvac",
          .title = "Gradient Vaccine",
          .summary =
              "Gradients are turned towards each other until their cosine reaches a moving target.",
          .when =
              "As pcgrad, when tasks are usually aligned and how much they are carries "
              "information (many languages, for example).",
          .paper = "Wang, Tsvetkov, Firat, Cao, ICLR 2021, arXiv 2010.05874",
          .method_class = MethodClass::kGram,
          .stateful = true,
          .laws = kScaleInvariant | kMeanWhenAligned | kUniformWhenOrthonormal |
                  kSingleTaskIdentity | kZeroRowIgnored,
          .make = &make_gradvac};
}

}  // namespace detente::balance

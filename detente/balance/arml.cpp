// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/arml.h>
#include <detente/balance/ew.h>
#include <detente/balance/internal/checks.h>
#include <detente/balance/internal/inner.h>
#include <detente/balance/internal/simplex.h>
#include <detente/balance/internal/state.h>
#include <detente/balance/method_info.h>
#include <detente/core/error.h>

#include <algorithm>
#include <cmath>
#include <string>

namespace detente::balance {
namespace {

const std::string kInArml = "[balance::arml]";  // made once: solve() allocates nothing

// w = 1 for every task, so that the tasks' weights are α itself.
std::unique_ptr<Method> make_sum() {
  auto method = make_ew();
  set_field([&](FieldVisitor& v) { method->describe(v); }, "scale", "sum", kInArml);
  return method;
}

class Arml final : public internal::Wrapper {
 public:
  Arml() : Wrapper("ew", make_sum()) {}

  const char* name() const override { return "arml"; }
  MethodClass method_class() const override { return with_gram(inner_->method_class()); }
  MethodClass needs() const override {
    return due() ? with_gram(inner_->needs()) : inner_->needs();
  }
  bool uses_losses() const override {
    return inner_->uses_losses() || (due() && options_.rule == ArmlOptions::Rule::kGradnorm);
  }

  void describe(FieldVisitor& visitor) override {
    options_.describe(visitor);
    inner_.describe(visitor);
  }

  Json state() const override {
    if (alpha_.empty()) return nullptr;
    return Json{{"inner", inner_.state()},
                {"alpha", alpha_},
                {"first_losses", first_},
                {"position", position_}};
  }
  void load_state(const Json& state) override {
    std::vector<double> alpha, first;
    std::int64_t position = 0;
    if (state.is_null()) {
      inner_->load_state(nullptr);
    } else {
      alpha = internal::state_numbers(state, "alpha", kInArml);
      first = internal::state_numbers(state, "first_losses", kInArml);
      position = internal::state_integer(state, "position", kInArml);
      DETENTE_CHECK(alpha.size() == first.size() && position >= 0 && state.contains("inner"),
                    ErrorCode::kData,
                    "{} the saved state has lists of different sizes or no inner state.",
                    kInArml);
      inner_.load_state(state.at("inner"), kInArml);
    }
    alpha_ = std::move(alpha);
    first_ = std::move(first);
    position_ = position;
  }

 protected:
  void compute(const Problem& problem, Result& result) override {
    const std::size_t main = internal::chosen_task(options_.task, problem, "arml");
    if (alpha_.empty()) {
      alpha_.assign(problem.total(), 1.0);
      first_.assign(problem.total(), 0.0);  // 0: not seen yet
    }
    internal::check_tasks(alpha_.size(), problem.total(), kInArml);
    remember_first(problem);
    if (!due()) {
      ++position_;
    } else if (move(problem, main)) {
      position_ = 1;
    }
    const Problem weighted = weigh(problem);
    inner_->solve(weighted, result);
    for (std::size_t i = 0; i < problem.tasks; ++i) result.weights[i] *= alpha_[problem.id(i)];
    if (!overflowed_) return;
    overflowed_ = false;
    result.stop = StopReason::kDegenerate;
    result.message =
        "The move of the auxiliary weights is no finite number and was left out; a lower rate or "
        "scale: main helps.";
  }
  void compute_after_step(const Problem& problem) override {
    inner_->losses_after_step(weigh(problem));
  }

 private:
  bool due() const { return position_ == 0 || position_ >= options_.every; }
  MethodClass with_gram(MethodClass inner) const {
    const bool losses = inner == MethodClass::kLoss ? inner_->uses_losses() : false;
    if (inner == MethodClass::kLoss || inner == MethodClass::kGram) {
      return losses || options_.rule == ArmlOptions::Rule::kGradnorm ? MethodClass::kGramLoss
                                                                     : MethodClass::kGram;
    }
    return inner;
  }

  void remember_first(const Problem& problem) {
    if (options_.rule != ArmlOptions::Rule::kGradnorm || problem.losses.empty()) return;
    for (std::size_t i = 0; i < problem.tasks; ++i) {
      double& first = first_[problem.id(i)];
      if (first != 0.0) continue;
      first = problem.losses[i];
      DETENTE_CHECK(first != 0.0,
                    ErrorCode::kNumeric,
                    "{} the first loss of task {} is 0; expected another number, because rule "
                    "gradnorm divides later ones by it.",
                    kInArml,
                    internal::task_name(problem, i));
    }
  }

  // Whether α has moved, or has nothing to move by.
  bool move(const Problem& problem, std::size_t main) {
    const bool losses = options_.rule == ArmlOptions::Rule::kArml || !problem.losses.empty();
    std::size_t at = problem.tasks;
    others_.clear();
    for (std::size_t i = 0; i < problem.tasks; ++i) {
      if (problem.id(i) == main) {
        at = i;
      } else {
        others_.push_back(i);
      }
    }
    if (at == problem.tasks || problem.gram.empty() || !losses) return false;
    if (others_.empty()) return true;
    double factor = options_.rate;
    if (options_.scale == ArmlOptions::Scale::kMain) {
      const double square = problem.gram(at, at);
      if (!(square > 0)) return true;
      factor /= options_.rule == ArmlOptions::Rule::kArml ? square : std::sqrt(square);
    }
    double sum = 0;
    for (const std::size_t i : others_) sum += alpha_[problem.id(i)];
    if (options_.rule == ArmlOptions::Rule::kArml) {
      slope(problem, at);
    } else {
      slope_of_lengths(problem);
    }
    next_.resize(others_.size());
    bool finite = true;
    for (std::size_t i = 0; i < others_.size(); ++i) {
      next_[i] = alpha_[problem.id(others_[i])] - factor * slope_[i];
      finite = finite && std::isfinite(next_[i]);
    }
    if (!finite) {
      overflowed_ = true;
      return true;
    }
    if (sum > 0) keep_sum(sum);
    for (std::size_t i = 0; i < others_.size(); ++i) {
      if (sum > 0) alpha_[problem.id(others_[i])] = next_[i];
    }
    return true;
  }

  // ∂/∂α ‖g_m − Σ α_j g_j‖², to slope_.
  void slope(const Problem& problem, std::size_t main) {
    slope_.clear();
    for (const std::size_t i : others_) {
      double s = -problem.gram(i, main);
      for (const std::size_t j : others_) s += alpha_[problem.id(j)] * problem.gram(i, j);
      slope_.push_back(2 * s);
    }
  }

  // ∂/∂α Σ |α_i n_i − Ḡ r_i|, Ḡ's dependence on α included, to slope_.
  void slope_of_lengths(const Problem& problem) {
    const auto a = static_cast<double>(others_.size());
    double length = 0;  // Ḡ
    double rate = 0;    // mean of L / L(0)
    for (const std::size_t i : others_) {
      length += alpha_[problem.id(i)] * std::sqrt(problem.gram(i, i)) / a;
      rate += problem.losses[i] / first_[problem.id(i)] / a;
    }
    sign_.clear();
    double through_mean = 0;
    for (const std::size_t i : others_) {
      const double r = rate != 0 ? problem.losses[i] / first_[problem.id(i)] / rate : 1.0;
      const double gap = alpha_[problem.id(i)] * std::sqrt(problem.gram(i, i)) - length * r;
      sign_.push_back(gap > 0 ? 1.0 : gap < 0 ? -1.0 : 0.0);
      through_mean += sign_.back() * r / a;
    }
    slope_.clear();
    for (std::size_t i = 0; i < others_.size(); ++i) {
      const std::size_t task = others_[i];
      slope_.push_back(std::sqrt(problem.gram(task, task)) * (sign_[i] - through_mean));
    }
  }

  // next_ becomes >= 0 with this sum.
  void keep_sum(double sum) {
    if (options_.rule == ArmlOptions::Rule::kArml) {
      for (double& value : next_) value /= sum;
      internal::project_on_simplex(next_, scratch_);
    } else {
      double total = 0;
      for (double& value : next_) total += value = std::max(value, 0.0);
      const auto a = static_cast<double>(next_.size());
      for (double& value : next_) value = total > 0 ? value / total : 1.0 / a;
    }
    for (double& value : next_) value *= sum;
  }

  // The problem of the gradients α_i g_i. Its views are of members.
  Problem weigh(const Problem& problem) {
    const std::size_t k = problem.tasks;
    const auto scaled = [&](const MatrixView& from, Matrix& to) -> MatrixView {
      if (from.empty()) return {};
      if (to.rows() != k) to = Matrix(k, k);
      for (std::size_t i = 0; i < k; ++i) {
        for (std::size_t j = 0; j < k; ++j) {
          to(i, j) = alpha_[problem.id(i)] * alpha_[problem.id(j)] * from(i, j);
        }
      }
      return to;
    };
    losses_.clear();
    for (std::size_t i = 0; i < problem.losses.size(); ++i) {
      losses_.push_back(alpha_[problem.id(i)] * problem.losses[i]);
    }
    Problem weighted = problem;
    weighted.gram = scaled(problem.gram, gram_);
    weighted.cross = scaled(problem.cross, cross_);
    weighted.losses = losses_;
    return weighted;
  }

  ArmlOptions options_;
  std::vector<double> alpha_;  // of all tasks, the main one's 1; empty before the first step
  std::vector<double> first_;  // L(0), rule gradnorm
  std::int64_t position_ = 0;  // steps since α was moved, that one included; 0: never
  bool overflowed_ = false;    // the last move was left out
  std::vector<std::size_t> others_;
  std::vector<double> slope_, sign_, next_, scratch_, losses_;
  Matrix gram_, cross_;
};

}  // namespace

void ArmlOptions::describe(FieldVisitor& visitor) {
  visitor.integer(
      "task", task, {.min = 0}, "The main task, counted from 0; all others are auxiliary.");
  visitor.integer(
      "every", every, {.min = 1, .max = 1e9}, "The auxiliary weights move at every n-th step.");
  visitor.number("rate", rate, {.min = 0}, "Step size of the auxiliary weights.");
  visitor.choice("rule",
                 rule,
                 {{"arml", Rule::kArml}, {"gradnorm", Rule::kGradnorm}},
                 "arml: towards the main task's gradient; gradnorm: towards gradients as long as "
                 "the losses' progress asks for.");
  visitor.choice("scale",
                 scale,
                 {{"paper", Scale::kPaper}, {"main", Scale::kMain}},
                 "paper: the slope as it is, which grows with the gradients; main: relative to the "
                 "main task's gradient.");
}

std::unique_ptr<Method> make_arml() { return std::make_unique<Arml>(); }

MethodInfo arml_info() {
  return {.name = "arml",
          .title = "Auxiliary task reweighting for minimum-data learning",
          .summary =
              "Weights of auxiliary tasks under which their gradients come near the main task's, "
              "around another method.",
          .when =
              "One task with few labels matters, and the others are there to help it; not where "
              "all tasks count.",
          .paper = "Shi et al., NeurIPS 2020, arXiv 2010.08244",
          .method_class = MethodClass::kGram,
          .stateful = true,
          .laws = kMeanWhenAligned | kUniformWhenOrthonormal | kDeterministic | kSingleTaskIdentity,
          .make = &make_arml};
}

}  // namespace detente::balance

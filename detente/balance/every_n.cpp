// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/every_n.h>
#include <detente/balance/internal/inner.h>
#include <detente/balance/internal/state.h>
#include <detente/balance/method_info.h>
#include <detente/balance/mgda.h>
#include <detente/core/error.h>

#include <string>

namespace detente::balance {
namespace {

const std::string kInEveryN = "[balance::every_n]";  // made once: solve() allocates nothing

class EveryN final : public internal::Wrapper {
 public:
  EveryN() : Wrapper("mgda", make_mgda()) {}

  const char* name() const override { return "every_n"; }
  MethodClass needs() const override { return due() ? inner_->needs() : MethodClass::kLoss; }
  bool uses_losses() const override { return due() && inner_->uses_losses(); }
  bool wants_losses_after_step() const override {
    return !kept_ && inner_->wants_losses_after_step();
  }
  std::span<const Objective> draw_objectives(const Problem& problem) override {
    return due() ? inner_->draw_objectives(problem) : std::span<const Objective>();
  }

  void describe(FieldVisitor& visitor) override {
    options_.describe(visitor);
    inner_.describe(visitor);
  }

  Json state() const override {
    if (weights_.empty()) return nullptr;
    return Json{{"inner", inner_.state()},
                {"weights", weights_},
                {"seen", seen_},
                {"present", present_},
                {"kept", kept_ ? 1 : 0},
                {"position", position_}};
  }
  void load_state(const Json& state) override {
    std::vector<double> weights, seen, present;
    std::int64_t position = 0;
    bool kept = false;
    if (state.is_null()) {
      inner_->load_state(nullptr);
    } else {
      weights = internal::state_numbers(state, "weights", kInEveryN);
      seen = internal::state_numbers(state, "seen", kInEveryN);
      present = internal::state_numbers(state, "present", kInEveryN);
      position = internal::state_integer(state, "position", kInEveryN);
      kept = internal::state_integer(state, "kept", kInEveryN) != 0;
      DETENTE_CHECK(weights.size() == seen.size() && weights.size() == present.size() &&
                        position >= 0 && state.contains("inner"),
                    ErrorCode::kData,
                    "{} the saved state has lists of different sizes or no inner state.",
                    kInEveryN);
      inner_.load_state(state.at("inner"), kInEveryN);
    }
    weights_ = std::move(weights);
    seen_ = std::move(seen);
    present_ = std::move(present);
    position_ = position;
    kept_ = kept;
  }

 protected:
  void compute(const Problem& problem, Result& result) override {
    if (weights_.empty()) {
      weights_.assign(problem.total(), 0.0);
      seen_.assign(problem.total(), 0.0);
      present_.assign(problem.total(), 0.0);
    }
    internal::check_tasks(weights_.size(), problem.total(), kInEveryN);
    const bool changed = note_present(problem);
    kept_ = !due() && !(changed && complete(problem));
    if (kept_) {
      keep(problem, result.weights);
      position_ = changed ? 0 : position_ + 1;
      return;
    }
    inner_->solve(problem, result);
    for (std::size_t i = 0; i < problem.tasks; ++i) {
      weights_[problem.id(i)] = result.weights[i];
      seen_[problem.id(i)] = 1.0;
    }
    position_ = 1;
  }
  void compute_after_step(const Problem& problem) override {
    if (!kept_) inner_->losses_after_step(problem);
  }

 private:
  bool due() const { return position_ == 0 || position_ >= options_.n; }

  bool note_present(const Problem& problem) {
    bool changed = false;
    std::size_t next = 0;  // entry of the problem
    for (std::size_t task = 0; task < present_.size(); ++task) {
      const bool here = next < problem.tasks && problem.id(next) == task;
      changed = changed || here != (present_[task] != 0.0);
      present_[task] = here ? 1.0 : 0.0;
      if (here) ++next;
    }
    return changed;
  }

  // Whether the problem brings what the inner method needs, although it was not asked for.
  bool complete(const Problem& problem) const {
    const bool gram = inner_->needs() == MethodClass::kLoss || !problem.gram.empty();
    return gram && (!inner_->uses_losses() || problem.losses.size() == problem.tasks);
  }

  void keep(const Problem& problem, std::vector<double>& w) const {
    double sum = 0;
    double count = 0;
    for (std::size_t i = 0; i < problem.tasks; ++i) {
      sum += weights_[problem.id(i)] * seen_[problem.id(i)];
      count += seen_[problem.id(i)];
    }
    const double mean = count > 0 ? sum / count : 1.0 / static_cast<double>(problem.tasks);
    for (std::size_t i = 0; i < problem.tasks; ++i) {
      w[i] = seen_[problem.id(i)] != 0.0 ? weights_[problem.id(i)] : mean;
    }
  }

  EveryNOptions options_;
  std::vector<double> weights_;  // the last of each task; empty before the first step
  std::vector<double> seen_;     // 1 for tasks that have a weight
  std::vector<double> present_;  // 1 for tasks of the last step
  std::int64_t position_ = 0;    // steps since the weights were computed, that one included
  bool kept_ = false;            // the last step kept its weights
};

}  // namespace

void EveryNOptions::describe(FieldVisitor& visitor) {
  visitor.integer("n",
                  n,
                  {.min = 1, .max = 1e9},
                  "Compute the weights at every n-th step and keep them in between.");
}

std::unique_ptr<Method> make_every_n() { return std::make_unique<EveryN>(); }

MethodInfo every_n_info() {
  return {.name = "every_n",
          .title = "Another method's weights at every n-th step",
          .summary = "The weights of another method, computed at every n-th step and kept between.",
          .when =
              "When one backward pass per task at every step is too slow; weights change little "
              "between neighbouring steps.",
          .paper = "Xu, Ju, Liu, Yang (PSMGD), AAAI 2025",
          .method_class = MethodClass::kGram,
          .stateful = true,
          .laws = kCommonLaws | kSimplex | kSingleTaskIdentity | kIdenticalRowsIdentity,
          .make = &make_every_n};
}

}  // namespace detente::balance

// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/dwa.h>
#include <detente/balance/internal/checks.h>
#include <detente/balance/internal/state.h>
#include <detente/balance/method_info.h>
#include <detente/core/error.h>

#include <algorithm>
#include <cmath>

namespace detente::balance {
namespace {

class Dwa final : public Method {
 public:
  const char* name() const override { return "dwa"; }
  MethodClass method_class() const override { return MethodClass::kLoss; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }

  Json state() const override {
    if (sum_.empty()) return nullptr;
    return Json{{"sum", sum_}, {"steps", steps_}, {"last", last_}, {"before", before_}};
  }
  void load_state(const Json& state) override {
    Dwa read;
    if (!state.is_null()) {
      constexpr const char* kWhere = "[balance::dwa]";
      read.sum_ = internal::state_numbers(state, "sum", kWhere);
      read.steps_ = internal::state_integer(state, "steps", kWhere);
      read.last_ = internal::state_numbers(state, "last", kWhere);
      read.before_ = internal::state_numbers(state, "before", kWhere);
      const std::size_t k = read.sum_.size();
      DETENTE_CHECK((read.last_.empty() || read.last_.size() == k) &&
                        (read.before_.empty() || read.before_.size() == k),
                    ErrorCode::kData,
                    "{} the saved state has vectors of different sizes.",
                    kWhere);
    }
    read.options_ = options_;
    *this = std::move(read);
  }

 protected:
  void compute(const Problem& problem, Result& result) override {
    const std::size_t k = problem.tasks;
    internal::check_non_negative_losses(
        problem, name(), "the ratio of two means then has no sense");
    if (sum_.empty()) sum_.assign(k, 0.0);
    internal::check_tasks(sum_.size(), k, "[balance::dwa]");
    std::fill(result.weights.begin(), result.weights.end(), 1.0);
    if (!before_.empty()) weigh(result.weights);
    // This step's losses count from the next window on.
    for (std::size_t i = 0; i < k; ++i) sum_[i] += problem.losses[i];
    if (++steps_ < options_.window) return;
    before_ = last_;
    last_ = sum_;
    for (double& mean : last_) mean /= static_cast<double>(steps_);
    std::fill(sum_.begin(), sum_.end(), 0.0);
    steps_ = 0;
  }

 private:
  DwaOptions options_;
  void weigh(std::vector<double>& w) const {
    double largest = 0;
    for (std::size_t i = 0; i < w.size(); ++i) {
      w[i] = before_[i] > 0 ? last_[i] / before_[i] : 1.0;
      largest = std::max(largest, w[i]);
    }
    double sum = 0;
    for (double& x : w) {
      x = std::exp((x - largest) / options_.temperature);
      sum += x;
    }
    for (double& x : w) x *= static_cast<double>(w.size()) / sum;
  }

  std::vector<double> sum_;     // of the running window
  std::vector<double> last_;    // means of the last complete window; empty before
  std::vector<double> before_;  // means of the window before that; empty before
  std::int64_t steps_ = 0;      // in the running window
};

}  // namespace

void DwaOptions::describe(FieldVisitor& visitor) {
  visitor.number("temperature",
                 temperature,
                 {.min = 0, .min_open = true, .max_open = true},
                 "Temperature of the softmax over the loss ratios; large values give equal "
                 "weights.");
  visitor.integer("window",
                  window,
                  {.min = 1},
                  "Steps over which a loss is averaged; the paper uses the steps of an epoch.");
}

std::unique_ptr<Method> make_dwa() { return std::make_unique<Dwa>(); }

MethodInfo dwa_info() {
  return {.name = "dwa",
          .title = "Dynamic weight average",
          .summary = "A task whose loss falls more slowly gets more weight.",
          .when = "Tasks that learn at different speeds; set window to the steps of an epoch.",
          .paper = "Liu, Johns, Davison, CVPR 2019, arXiv 1803.10704",
          .method_class = MethodClass::kLoss,
          .stateful = true,
          .laws = kCommonLaws | kSingleTaskIdentity | kZeroRowIgnored,
          .make = &make_dwa};
}

}  // namespace detente::balance

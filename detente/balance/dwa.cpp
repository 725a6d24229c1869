// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/dwa.h>
#include <detente/balance/internal/checks.h>
#include <detente/balance/internal/state.h>
#include <detente/balance/method_info.h>

#include <algorithm>
#include <cmath>

namespace detente::balance {
namespace {

constexpr const char* kInDwa = "[balance::dwa]";

class Dwa final : public Method {
 public:
  const char* name() const override { return "dwa"; }
  MethodClass method_class() const override { return MethodClass::kLoss; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }

  Json state() const override {
    if (sum_.empty()) return nullptr;
    return Json{{"sum", sum_},
                {"steps", steps_},
                {"windows", windows_},
                {"last", last_},
                {"before", before_}};
  }
  void load_state(const Json& state) override {
    internal::load_lists(state,
                         {{"sum", &sum_},
                          {"steps", &steps_},
                          {"windows", &windows_},
                          {"last", &last_},
                          {"before", &before_}},
                         kInDwa);
  }

 protected:
  void compute(const Problem& problem, Result& result) override {
    internal::check_non_negative_losses(
        problem, name(), "the ratio of two means then has no sense");
    if (sum_.empty()) {
      for (auto* list : {&sum_, &steps_, &windows_, &last_, &before_}) {
        list->assign(problem.total(), 0.0);
      }
    }
    internal::check_tasks(sum_.size(), problem.total(), kInDwa);
    weigh(problem, result.weights);
    // This step's losses count from the next window on.
    for (std::size_t i = 0; i < problem.tasks; ++i) add(problem.id(i), problem.losses[i]);
  }

 private:
  void add(std::size_t task, double loss) {
    sum_[task] += loss;
    if (++steps_[task] < static_cast<double>(options_.window)) return;
    before_[task] = last_[task];
    last_[task] = sum_[task] / steps_[task];
    windows_[task] = std::min(windows_[task] + 1.0, 2.0);
    sum_[task] = 0;
    steps_[task] = 0;
  }

  void weigh(const Problem& problem, std::vector<double>& w) const {
    double largest = 0;
    for (std::size_t i = 0; i < w.size(); ++i) {
      const std::size_t task = problem.id(i);
      const bool ratio = windows_[task] >= 2.0 && before_[task] > 0;
      w[i] = ratio ? last_[task] / before_[task] : 1.0;
      largest = std::max(largest, w[i]);
    }
    double sum = 0;
    for (double& x : w) {
      x = std::exp((x - largest) / options_.temperature);
      sum += x;
    }
    for (double& x : w) x *= static_cast<double>(w.size()) / sum;
  }

  DwaOptions options_;
  // Per task, absent ones included; counts are kept as numbers, like all that a snapshot holds.
  std::vector<double> sum_;      // of the running window
  std::vector<double> steps_;    // in the running window
  std::vector<double> windows_;  // complete ones, counted up to 2
  std::vector<double> last_;     // mean of the last complete window
  std::vector<double> before_;   // mean of the window before that
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

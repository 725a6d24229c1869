// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/cov.h>
#include <detente/balance/internal/checks.h>
#include <detente/balance/internal/state.h>
#include <detente/balance/method_info.h>

#include <algorithm>
#include <cmath>

namespace detente::balance {
namespace {

constexpr const char* kInCov = "[balance::cov]";

class Cov final : public Method {
 public:
  const char* name() const override { return "cov"; }
  MethodClass method_class() const override { return MethodClass::kLoss; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }

  Json state() const override {
    if (steps_.empty()) return nullptr;
    return Json{{"steps", steps_},
                {"mean_loss", mean_loss_},
                {"mean_ratio", mean_ratio_},
                {"squares", squares_}};
  }
  void load_state(const Json& state) override {
    internal::load_lists(state,
                         {{"steps", &steps_},
                          {"mean_loss", &mean_loss_},
                          {"mean_ratio", &mean_ratio_},
                          {"squares", &squares_}},
                         kInCov);
  }

 protected:
  void compute(const Problem& problem, Result& result) override {
    internal::check_non_negative_losses(problem, name(), "the ratio to its mean then has no sense");
    if (steps_.empty()) {
      for (auto* list : {&steps_, &mean_loss_, &mean_ratio_, &squares_}) {
        list->assign(problem.total(), 0.0);
      }
    }
    internal::check_tasks(steps_.size(), problem.total(), kInCov);
    weigh(problem, result.weights);
    // This step's losses count from the next step on.
    for (std::size_t i = 0; i < problem.tasks; ++i) add(problem.id(i), problem.losses[i]);
  }

 private:
  void weigh(const Problem& problem, std::vector<double>& w) const {
    double sum = 0;
    for (std::size_t i = 0; i < w.size(); ++i) {
      const std::size_t task = problem.id(i);
      if (steps_[task] < 2) {
        sum = 0;
        break;
      }
      w[i] = std::sqrt(squares_[task] / steps_[task] + options_.epsilon) / mean_ratio_[task];
      sum += w[i];
    }
    if (sum > 0) {
      for (double& x : w) x /= sum;
    } else {
      std::fill(w.begin(), w.end(), 1.0 / static_cast<double>(w.size()));
    }
  }

  void add(std::size_t task, double loss) {
    const double n = ++steps_[task];
    const double ratio = n > 1 && mean_loss_[task] > 0 ? loss / mean_loss_[task] : 1.0;
    const double off = ratio - mean_ratio_[task];
    mean_ratio_[task] += off / n;
    squares_[task] += off * (ratio - mean_ratio_[task]);
    mean_loss_[task] += (loss - mean_loss_[task]) / n;
  }

  CovOptions options_;
  // Per task, absent ones included.
  std::vector<double> steps_;
  std::vector<double> mean_loss_;
  std::vector<double> mean_ratio_;
  std::vector<double> squares_;  // of the ratios' distances from their mean
};

}  // namespace

void CovOptions::describe(FieldVisitor& visitor) {
  visitor.number("epsilon",
                 epsilon,
                 {.min = 0, .max_open = true},
                 "Added to the variance of the loss ratios, so that losses at rest keep a weight.");
}

std::unique_ptr<Method> make_cov() { return std::make_unique<Cov>(); }

MethodInfo cov_info() {
  return {.name = "cov",
          .title = "Coefficient-of-variation weighting",
          .summary = "A loss that still varies much, relative to its size, gets more weight.",
          .when =
              "Many loss terms in different units, without anything to tune; noise of a batch "
              "counts as variation, so batches should not be tiny.",
          .paper = "Groenendijk, Karaoglu, Gevers, Mensink, WACV 2021, arXiv 2009.01717",
          .method_class = MethodClass::kLoss,
          .stateful = true,
          .laws = kCommonLaws | kSimplex | kSingleTaskIdentity | kIdenticalRowsIdentity |
                  kZeroRowIgnored,
          .make = &make_cov};
}

}  // namespace detente::balance

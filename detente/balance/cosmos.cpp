// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/cosmos.h>
#include <detente/balance/internal/checks.h>
#include <detente/balance/internal/gamma_draw.h>
#include <detente/balance/internal/softmax.h>
#include <detente/balance/internal/state.h>
#include <detente/balance/method_info.h>
#include <detente/core/error.h>

#include <algorithm>
#include <cmath>

namespace detente::balance {
namespace {

constexpr const char* kInCosmos = "[balance::cosmos]";

class Cosmos final : public Method {
 public:
  const char* name() const override { return "cosmos"; }
  MethodClass method_class() const override { return MethodClass::kLoss; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }

  Json state() const override {
    if (log_draws_.empty()) return nullptr;
    return Json{{"log_draws", log_draws_}};
  }
  void load_state(const Json& state) override {
    internal::load_lists(state, {{"log_draws", &log_draws_}}, kInCosmos);
  }

 protected:
  void compute(const Problem& problem, Result& result) override {
    if (!options_.preference.empty()) {
      internal::check_per_task(options_.preference.size(), problem, name(), "preference");
      const double total = internal::total_preference(options_.preference, problem, name(), result);
      if (total == 0) return;
      for (std::size_t i = 0; i < problem.tasks; ++i) {
        result.weights[i] = options_.preference[problem.id(i)] / total;
      }
    } else {
      take_draws(problem, result.weights);
    }
    subtract_cosine(problem.losses, result);
  }

 private:
  // r of this step into `r`, and the draws of the next.
  void take_draws(const Problem& problem, std::vector<double>& r) {
    const std::vector<double>& alpha = options_.alpha;
    DETENTE_CHECK(alpha.size() == 1 || alpha.size() == problem.total(),
                  ErrorCode::kInvalidArgument,
                  "{} option 'alpha' must have one entry for all tasks or one per task; expected "
                  "1 or {} entries, got {}.",
                  kInCosmos,
                  problem.total(),
                  alpha.size());
    Rng& rng = internal::require_rng(problem, name());
    if (log_draws_.empty()) log_draws_.assign(problem.total(), 0.0);
    internal::check_tasks(log_draws_.size(), problem.total(), kInCosmos);
    for (std::size_t i = 0; i < problem.tasks; ++i) {
      double& draw = log_draws_[problem.id(i)];
      r[i] = draw;
      draw = internal::log_gamma_draw(alpha[alpha.size() == 1 ? 0 : problem.id(i)], rng);
    }
    internal::softmax(r);
  }

  void subtract_cosine(std::span<const double> losses, Result& result) {
    double largest = 0;
    for (const double loss : losses) largest = std::max(largest, std::abs(loss));
    if (largest == 0) {
      result.stop = StopReason::kDegenerate;
      result.message = "All losses are zero; their angle to the preference is undefined.";
      return;
    }
    double rr = 0, ll = 0, rl = 0;
    for (std::size_t i = 0; i < losses.size(); ++i) {
      const double loss = losses[i] / largest;
      rr += result.weights[i] * result.weights[i];
      ll += loss * loss;
      rl += result.weights[i] * loss;
    }
    const double r_norm = std::sqrt(rr);
    const double l_norm = std::sqrt(ll);
    const double cosine = rl / (r_norm * l_norm);
    const double factor = options_.lambda / (largest * l_norm);
    for (std::size_t i = 0; i < losses.size(); ++i) {
      const double loss = losses[i] / largest;
      result.weights[i] -= factor * (result.weights[i] / r_norm - cosine * loss / l_norm);
    }
  }

  CosmosOptions options_;
  std::vector<double> log_draws_;  // of the gamma variables whose shares are r of the next step
};

}  // namespace

void CosmosOptions::describe(FieldVisitor& visitor) {
  visitor.number("lambda",
                 lambda,
                 {.min = 0, .max_open = true},
                 "Weight of the cosine between preference and losses.");
  visitor.numbers("alpha",
                  alpha,
                  {.min = 0, .min_open = true, .max_open = true},
                  "Of the Dirichlet distribution of preferences, for all tasks or one per task; "
                  "small values draw extreme preferences.");
  visitor.numbers("preference",
                  preference,
                  {.min = 0, .max_open = true},
                  "A fixed preference, normalised to sum 1; empty: drawn at every step.");
}

std::unique_ptr<Method> make_cosmos() { return std::make_unique<Cosmos>(); }

MethodInfo cosmos_info() {
  return {.name = "cosmos",
          .title = "COSMOS",
          .summary = "Each step trains for a trade-off drawn at random and given to the network.",
          .when =
              "One network that can be asked for any trade-off after training; it must take the "
              "preference as an input.",
          .paper = "Ruchte, Grabocka, ICDM 2021, arXiv 2103.13392",
          .method_class = MethodClass::kLoss,
          .stateful = true,
          .laws = kScaleInvariant | kSingleTaskIdentity,
          .make = &make_cosmos};
}

}  // namespace detente::balance

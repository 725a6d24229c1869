// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/rng.h>
#include <detente/valuation/game.h>
#include <detente/valuation/internal/evaluator.h>
#include <detente/valuation/internal/log_choose.h>
#include <detente/valuation/internal/tally.h>
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

namespace detente::valuation {
namespace internal {

Evaluator::Evaluator(std::size_t n, const Utility& utility, const char* who)
    : utility_(utility), who_(who), everyone_(n) {
  DETENTE_CHECK(n > 0,
                ErrorCode::kInvalidArgument,
                "[valuation::{}] there is no player; expected at least one",
                who);
  std::iota(everyone_.begin(), everyone_.end(), std::size_t{0});
  none_ = ask({});
  DETENTE_CHECK(!none_.empty(),
                ErrorCode::kShape,
                "[valuation::{}] the function returned no outputs; expected at least one",
                who);
  all_ = ask(everyone_);
}

std::vector<double> Evaluator::operator()(std::span<const std::size_t> members) {
  if (members.empty()) return none_;
  if (members.size() == everyone_.size()) return all_;
  return ask(members);
}

std::vector<double> Evaluator::ask(std::span<const std::size_t> members) {
  std::vector<double> values = utility_(members);
  ++evaluations_;
  DETENTE_CHECK(evaluations_ == 1 || values.size() == none_.size(),
                ErrorCode::kShape,
                "[valuation::{}] the function returned {} outputs for {} members; expected {} as "
                "for none",
                who_,
                values.size(),
                members.size(),
                none_.size());
  for (std::size_t o = 0; o < values.size(); ++o) {
    if (std::isfinite(values[o])) continue;
    const auto shown = members.first(std::min<std::size_t>(members.size(), 10));
    fail(ErrorCode::kNumeric,
         "[valuation::{}] output {} is {} for the {} members {}{}; expected a finite number for "
         "every set. Return what is known without examples where nothing can be learned",
         who_,
         o,
         values[o],
         members.size(),
         fmt::join(shown, ","),
         shown.size() < members.size() ? ",..." : "");
  }
  return values;
}

GameValues Evaluator::result(std::vector<Estimate> outputs, GameStop stop) const {
  return {std::move(outputs), none_, all_, evaluations_, stop};
}

}  // namespace internal

namespace {

using internal::Evaluator;
using internal::Tallies;

// Sizes with less of the mass are not worth an evaluation.
constexpr double kLeastMass = 1e-9;

bool goes_on(const Progress& progress, std::size_t done, std::size_t total) {
  return !progress || progress(done, total);
}

// One random order; the marginals of its players.
class Walk {
 public:
  Walk(std::size_t n, Evaluator& evaluate, const PermutationOptions& options)
      : evaluate_(evaluate), truncation_(options.truncation), order_(n) {
    std::iota(order_.begin(), order_.end(), std::size_t{0});
    for (const double log_mass : options.semivalue.log_masses(n)) {
      masses_.push_back(std::exp(log_mass));
    }
  }

  void add_to(Rng& rng, Tallies& tallies) {
    rng.shuffle(order_);
    const std::size_t n = order_.size();
    members_.clear();
    bool truncated = false;
    bool known = false;  // whether `before` is what the members win
    std::vector<double> before;
    for (std::size_t place = 0; place < n; ++place) {
      const std::size_t player = order_[place];
      const bool visited = !truncated && masses_[place] >= kLeastMass;
      if (visited && !known) before = evaluate_(members_);
      known = visited;
      if (!truncated) {
        members_.insert(std::lower_bound(members_.begin(), members_.end(), player), player);
      }
      std::vector<double> after = visited ? evaluate_(members_) : std::vector<double>();
      for (std::size_t o = 0; o < evaluate_.outputs(); ++o) {
        const double weight = static_cast<double>(n) * masses_[place];
        tallies.at(player, o).add(visited ? weight * (after[o] - before[o]) : 0.0);
      }
      if (visited) truncated = all_won(after);
      before = std::move(after);
    }
  }

 private:
  bool all_won(const std::vector<double>& values) const {
    for (std::size_t o = 0; o < values.size(); ++o) {
      const double span = std::abs(evaluate_.all()[o] - evaluate_.none()[o]);
      if (!(std::abs(evaluate_.all()[o] - values[o]) < truncation_ * span)) return false;
    }
    return true;
  }

  Evaluator& evaluate_;
  double truncation_;
  std::vector<double> masses_;
  std::vector<std::size_t> order_;
  std::vector<std::size_t> members_;
};

// The largest over the outputs of the players' mean relative change since `before`, which becomes
// what they are now.
double change_since(std::vector<double>& before, const Tallies& tallies, std::size_t outputs) {
  std::vector<double> changes(outputs, 0.0);
  const bool first = before.empty();
  before.resize(tallies.players() * outputs);
  for (std::size_t i = 0; i < tallies.players(); ++i) {
    for (std::size_t o = 0; o < outputs; ++o) {
      const double now = tallies.at(i, o).mean;
      double& then = before[i * outputs + o];
      changes[o] += std::abs(now - then) / (std::abs(now) + 1e-12);
      then = now;
    }
  }
  if (first) return std::numeric_limits<double>::infinity();
  return *std::max_element(changes.begin(), changes.end()) / static_cast<double>(tallies.players());
}

void check(const PermutationOptions& options) {
  DETENTE_CHECK(options.truncation >= 0 && options.tolerance >= 0,
                ErrorCode::kInvalidArgument,
                "[valuation::permutation_values] truncation is {} and tolerance {}; expected "
                "numbers from 0",
                options.truncation,
                options.tolerance);
  DETENTE_CHECK(options.max_permutations > 0 && options.window > 0,
                ErrorCode::kInvalidArgument,
                "[valuation::permutation_values] max_permutations is {} and window {}; expected "
                "at least 1",
                options.max_permutations,
                options.window);
}

}  // namespace

const char* name_of(GameStop stop) {
  switch (stop) {
    case GameStop::kExact:
      return "exact";
    case GameStop::kConverged:
      return "converged";
    case GameStop::kBudget:
      return "budget";
    case GameStop::kInterrupted:
      break;
  }
  return "interrupted";
}

GameValues exact_values(std::size_t n,
                        const Utility& utility,
                        const Semivalue& semivalue,
                        const Progress& progress) {
  DETENTE_CHECK(n <= kMostExact,
                ErrorCode::kInvalidArgument,
                "[valuation::exact_values] there are {} players and 2^{} sets of them; expected at "
                "most {}. Sample with permutation_values or banzhaf_values",
                n,
                n,
                kMostExact);
  Evaluator evaluate(n, utility, "exact_values");
  const std::size_t outputs = evaluate.outputs();
  const std::size_t sets = std::size_t{1} << n;
  std::vector<double> won(sets * outputs);
  std::vector<std::size_t> members;
  bool whole = true;
  for (std::size_t set = 0; set < sets && whole; ++set) {
    members.clear();
    for (std::size_t i = 0; i < n; ++i) {
      if ((set >> i & 1U) != 0) members.push_back(i);
    }
    const std::vector<double> values = evaluate(members);
    std::copy(values.begin(), values.end(), won.data() + set * outputs);
    whole = goes_on(progress, set + 1, sets) || set + 1 == sets;
  }
  if (!whole) {
    return evaluate.result(Tallies(n, outputs).estimates(), GameStop::kInterrupted);
  }
  std::vector<double> weights = semivalue.log_masses(n);
  for (std::size_t k = 0; k < n; ++k) {
    weights[k] = std::exp(weights[k] -
                          internal::log_choose(static_cast<double>(n - 1), static_cast<double>(k)));
  }
  std::vector<Estimate> result(outputs,
                               {std::vector<double>(n, 0.0),
                                std::vector<double>(n, 0.0),
                                std::vector<std::int64_t>(n, static_cast<std::int64_t>(sets / 2))});
  for (std::size_t set = 0; set < sets; ++set) {
    const double weight = weights[std::min<std::size_t>(std::popcount(set), n - 1)];
    for (std::size_t i = 0; i < n; ++i) {
      const std::size_t with = set | std::size_t{1} << i;
      if (with == set) continue;
      for (std::size_t o = 0; o < outputs; ++o) {
        result[o].values[i] += weight * (won[with * outputs + o] - won[set * outputs + o]);
      }
    }
  }
  return evaluate.result(std::move(result), GameStop::kExact);
}

GameValues permutation_values(std::size_t n,
                              const Utility& utility,
                              const PermutationOptions& options) {
  check(options);
  Evaluator evaluate(n, utility, "permutation_values");
  Tallies tallies(n, evaluate.outputs());
  Walk walk(n, evaluate, options);
  Rng rng(options.seed);
  std::vector<double> before;
  GameStop stop = GameStop::kBudget;
  for (std::size_t done = 1; done <= options.max_permutations; ++done) {
    walk.add_to(rng, tallies);
    if (!goes_on(options.progress, done, options.max_permutations)) {
      stop = GameStop::kInterrupted;
      break;
    }
    if (done % options.window != 0) continue;
    if (change_since(before, tallies, evaluate.outputs()) < options.tolerance) {
      stop = GameStop::kConverged;
      break;
    }
  }
  return evaluate.result(tallies.estimates(), stop);
}

GameValues banzhaf_values(std::size_t n, const Utility& utility, const BanzhafOptions& options) {
  DETENTE_CHECK(options.samples > 0,
                ErrorCode::kInvalidArgument,
                "[valuation::banzhaf_values] samples is 0; expected at least 1");
  Evaluator evaluate(n, utility, "banzhaf_values");
  Tallies with(n, evaluate.outputs());
  Tallies without(n, evaluate.outputs());
  Rng rng(options.seed);
  GameStop stop = GameStop::kBudget;
  std::vector<std::size_t> members;
  for (std::size_t done = 1; done <= options.samples; ++done) {
    members.clear();
    std::uint64_t bits = 0;
    for (std::size_t i = 0; i < n; ++i) {
      bits = i % 64 == 0 ? rng() : bits >> 1U;
      if ((bits & 1U) != 0) members.push_back(i);
    }
    const std::vector<double> values = evaluate(members);
    std::size_t next = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const bool in = next < members.size() && members[next] == i;
      if (in) ++next;
      for (std::size_t o = 0; o < values.size(); ++o) {
        (in ? with : without).at(i, o).add(values[o]);
      }
    }
    if (!goes_on(options.progress, done, options.samples)) {
      stop = GameStop::kInterrupted;
      break;
    }
  }
  std::vector<Estimate> result(evaluate.outputs());
  for (std::size_t o = 0; o < result.size(); ++o) {
    for (std::size_t i = 0; i < n; ++i) {
      const internal::Tally& in = with.at(i, o);
      const internal::Tally& out = without.at(i, o);
      result[o].values.push_back(in.value() - out.value());
      result[o].standard_errors.push_back(std::sqrt(in.squared_error() + out.squared_error()));
      result[o].counts.push_back(in.count + out.count);
    }
  }
  return evaluate.result(std::move(result), stop);
}

GameValues leave_one_out(std::size_t n,
                         const Utility& utility,
                         std::size_t repeats,
                         const Progress& progress) {
  DETENTE_CHECK(repeats > 0,
                ErrorCode::kInvalidArgument,
                "[valuation::leave_one_out] repeats is 0; expected at least 1");
  Evaluator evaluate(n, utility, "leave_one_out");
  Tallies tallies(n, evaluate.outputs());
  GameStop stop = GameStop::kBudget;
  const std::size_t total = repeats * n;
  std::vector<std::size_t> others;
  std::vector<double> all = evaluate.all();
  for (std::size_t done = 0; done < total; ++done) {
    const std::size_t left_out = done % n;
    if (done > 0 && left_out == 0) all = evaluate.ask_all();
    others.clear();
    for (std::size_t i = 0; i < n; ++i) {
      if (i != left_out) others.push_back(i);
    }
    const std::vector<double> values = evaluate.ask(others);
    for (std::size_t o = 0; o < values.size(); ++o) {
      tallies.at(left_out, o).add(all[o] - values[o]);
    }
    if (done + 1 < total && !goes_on(progress, done + 1, total)) {
      stop = GameStop::kInterrupted;
      break;
    }
  }
  return evaluate.result(tallies.estimates(), stop);
}

}  // namespace detente::valuation

// SPDX-License-Identifier: Apache-2.0
// What players are worth in a game that is given by a function: training examples, sources,
// modalities or tasks as players, a model's scores on several tasks as what they win.
//
//   exact_values        all 2^n sets; for few players (modalities) and as the truth for the others
//   permutation_values  Shapley and Beta-Shapley from random orders, with truncation
//   banzhaf_values      Banzhaf from random sets, each of which tells something of every player
//   leave_one_out       v(all) − v(all but i)
//
// The function is called on the calling thread, with the members in increasing order; the same seed
// asks for the same sets. Every call returns one number for each output, larger for better; of no
// members too (v(∅): what is known without an example). Throws kInvalidArgument for no player or
// options out of range, kShape when it returns another number of outputs than the first time,
// kNumeric naming the set when one is not finite; what it throws goes through.
#pragma once

#include <detente/valuation/estimate.h>
#include <detente/valuation/semivalue.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace detente::valuation {

using Utility = std::function<std::vector<double>(std::span<const std::size_t> members)>;

enum class GameStop { kExact, kConverged, kBudget, kInterrupted };
const char* name_of(GameStop stop);  // "exact", "converged", "budget", "interrupted"

struct GameValues {
  std::vector<Estimate> outputs;  // of n players each
  std::vector<double> none;       // v(∅) of each output
  std::vector<double> all;        // v(all)
  std::size_t evaluations = 0;
  GameStop stop = GameStop::kBudget;
};

inline constexpr std::size_t kMostExact = 20;

// Over all sets of n <= kMostExact players: 2^n evaluations, 8 bytes of memory for each and output.
// Standard errors are 0, if the function's answers have no noise; counts are the 2^(n − 1) sets of
// others. Interrupted (progress in evaluations) nothing is known: NaN and 0. Modality Shapley is
// this with the modalities as players.
GameValues exact_values(std::size_t n,
                        const Utility& utility,
                        const Semivalue& semivalue = {},
                        const Progress& progress = {});

// A player's marginal at its place j of a random order, weighted by n times the mass of size j, is
// an unbiased draw of its value (Ghorbani and Zou, ICML 2019; Kwon and Zou, AISTATS 2022).
struct PermutationOptions {
  // Shapley or Beta; Banzhaf and leave-one-out, whose masses are narrow, have better ways below.
  Semivalue semivalue = {};
  // An order is left when all outputs of its first players are within this share of v(all) − v(∅)
  // of v(all); the others' marginals count as 0, which is off by at most as much. The span, not
  // |v(all)|, so that adding a number to v changes nothing. 0: never.
  double truncation = 0.01;
  std::size_t max_permutations = 1000;
  // Every `window` orders: done when the mean over players of |φ − φ before| / (|φ| + 1e-12) is
  // below this for all outputs. 0: never.
  double tolerance = 0.05;
  std::size_t window = 100;
  std::uint64_t seed = 0;
  Progress progress = {};  // in permutations
};

// At most n − 1 evaluations a permutation. Places with less than 1e-9 of the mass are not visited.
// Standard errors are those of the mean over permutations, which are the counts.
GameValues permutation_values(std::size_t n,
                              const Utility& utility,
                              const PermutationOptions& options = {});

struct BanzhafOptions {
  std::size_t samples = 1000;
  std::uint64_t seed = 0;
  Progress progress = {};  // in samples
};

// Every player is in a set with probability 1/2: the mean of v over the sets with it less that over
// those without it (maximum sample reuse: Wang and Jia, AISTATS 2023). NaN where one kind never
// came. Standard errors are those of a difference of two means; counts are the sets.
GameValues banzhaf_values(std::size_t n,
                          const Utility& utility,
                          const BanzhafOptions& options = {});

// `repeats` times, for functions with noise (a training with another seed): n + 1 evaluations each.
// Standard errors are those of the mean over repeats, NaN for one: how much of a difference was
// noise is then unknown. `progress` is told of evaluations; players that were not left out as yet
// are NaN with count 0.
GameValues leave_one_out(std::size_t n,
                         const Utility& utility,
                         std::size_t repeats = 1,
                         const Progress& progress = {});

}  // namespace detente::valuation

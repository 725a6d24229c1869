// SPDX-License-Identifier: Apache-2.0
// Random problems on which methods are measured. From one seed each machine draws the same numbers.
#pragma once

#include <detente/balance/method.h>
#include <detente/core/matrix.h>
#include <detente/core/rng.h>

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace detente::balance {

enum class ProblemFamily {
  kIndependent,  // Gaussian rows in 2k dimensions: about half of the pairs conflict, a little
  kConflicting,  // most of the rows' mean is taken away: the mean gradient harms many tasks
  kCollinear,    // rows equal up to 1e-3: the Gram matrix is nearly singular
};
inline constexpr ProblemFamily kProblemFamilies[] = {
    ProblemFamily::kIndependent, ProblemFamily::kConflicting, ProblemFamily::kCollinear};
const char* name_of(ProblemFamily family);  // "independent", ...

// All that any class of method needs. The norms of rows that are not collinear spread over a factor
// of ten.
struct RandomProblem {
  Matrix jacobian;  // k × 2k
  Matrix gram;
  Matrix cross;  // of two noisy copies of the rows, independent of each other
  std::vector<double> losses;

  // Views of this object.
  Problem view(Rng& rng) const;
};

// `count` problems of k tasks. With `drift` each is the one before, slightly changed, as the
// gradients of consecutive training steps are; otherwise they are independent of each other.
std::vector<RandomProblem> random_problems(
    ProblemFamily family, std::size_t k, std::size_t count, std::uint64_t seed, bool drift = false);

// One step of a method of any class on the problem, which leaves the direction of a class J method
// in `direction`.
void solve_any(Method& method,
               const RandomProblem& problem,
               Rng& rng,
               std::vector<double>& direction,
               Result& result);

}  // namespace detente::balance

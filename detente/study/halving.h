// SPDX-License-Identifier: Apache-2.0
// Settings of a grid that are tried with fewer seeds than are asked for, unless they do well.
#pragma once

#include <detente/study/results.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace detente::study {

// Where sequential halving stands (Karnin, Koren and Somekh, ICML 2013, with a training run of one more
// seed as the pull of an arm). In round r = 0, 1, ... the settings of a family that are left have been
// trained with the first 2^r seeds; the better half of them (rounded up) goes on. Settings that are left
// when all seeds have been used are as many as have all of them; the best is chosen.
struct Halving {
  std::vector<PlannedRun> next;     // of the round that each family is in: without a result yet
  std::size_t later = 0;            // runs of the rounds after it
  std::vector<std::size_t> chosen;  // of each family the best of what is left, by what is there
};

// Follows the rounds through the results, so that it says the same whenever it is asked. A run that failed
// has a result. Families have nothing to do with each other.
Halving halve(std::span<const Variant> variants,
              std::span<const StudyTask> tasks,
              std::span<const std::int64_t> seeds,
              std::span<const RunResult> results);

}  // namespace detente::study

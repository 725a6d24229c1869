// SPDX-License-Identifier: Apache-2.0
// Where the random numbers of a run come from: the seed, a stream per purpose and the step alone,
// so that a resumed run draws what it would have drawn.
#pragma once

#include <detente/core/rng.h>

#include <cstdint>

namespace detente::train {

// The numbers decide what a run draws: a new purpose gets a new one.
enum RandomStream : std::uint64_t {
  kDropoutStream = 1,
  kMethodStream = 2,
  kEmbeddingStream = 3,
  kFirstIndependentStream = 4,
  kSecondIndependentStream = 5,
  kEstimateStream = 6
};

// Where a step's draws divide once more: other processes of the run. Far from the parts of a batch.
inline constexpr std::uint64_t kFirstRankStream = std::uint64_t{1} << 40;
// And for what belongs to a single example.
inline constexpr std::uint64_t kExampleStream = std::uint64_t{1} << 41;

inline Rng step_rng(std::int64_t seed, RandomStream stream, std::int64_t step) {
  return Rng(static_cast<std::uint64_t>(seed)).fork(stream).fork(static_cast<std::uint64_t>(step));
}

}  // namespace detente::train

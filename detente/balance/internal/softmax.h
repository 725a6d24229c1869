// SPDX-License-Identifier: Apache-2.0
// The softmax of a list in place, and the random one of rlw and rgw.
#pragma once

#include <detente/core/rng.h>

#include <vector>

namespace detente::balance::internal {

// values ← exp(values)/Σ exp(values), shifted so that nothing overflows; not empty.
void softmax(std::vector<double>& values);

// Softmax of standard normal numbers, one per entry.
void draw_softmax(Rng& rng, std::vector<double>& values);

}  // namespace detente::balance::internal

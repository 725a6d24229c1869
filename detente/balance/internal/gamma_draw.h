// SPDX-License-Identifier: Apache-2.0
// Random numbers of the gamma distribution, of which a Dirichlet vector is made.
#pragma once

#include <detente/core/rng.h>

namespace detente::balance::internal {

// The logarithm of a draw from Gamma(shape, 1), shape > 0: finite also for small shapes, whose
// draws themselves underflow (Marsaglia and Tsang, ACM TOMS 26, 2000).
double log_gamma_draw(double shape, Rng& rng);

}  // namespace detente::balance::internal

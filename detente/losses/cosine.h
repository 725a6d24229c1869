// SPDX-License-Identifier: Apache-2.0
// How far directions are apart: L = 1 − (1/n) Σ p_i·y_i / √(‖p_i‖² + 1e-12).
// Targets of length 1 give values in [0, 2]; they are not brought to it (resized maps have shorter ones,
// which count less). The prediction's length does not matter, and gradients are orthogonal to it.
#pragma once

#include <detente/losses/loss.h>

#include <memory>

namespace detente::losses {

std::unique_ptr<Loss> make_cosine();

}  // namespace detente::losses

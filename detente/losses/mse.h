// SPDX-License-Identifier: Apache-2.0
// Mean squared error over the rows: L = (1/n) Σ (p_i − y_i)².
// Gradient: 2 (p − y) / n; large errors dominate.
#pragma once

#include <detente/losses/loss.h>

#include <memory>

namespace detente::losses {

std::unique_ptr<Loss> make_mse();

}  // namespace detente::losses

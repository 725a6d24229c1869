// SPDX-License-Identifier: Apache-2.0
// Mean absolute error over the rows: L = (1/n) Σ |p_i − y_i|.
// Gradient: sign(p − y) / n, 0 at ties; robust to outliers, blind to the size of an error.
#pragma once

#include <detente/losses/loss.h>

#include <memory>

namespace detente::losses {

std::unique_ptr<Loss> make_mae();

}  // namespace detente::losses

// SPDX-License-Identifier: Apache-2.0
// Correlation loss: how far the batch is from perfect linear correlation, plus a share of absolute
// error that fixes the offset and scale correlation cannot see.
//
// L = (1 − α)(1 − ρ) + α MAE, ρ = p̃·ỹ / (‖p̃‖ ‖ỹ‖) with p̃ = p − mean(p), ỹ = y − mean(y).
// ∂ρ/∂p = (ỹ/‖ỹ‖ − ρ p̃/‖p̃‖) / ‖p̃‖: it sums to 0 (blind to offset), is orthogonal to p̃ (blind to
// positive scale) and has norm √(1 − ρ²)/‖p̃‖, so it explodes as predictions collapse.
// Where correlation is undefined:
//   n < 3, or all targets equal   the term is dropped (LossInfo::correlation_skipped); what is left
//                                 is α MAE, and for α = 0 nothing: the task is absent. (Two points
//                                 are always perfectly correlated, with gradient 0.)
//   ‖p̃‖ < ε ‖ỹ‖                   the denominator stays at ε ‖ỹ‖², gradient ỹ / (ε ‖ỹ‖²): bounded,
//                                 and unchanged when predictions and targets change their unit.
// α means different things on different label scales: on labels from 0 to 5 the two terms start
// near 1 each; on labels divided by 5 the MAE is near 0.25.
// The mean of batch correlations is not the correlation of the corpus, and gradients of small
// batches do not add up to that of a large one: use at least 16 rows. Sums are done in double.
#pragma once

#include <detente/losses/loss.h>

#include <memory>

namespace detente::losses {

struct CorrelationOptions {
  double alpha = 0.5;     // in [0, 1]; 0: correlation alone, 1: MAE alone
  double epsilon = 1e-3;  // > 0; see above

  void describe(FieldVisitor& visitor);
};

std::unique_ptr<Loss> make_correlation();

}  // namespace detente::losses

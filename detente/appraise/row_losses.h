// SPDX-License-Identifier: Apache-2.0
// What each row by itself costs a trained model.
#pragma once

#include <ATen/core/Tensor.h>
#include <detente/data/source.h>
#include <detente/nn/model.h>
#include <detente/train/head_losses.h>

#include <vector>

namespace detente::appraise {

// Per task of `losses` the loss of each row by itself, from one pass of the model over all of them and
// without a graph; NaN where a row has no target. Terms that take several rows (correlation) are left out.
// Throws kNumeric, naming task and row, for a loss that is not finite.
std::vector<std::vector<double>> row_losses(const train::HeadLosses& losses,
                                            const nn::Model& model,
                                            const data::Source& source,
                                            const data::RowList& rows);

}  // namespace detente::appraise

// SPDX-License-Identifier: Apache-2.0
// PCGrad: each task's gradient loses its component against the others before they are added.
//
// Rule: for each task i start with v = g_i; for the other tasks j in random order, if ⟨v, g_j⟩ < 0
// replace v by v − (⟨v, g_j⟩/‖g_j‖²) g_j, where g_j is the original gradient; d is the sum (paper)
// or the mean of the k results. Not an optimisation problem: no certificate.
// Why the plain thing fails: where gradients conflict, differ in size and the loss is curved, the
// larger one wins the sum and overshoots.
// Limits: no conflict → w = 1 (sum); k = 1 → w = 1; k = 2 → w = (1 − g₁₂/g₁₁, 1 − g₁₂/g₂₂) in
// conflict, and d then harms neither task; for k >= 3 it may; w >= 1 always (sum); zero rows
// change nothing; scaling all gradients leaves w unchanged.
// order = index and include_self are what the authors' TensorFlow code does: it shuffles the tasks
// but drops the result, and lets j run over i as well, which matters for k >= 3, where the other
// projections may have turned v against g_i; w is then not >= 1.
// Random: for k >= 3 the order matters and Problem::rng is required (order = random); equal seeds
// give equal bits. Cost: O(k³), no allocation after the first call. Class G. Paper: Yu, Kumar,
// Gupta, Levine, Hausman and Finn, NeurIPS 2020, arXiv 2001.06782, algorithm 1.
#pragma once

#include <detente/balance/method.h>
#include <detente/balance/preset.h>

#include <memory>

namespace detente::balance {

struct PcgradOptions {
  enum class Reduction { kSum, kMean };
  enum class Order { kRandom, kIndex };
  Preset preset = Preset::kPaper;  // fills order and include_self when it is set by name
  Reduction reduction = Reduction::kSum;
  Order order = Order::kRandom;
  bool include_self = false;  // project also on the task's own gradient, where that became negative

  void describe(FieldVisitor& visitor);
};

// Throws as Method::solve, and kInvalidArgument when k >= 3 and rng is null.
Result pcgrad(MatrixView gram, const PcgradOptions& options = {}, Rng* rng = nullptr);

std::unique_ptr<Method> make_pcgrad();

}  // namespace detente::balance

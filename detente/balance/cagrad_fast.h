// SPDX-License-Identifier: Apache-2.0
// CAGrad-Fast: cagrad on few objectives, most tasks lumped together at random.
//
// Rule: in a fresh random order of the tasks, the first n − 1 are objectives of their own and the
// mean of the other k − n + 1 is the n-th. With g₀ the mean gradient as before (it gives the n
// objectives the weights 1/k, ..., 1/k, (k − n + 1)/k), maximise the least ⟨·, d⟩ of the n
// objectives subject to ‖d − g₀‖ <= c‖g₀‖.
// Why the plain thing fails: cagrad's problem and its k backward passes grow with the tasks; the
// lumped mean is close to g₀ and rarely the worst objective, so over the steps every task gets its
// turn to be protected.
// Limits: n >= k → cagrad, without random numbers; n = 1 → (1 + c) g₀; c = 0 → the mean, whatever
// the draw; k = 1 → w = 1 + c; scaling all gradients leaves the weights unchanged; a zero row is
// grouped as any other and an objective that is zero is left out of the minimum.
// rest = skip_one is what the authors' code does: it leaves one task out of the lumped mean at each
// step and still divides by k − n + 1, so d has nothing of that task.
// Random: Problem::rng is required when 1 < n < k; equal seeds give equal bits.
// Certificate: that of cagrad for the n objectives.
// Cost: as cagrad for n tasks. draw_objectives() names the n objectives before any gradient is
// formed, so that a step needs n passes instead of k, which is the paper's saving; given the Gram
// matrix of all k tasks instead, O(k²) for the grouping. Class G. Paper: Liu, Liu, Jin, Stone and
// Liu, NeurIPS 2021, arXiv 2110.14048, section 4 (n = 4 for 10 tasks and 8 for 50).
#pragma once

#include <detente/balance/cagrad.h>

#include <cstdint>
#include <memory>

namespace detente::balance {

struct CagradFastOptions {
  enum class Rest { kAll, kSkipOne };
  Preset preset = Preset::kPaper;  // fills rest and rescale when it is set by name
  std::int64_t n = 4;              // objectives
  double c = 0.4;                  // as in CagradOptions
  CagradOptions::Rescale rescale = CagradOptions::Rescale::kNone;
  Rest rest = Rest::kAll;  // which tasks the lumped mean has

  void describe(FieldVisitor& visitor);
};

// Throws as Method::solve, and kInvalidArgument for illegal options or when rng is needed and null.
Result cagrad_fast(MatrixView gram, const CagradFastOptions& options = {}, Rng* rng = nullptr);

std::unique_ptr<Method> make_cagrad_fast();

}  // namespace detente::balance

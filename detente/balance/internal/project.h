// SPDX-License-Identifier: Apache-2.0
// Projection of Jᵀu on the dual cone {d : ⟨g_i, d⟩ >= 0 for all i}, in weights.
#pragma once

#include <detente/balance/internal/cone.h>
#include <detente/balance/internal/unit_gram.h>

#include <vector>

namespace detente::balance::internal {

class DualConeProjection {
 public:
  // `u` (one entry per row of `unit`) becomes v >= u with Jᵀv the projection of Jᵀu. Returns the
  // certificate: the largest violation of ⟨g_i, d⟩ >= 0 or of ⟨g_i, d⟩ = 0 where v_i > u_i,
  // relative to the terms that form it.
  double apply(const UnitGram& unit, std::vector<double>& u);

  int pivots() const { return projector_.pivots(); }
  // The rows that the last projection holds at ⟨g_i, d⟩ = 0.
  std::size_t active() const;

 private:
  ConeProjector projector_;
  std::vector<double> h_;
  std::vector<double> inner_, size_;  // ⟨g_i, d⟩ in units of norm_i, and the terms that form it
};

}  // namespace detente::balance::internal

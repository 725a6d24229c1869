// SPDX-License-Identifier: Apache-2.0
// The weights of imtl_g, for imtl_g and imtl.
#pragma once

#include <detente/balance/internal/equal_angle.h>
#include <detente/balance/internal/unit_gram.h>
#include <detente/balance/method.h>

namespace detente::balance::internal {

class Impartial {
 public:
  // Fills the whole result (see imtl_g.h).
  void solve(const Problem& problem, Result& result);

 private:
  UnitGram unit_;
  EqualAngle angle_;
};

}  // namespace detente::balance::internal

// SPDX-License-Identifier: Apache-2.0
// What mgda and mgda_ub share: the least-norm problem of mgda.h on the Gram matrix given.
#pragma once

#include <detente/balance/internal/min_norm.h>
#include <detente/balance/internal/unit_gram.h>
#include <detente/balance/mgda.h>

namespace detente::balance::internal {

class LeastNorm {
 public:
  // Whether the normaliser divides by the losses.
  static bool needs_losses(const MgdaOptions& options);

  // Fills the whole result; `method` names the caller in messages.
  void solve(const Problem& problem,
             const MgdaOptions& options,
             const char* method,
             Result& result);

 private:
  void normalize(const Problem& problem, const MgdaOptions& options, const char* method);
  void stationary(const Problem& problem, Result& result) const;
  void certify(Result& result) const;

  UnitGram unit_;
  MinNorm solver_;
};

}  // namespace detente::balance::internal

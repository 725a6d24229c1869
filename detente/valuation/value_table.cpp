// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/valuation/value_table.h>

#include <cmath>

namespace detente::valuation {

const char* name_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::kHelpful: return "helpful";
    case Verdict::kHarmful: return "harmful";
    case Verdict::kUndecided: break;
  }
  return "undecided";
}

Verdict verdict(double value, double standard_error) {
  // Comparisons with NaN are false.
  if (value > 2 * standard_error) return Verdict::kHelpful;
  if (value < -2 * standard_error) return Verdict::kHarmful;
  return Verdict::kUndecided;
}

}  // namespace detente::valuation

// SPDX-License-Identifier: Apache-2.0
// The Gram matrix in a form without units: unit rows and relative norms. All solvers work on it,
// so no threshold of theirs depends on the scale of the gradients or of one task's loss.
#pragma once

#include <detente/balance/method.h>
#include <detente/core/matrix.h>

#include <cstddef>
#include <limits>
#include <vector>

namespace detente::balance::internal {

// Rows whose gradient is zero are left out; `rows` lists the others in order.
struct UnitGram {
  std::vector<std::size_t> rows;  // m indices into the original tasks
  std::vector<double> norm;       // m, divided by `largest`; in (0, 1]
  std::vector<double> cosine;     // m×m row-major, unit diagonal
  double largest = 0;             // the largest gradient norm (0 when all are zero)

  std::size_t size() const { return rows.size(); }
  double c(std::size_t i, std::size_t j) const { return cosine[i * rows.size() + j]; }

  // Reuses the storage: no allocation when called again with as many tasks.
  void assign(MatrixView gram);
};

// How methods that leave tasks without a gradient out begin: every weight of the result becomes
// `weight`, and `unit` takes the rows. False when all are zero, which the result then says; a
// remark when some are.
bool take_rows(const Problem& problem, double weight, UnitGram& unit, Result& result);

// Records the certificate of an exact solver and whether it kept its promise, 1e-9.
void certify(double certificate, Result& result);

inline constexpr double kEpsilon = std::numeric_limits<double>::epsilon();
// A squared length below this share of the size of the sum's terms is none: what double can cancel to.
inline constexpr double kStationary = 1e-13;
// A violation of a bound below this, relative to the terms that form it, is rounding.
inline constexpr double kViolation = 32 * kEpsilon;

// ‖Jᵀw‖² for the relative norms, and the size of the terms that are summed, far below which the
// square is rounding.
struct SquaredLength {
  double value = 0;
  double size = 0;
};
SquaredLength squared_length(const UnitGram& unit, const std::vector<double>& w);

// The largest max(0, bound - ⟨g_i, d⟩) over the rows for d = Jᵀw, relative to the size of the
// terms that are summed: 0 when every row reaches the bound, of order machine epsilon when only
// rounding stands in the way. `w` has one entry per row of `unit`; norms are those of `unit`.
double shortfall(const UnitGram& unit, const std::vector<double>& w, double bound);

}  // namespace detente::balance::internal

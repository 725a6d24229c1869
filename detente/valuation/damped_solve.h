// SPDX-License-Identifier: Apache-2.0
// (A + λI) x = b for a symmetric matrix A that is known by its products alone: the curvature of a loss,
// which influence functions invert (Koh and Liang, ICML 2017, arXiv 1703.04730). All right-hand sides of
// a call go on side by side, so that whoever makes the products passes the data once for all of them.
//
//   direct  forms A by P products and factorises it: P³/3 operations, P² numbers
//   cg      conjugate gradients (Hestenes and Stiefel 1952): exact after as many steps as A has
//           different eigenvalues, and with fewer the nearer they lie together
//   lissa   u ← b + u − (A + λI)u / s, whose fixed point is s (A + λI)⁻¹ b (Agarwal, Bullins and Hazan,
//           JMLR 2017, arXiv 1602.03943, with whole products in place of drawn ones); it comes nearer by
//           1 − λ/s a step at worst, and goes away wherever s is below half the largest eigenvalue
//
// All throw kNumeric for products that are not finite and kShape for such of another length. A
// right-hand side of zeros has the solution 0.
#pragma once

#include <detente/valuation/estimate.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace detente::valuation {

using Vector = std::vector<double>;
// A v for each v, all of one length.
using Products = std::function<std::vector<Vector>(std::span<const Vector>)>;

struct SolveOptions {
  double damping = 0;           // λ >= 0
  double tolerance = 1e-6;      // done at ‖b − (A + λI)x‖ <= tolerance ‖b‖
  std::int64_t most = 1000;     // steps
  Progress progress = nullptr;  // told steps; false: what was reached until then counts
};

struct Solution {
  Vector x;
  double residual = 0;  // ‖b − (A + λI)x‖ / ‖b‖, of a product made for it; 0 for b = 0
  std::int64_t steps = 0;  // products that went into x
  bool reached = false;    // residual <= tolerance
};

// kNumeric where A + λI is not positive definite. Stopped early nothing is known: NaN.
std::vector<Solution> solve_direct(const Products& products,
                                   std::span<const Vector> rights,
                                   const SolveOptions& options);
// kNumeric where a direction is met along which A + λI does not curve upwards.
std::vector<Solution> solve_cg(const Products& products,
                               std::span<const Vector> rights,
                               const SolveOptions& options);
// scale: s > 0. kNumeric where the residual has grown to a thousand times ‖b‖.
std::vector<Solution> solve_lissa(const Products& products,
                                  std::span<const Vector> rights,
                                  double scale,
                                  const SolveOptions& options);

// The largest |eigenvalue|, from below, by `steps` power iterations from a drawn vector.
double largest_eigenvalue(const Products& products,
                          std::size_t size,
                          std::uint64_t seed,
                          std::int64_t steps = 20);
// Σλ² / Σλ over the eigenvalues: their mean where each counts by its size, so that flat directions, of which
// networks have any number, do not. By `draws` vectors of random signs (Hutchinson 1989), exact for
// diagonal A; 0 where Σλ is not above 0.
double typical_eigenvalue(const Products& products,
                          std::size_t size,
                          std::uint64_t seed,
                          std::size_t draws = 8);

}  // namespace detente::valuation

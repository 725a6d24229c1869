// SPDX-License-Identifier: Apache-2.0
// Eigenvectors of a small symmetric positive semidefinite matrix, with a numerical rank:
// Householder's reduction to a tridiagonal matrix, then the QL iteration with implicit shifts
// (Golub and Van Loan, Matrix Computations, 8.3), in storage that is kept from call to call.
#pragma once

#include <cstddef>
#include <vector>

namespace detente::balance::internal {

class EigenGram {
 public:
  // n×n, row-major, n >= 1; only its symmetric part counts. Ascending eigenvalues; those below
  // n·ε·λ_max count as zero.
  void assign(const double* matrix, std::size_t n);
  // Takes the storage for n×n matrices that may come.
  void resize(std::size_t n);

  std::size_t size() const { return diagonal_.size(); }
  std::size_t rank() const { return rank_; }
  bool nonzero(std::size_t i) const { return i >= size() - rank_; }
  double value(std::size_t i) const { return diagonal_[order_[i]]; }
  const double* vector(std::size_t i) const { return &vectors_[order_[i] * size()]; }

  // The pseudo-inverse times x (n numbers each; out is not x).
  void pseudo_solve(const double* x, double* out) const;

 private:
  void reduce();
  void iterate();

  std::vector<double> work_;     // the matrix; afterwards the Householder vectors in its rows
  std::vector<double> vectors_;  // one eigenvector a row
  std::vector<double> diagonal_, beside_;
  std::vector<double> product_;
  std::vector<std::size_t> order_;
  std::size_t rank_ = 0;
};

}  // namespace detente::balance::internal

// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/gram.h>
#include <detente/balance/internal/unit_gram.h>
#include <detente/core/error.h>

#include <Eigen/Eigenvalues>
#include <cmath>

namespace detente::balance {

Matrix gram_matrix(MatrixView jacobian) {
  for (std::size_t i = 0; i < jacobian.rows; ++i) {
    for (std::size_t p = 0; p < jacobian.cols; ++p) {
      DETENTE_CHECK(std::isfinite(jacobian(i, p)),
                    ErrorCode::kNumeric,
                    "[balance::gram_matrix] row {} of the Jacobian is {} at column {}; expected "
                    "finite numbers. Look for NaN or overflow in that task's loss.",
                    i,
                    jacobian(i, p),
                    p);
    }
  }
  Matrix gram(jacobian.rows, jacobian.rows);
  for (std::size_t i = 0; i < jacobian.rows; ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      double sum = 0;
      for (std::size_t p = 0; p < jacobian.cols; ++p) sum += jacobian(i, p) * jacobian(j, p);
      gram(i, j) = sum;
      gram(j, i) = sum;
    }
  }
  return gram;
}

void check_gram_matrix(MatrixView gram) {
  DETENTE_CHECK(gram.rows == gram.cols,
                ErrorCode::kShape,
                "[balance::check_gram_matrix] a Gram matrix is square; got {}x{}. A Jacobian has "
                "one row per task and one column per parameter.",
                gram.rows,
                gram.cols);
  for (std::size_t i = 0; i < gram.rows; ++i) {
    for (std::size_t j = 0; j < gram.cols; ++j) {
      DETENTE_CHECK(std::isfinite(gram(i, j)),
                    ErrorCode::kNumeric,
                    "[balance::check_gram_matrix] entry [{}, {}] is {}; expected finite numbers.",
                    i,
                    j,
                    gram(i, j));
      const double size = std::sqrt(std::abs(gram(i, i))) * std::sqrt(std::abs(gram(j, j)));
      DETENTE_CHECK(std::abs(gram(i, j) - gram(j, i)) <= 1e-6 * size,
                    ErrorCode::kNumeric,
                    "[balance::check_gram_matrix] a Gram matrix is symmetric; entries [{}, {}] and "
                    "[{}, {}] are {} and {}.",
                    i,
                    j,
                    j,
                    i,
                    gram(i, j),
                    gram(j, i));
      DETENTE_CHECK(std::abs(gram(i, j)) <= (1.0 + 1e-4) * size,
                    ErrorCode::kNumeric,
                    "[balance::check_gram_matrix] entry [{}, {}] is {}, more than the product of "
                    "the norms of rows {} and {}, {}; no gradients have these inner products.",
                    i,
                    j,
                    gram(i, j),
                    i,
                    j,
                    size);
    }
    DETENTE_CHECK(gram(i, i) >= 0,
                  ErrorCode::kNumeric,
                  "[balance::check_gram_matrix] entry [{}, {}] is {}; a squared norm cannot be "
                  "negative.",
                  i,
                  i,
                  gram(i, i));
  }
  internal::UnitGram unit;
  unit.assign(gram);
  if (unit.size() == 0) return;
  const auto m = static_cast<Eigen::Index>(unit.size());
  const Eigen::MatrixXd cosine = Eigen::Map<const Eigen::MatrixXd>(unit.cosine.data(), m, m);
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(cosine, Eigen::EigenvaluesOnly);
  const double smallest = solver.eigenvalues().minCoeff();
  DETENTE_CHECK(smallest >= -1e-5 * static_cast<double>(m),
                ErrorCode::kNumeric,
                "[balance::check_gram_matrix] the matrix is not positive semidefinite (smallest "
                "eigenvalue of its cosine form {:.3g}), so no gradients have these inner products.",
                smallest);
}

}  // namespace detente::balance

// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/checks.h>
#include <detente/balance/internal/unit_gram.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace detente::balance::internal {

void UnitGram::assign(MatrixView gram) {
  rows.clear();
  norm.clear();
  rows.reserve(gram.rows);
  norm.reserve(gram.rows);
  cosine.reserve(gram.rows * gram.rows);
  largest = 0;
  // Subnormal squared norms have lost their digits and count as zero.
  constexpr double kSmallest = std::numeric_limits<double>::min();
  for (std::size_t i = 0; i < gram.rows; ++i) {
    if (gram(i, i) < kSmallest) continue;
    rows.push_back(i);
    norm.push_back(std::sqrt(gram(i, i)));
    largest = std::max(largest, norm.back());
  }
  const std::size_t m = rows.size();
  cosine.resize(m * m);
  for (std::size_t i = 0; i < m; ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      // The mean of both entries: callers may hand over slightly unsymmetric matrices.
      const double mean = 0.5 * gram(rows[i], rows[j]) + 0.5 * gram(rows[j], rows[i]);
      const double value = std::clamp(mean / norm[i] / norm[j], -1.0, 1.0);
      cosine[i * m + j] = value;
      cosine[j * m + i] = value;
    }
    cosine[i * m + i] = 1.0;
  }
  for (double& n : norm) n /= largest;
}

bool take_rows(const Problem& problem, double weight, UnitGram& unit, Result& result) {
  std::fill(result.weights.begin(), result.weights.end(), weight);
  unit.assign(problem.gram);
  if (unit.size() == 0) {
    report_all_zero(result);
  } else if (unit.size() < problem.tasks) {
    result.message = "A task's gradient is zero; it is left out.";
  }
  return unit.size() > 0;
}

void certify(double certificate, Result& result) {
  result.certificate = certificate;
  result.stop = certificate <= 1e-9 ? StopReason::kConverged : StopReason::kMaxIterations;
}

SquaredLength squared_length(const UnitGram& unit, const std::vector<double>& w) {
  SquaredLength squared;
  for (std::size_t i = 0; i < unit.size(); ++i) {
    for (std::size_t j = 0; j < unit.size(); ++j) {
      const double term = w[i] * unit.norm[i] * unit.c(i, j) * unit.norm[j] * w[j];
      squared.value += term;
      squared.size += std::abs(term);
    }
  }
  return squared;
}

double shortfall(const UnitGram& unit, const std::vector<double>& w, double bound) {
  const std::size_t m = unit.size();
  double worst = 0;
  for (std::size_t i = 0; i < m; ++i) {
    double value = 0;
    double size = std::abs(bound);
    for (std::size_t j = 0; j < m; ++j) {
      const double term = unit.norm[i] * unit.c(i, j) * unit.norm[j] * w[j];
      value += term;
      size += std::abs(term);
    }
    if (bound > value) worst = std::max(worst, (bound - value) / size);
  }
  return worst;
}

}  // namespace detente::balance::internal

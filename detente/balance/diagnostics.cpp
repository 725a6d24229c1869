// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/diagnostics.h>
#include <detente/core/error.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace detente::balance {
namespace {

void check_square(MatrixView gram) {
  DETENTE_CHECK(gram.rows == gram.cols,
                ErrorCode::kShape,
                "[balance::diagnostics] the Gram matrix must be square; got {}x{}.",
                gram.rows,
                gram.cols);
}

// f(pair) for all pairs, mirrored, with ones on the diagonal of non-zero rows.
template <class F>
Matrix pair_matrix(MatrixView gram, F value) {
  check_square(gram);
  Matrix out(gram.rows, gram.rows);
  for (std::size_t i = 0; i < gram.rows; ++i) {
    out(i, i) = gram(i, i) > 0 ? 1.0 : 0.0;
    for (std::size_t j = 0; j < i; ++j) {
      out(i, j) = value(diagnose_pair(gram, j, i));
      out(j, i) = out(i, j);
    }
  }
  return out;
}

}  // namespace

PairDiagnostics diagnose_pair(MatrixView gram, std::size_t i, std::size_t j) {
  DETENTE_CHECK(i < gram.rows && j < gram.rows && gram.rows == gram.cols,
                ErrorCode::kShape,
                "[balance::diagnose_pair] tasks {} and {} must lie in the Gram matrix; it is "
                "{}x{}.",
                i,
                j,
                gram.rows,
                gram.cols);
  PairDiagnostics pair;
  pair.i = i;
  pair.j = j;
  const double a = std::sqrt(gram(i, i));
  const double b = std::sqrt(gram(j, j));
  if (!(a > 0) || !(b > 0)) return pair;
  pair.cosine = std::clamp(gram(i, j) / a / b, -1.0, 1.0);
  // In the ratio of the norms nothing overflows.
  const double ratio = std::min(a, b) / std::max(a, b);
  pair.magnitude_similarity = 2.0 * ratio / (1.0 + ratio * ratio);
  const double cross = 2.0 * ratio * pair.cosine;
  const double sum = std::max(0.0, 1.0 + ratio * ratio + cross);
  const double difference = std::max(0.0, 1.0 + ratio * ratio - cross);
  const double sine = 1.0 - pair.cosine * pair.cosine;
  // g_i = −g_j is 0/0; the direction of the sum is undefined and no curvature is enough.
  pair.xi = sum > 0 ? sine * difference / sum : std::numeric_limits<double>::infinity();
  pair.conflicting = pair.cosine < 0;
  pair.dominated = pair.cosine <= -pair.magnitude_similarity;
  return pair;
}

std::vector<PairDiagnostics> diagnose_pairs(MatrixView gram) {
  check_square(gram);
  std::vector<PairDiagnostics> pairs;
  for (std::size_t i = 0; i < gram.rows; ++i) {
    for (std::size_t j = i + 1; j < gram.rows; ++j) pairs.push_back(diagnose_pair(gram, i, j));
  }
  return pairs;
}

Matrix cosine_matrix(MatrixView gram) {
  return pair_matrix(gram, [](const PairDiagnostics& pair) { return pair.cosine; });
}

Matrix magnitude_similarity(MatrixView gram) {
  return pair_matrix(gram, [](const PairDiagnostics& pair) { return pair.magnitude_similarity; });
}

double conflict_fraction(MatrixView gram) {
  const auto pairs = diagnose_pairs(gram);
  if (pairs.empty()) return 0.0;
  const auto conflicts = std::count_if(
      pairs.begin(), pairs.end(), [](const PairDiagnostics& pair) { return pair.conflicting; });
  return static_cast<double>(conflicts) / static_cast<double>(pairs.size());
}

double curvature_from_gradients(double squared_norm, double inner_after, double step) {
  DETENTE_CHECK(step > 0,
                ErrorCode::kInvalidArgument,
                "[balance::curvature_from_gradients] the step must be > 0, got {}.",
                step);
  return (squared_norm - inner_after) / step;
}

double curvature_from_losses(double before, double after, double inner_step, double step) {
  DETENTE_CHECK(step > 0,
                ErrorCode::kInvalidArgument,
                "[balance::curvature_from_losses] the step must be > 0, got {}.",
                step);
  return 2.0 * (after - before - inner_step) / (step * step);
}

TriadConditions triad_conditions(const PairDiagnostics& pair,
                                 double curvature,
                                 double squared_norm,
                                 double lipschitz,
                                 double step) {
  TriadConditions conditions;
  conditions.dominated = pair.conflicting && pair.dominated;
  if (!(squared_norm > 0)) return conditions;
  const double margin = curvature / squared_norm - pair.xi * lipschitz;
  conditions.curved = margin >= 0;
  conditions.large_step = margin > 0 && step >= 2.0 / margin;
  return conditions;
}

}  // namespace detente::balance

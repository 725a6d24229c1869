// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/checks.h>
#include <detente/balance/internal/least_norm.h>

#include <algorithm>
#include <cmath>

namespace detente::balance::internal {
namespace {

using Normalizer = MgdaOptions::Normalizer;

constexpr double kTolerance = 1e-9;
constexpr double kStationary = 1e-13;  // of the sum's terms: what double can cancel to

}  // namespace

bool LeastNorm::needs_losses(const MgdaOptions& options) {
  return options.normalizer == Normalizer::kLoss || options.normalizer == Normalizer::kLossPlus;
}

void LeastNorm::solve(const Problem& problem,
                      const MgdaOptions& options,
                      const char* method,
                      Result& result) {
  solver_.reserve(problem.tasks);
  unit_.assign(problem.gram);
  if (unit_.size() < problem.tasks) {
    stationary(problem, result);
  } else {
    normalize(problem, options, method);
    result.iterations = solver_.solve(unit_, result.weights);
    certify(result);
  }
  if (problem.tasks != 2) return;
  for (std::size_t i = 0; i < 2; ++i) {
    if (result.weights[i] != 0.0) continue;
    result.weights[i] = options.least_share;
    result.weights[1 - i] = 1.0 - options.least_share;
  }
}

void LeastNorm::normalize(const Problem& problem, const MgdaOptions& options, const char* method) {
  if (needs_losses(options)) {
    check_positive_losses(problem, method, "its normalizer divides by the losses");
  }
  const bool unit_length =
      options.normalizer == Normalizer::kL2 || options.normalizer == Normalizer::kLossPlus;
  for (std::size_t i = 0; i < problem.tasks; ++i) {
    if (unit_length) unit_.norm[i] = 1.0;
    if (needs_losses(options)) unit_.norm[i] /= problem.losses[i];
  }
  // Only the ratios of the norms matter.
  const double largest = *std::max_element(unit_.norm.begin(), unit_.norm.end());
  for (double& n : unit_.norm) n /= largest;
}

// Some gradient is zero, so no direction improves that task: the convex hull contains 0.
void LeastNorm::stationary(const Problem& problem, Result& result) const {
  const double share = 1.0 / static_cast<double>(problem.tasks - unit_.size());
  std::fill(result.weights.begin(), result.weights.end(), share);
  for (const std::size_t row : unit_.rows) result.weights[row] = 0.0;
  result.stop = StopReason::kDegenerate;
  result.certificate = 0.0;
  result.message = unit_.size() == 0 ? "All gradients are zero; the weights are uniform."
                                     : "A task's gradient is zero, so the least-norm direction "
                                       "is zero; leave that task out of this step to go on.";
}

void LeastNorm::certify(Result& result) const {
  const std::size_t k = unit_.size();
  double value = 0;
  double size = 0;
  for (std::size_t i = 0; i < k; ++i) {
    for (std::size_t j = 0; j < k; ++j) {
      const double term =
          unit_.norm[i] * unit_.c(i, j) * unit_.norm[j] * result.weights[i] * result.weights[j];
      value += term;
      size += std::abs(term);
    }
  }
  result.certificate = shortfall(unit_, result.weights, value);
  result.stop =
      result.certificate <= kTolerance ? StopReason::kConverged : StopReason::kMaxIterations;
  if (k > 1 && value <= kStationary * size) {
    result.message = "Pareto-stationary: no direction improves every task.";
  }
}

}  // namespace detente::balance::internal

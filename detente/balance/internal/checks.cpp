// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/checks.h>
#include <detente/core/error.h>

#include <algorithm>

namespace detente::balance::internal {

std::string task_name(const Problem& problem, std::size_t i) {
  return i < problem.names.size() ? "'" + problem.names[i] + "'" : std::to_string(i);
}

void check_positive_losses(const Problem& problem, const char* method, const char* reason) {
  for (std::size_t i = 0; i < problem.tasks; ++i) {
    DETENTE_CHECK(problem.losses[i] > 0,
                  ErrorCode::kNumeric,
                  "[balance::{}] the loss of task {} is {}; expected a number > 0, because {}. Add "
                  "a constant to that loss or use another method.",
                  method,
                  task_name(problem, i),
                  problem.losses[i],
                  reason);
  }
}

void check_non_negative_losses(const Problem& problem, const char* method, const char* reason) {
  for (std::size_t i = 0; i < problem.tasks; ++i) {
    DETENTE_CHECK(problem.losses[i] >= 0,
                  ErrorCode::kNumeric,
                  "[balance::{}] the loss of task {} is negative ({}), and {}. Add a constant that "
                  "makes it non-negative (1 - correlation instead of -correlation), or use another "
                  "method.",
                  method,
                  task_name(problem, i),
                  problem.losses[i],
                  reason);
  }
}

void report_all_zero(Result& result) {
  result.stop = StopReason::kDegenerate;
  result.message = "All gradients are zero.";
}

Rng& require_rng(const Problem& problem, const char* method) {
  DETENTE_CHECK(problem.rng != nullptr,
                ErrorCode::kInvalidArgument,
                "[balance::{}] the method draws random numbers; expected a generator in "
                "Problem::rng, got none.",
                method);
  return *problem.rng;
}

std::size_t chosen_task(std::int64_t task, const Problem& problem, const char* method) {
  const auto chosen = static_cast<std::size_t>(task);
  DETENTE_CHECK(chosen < problem.total(),
                ErrorCode::kInvalidArgument,
                "[balance::{}] option 'task' must be a number from 0 to {}, one less than the "
                "number of tasks; got {}.",
                method,
                problem.total() - 1,
                task);
  return chosen;
}

void check_per_task(std::size_t size,
                    const Problem& problem,
                    const char* method,
                    const char* option) {
  DETENTE_CHECK(size == 0 || size == problem.total(),
                ErrorCode::kInvalidArgument,
                "[balance::{}] option '{}' must be empty or have one entry per task; expected {}, "
                "got {}.",
                method,
                option,
                problem.total(),
                size);
}

double total_preference(const std::vector<double>& preference,
                        const Problem& problem,
                        const char* method,
                        Result& result) {
  const bool any =
      preference.empty() ||
      std::any_of(preference.begin(), preference.end(), [](double p) { return p > 0; });
  DETENTE_CHECK(any,
                ErrorCode::kInvalidArgument,
                "[balance::{}] option 'preference' is all zero; expected at least one entry > 0.",
                method);
  double total = 0;
  for (std::size_t i = 0; i < problem.tasks; ++i) total += per_task(preference, problem, i, 1.0);
  if (total > 0) return total;
  std::fill(result.weights.begin(), result.weights.end(), 0.0);
  result.stop = StopReason::kDegenerate;
  result.message = "All tasks with a preference are absent.";
  return 0;
}

}  // namespace detente::balance::internal

// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/method.h>
#include <detente/core/error.h>

#include <cmath>

namespace detente::balance {
namespace {

std::string task_name(const Problem& problem, std::size_t i) {
  return i < problem.names.size() ? "'" + problem.names[i] + "'" : std::to_string(i);
}

void check_losses(const char* method, const Problem& problem) {
  DETENTE_CHECK(problem.losses.size() == problem.tasks,
                ErrorCode::kShape,
                "[balance::{}] this method needs the loss of every task; expected {} losses, got "
                "{}.",
                method,
                problem.tasks,
                problem.losses.size());
  for (std::size_t i = 0; i < problem.tasks; ++i) {
    DETENTE_CHECK(std::isfinite(problem.losses[i]),
                  ErrorCode::kNumeric,
                  "[balance::{}] the loss of task {} is {}; expected a finite number.",
                  method,
                  task_name(problem, i),
                  problem.losses[i]);
  }
}

void check_gram(const char* method, const Problem& problem) {
  const MatrixView& g = problem.gram;
  const std::size_t k = problem.tasks;
  DETENTE_CHECK(g.rows == k && g.cols == k,
                ErrorCode::kShape,
                "[balance::{}] the Gram matrix of {} tasks must be {}x{}; got {}x{}.",
                method,
                k,
                k,
                k,
                g.rows,
                g.cols);
  // The diagonal first: it tells which task's gradient spoils the rows and columns of the others.
  for (std::size_t i = 0; i < k; ++i) {
    DETENTE_CHECK(std::isfinite(g(i, i)),
                  ErrorCode::kNumeric,
                  "[balance::{}] the gradient of task {} is not finite (its squared norm is {}). "
                  "Look for NaN or overflow in that task's loss.",
                  method,
                  task_name(problem, i),
                  g(i, i));
    DETENTE_CHECK(g(i, i) >= 0,
                  ErrorCode::kNumeric,
                  "[balance::{}] Gram entry [{}, {}] is {}; a squared norm cannot be negative.",
                  method,
                  i,
                  i,
                  g(i, i));
  }
  for (std::size_t i = 0; i < k; ++i) {
    for (std::size_t j = 0; j < k; ++j) {
      DETENTE_CHECK(std::isfinite(g(i, j)),
                    ErrorCode::kNumeric,
                    "[balance::{}] the inner product of the gradients of tasks {} and {} is {}; "
                    "expected a finite number.",
                    method,
                    task_name(problem, i),
                    task_name(problem, j),
                    g(i, j));
    }
  }
  for (std::size_t i = 0; i < k; ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      const double scale = std::sqrt(g(i, i)) * std::sqrt(g(j, j));
      DETENTE_CHECK(
          std::abs(g(i, j) - g(j, i)) <= 1e-6 * scale + std::numeric_limits<double>::min(),
          ErrorCode::kNumeric,
          "[balance::{}] the Gram matrix must be symmetric; entries [{}, {}] and "
          "[{}, {}] are {} and {}.",
          method,
          i,
          j,
          j,
          i,
          g(i, j),
          g(j, i));
      // No inner product exceeds the product of the norms; the slack is float32 rounding.
      const double bound = (1.0 + 1e-4) * scale + std::numeric_limits<double>::min();
      DETENTE_CHECK(std::abs(g(i, j)) <= bound,
                    ErrorCode::kNumeric,
                    "[balance::{}] this is no Gram matrix: entry [{}, {}] is {}, more than the "
                    "product of the norms of rows {} and {}, {}.",
                    method,
                    i,
                    j,
                    g(i, j),
                    i,
                    j,
                    scale);
    }
  }
}

}  // namespace

const char* name_of(MethodClass method_class) {
  switch (method_class) {
    case MethodClass::kLoss:
      return "L";
    case MethodClass::kGram:
      return "G";
    case MethodClass::kGramLoss:
      return "G+L";
  }
  return "?";
}

const char* name_of(StopReason reason) {
  switch (reason) {
    case StopReason::kClosedForm:
      return "closed_form";
    case StopReason::kConverged:
      return "converged";
    case StopReason::kMaxIterations:
      return "max_iterations";
    case StopReason::kDegenerate:
      return "degenerate";
  }
  return "?";
}

void Method::solve(const Problem& problem, Result& result) {
  DETENTE_CHECK(problem.tasks >= 1,
                ErrorCode::kShape,
                "[balance::{}] there is no task; expected at least one.",
                name());
  if (method_class() != MethodClass::kLoss) check_gram(name(), problem);
  if (uses_losses()) check_losses(name(), problem);
  result.weights.resize(problem.tasks);
  result.stop = StopReason::kClosedForm;
  result.iterations = 0;
  result.certificate = std::numeric_limits<double>::quiet_NaN();
  result.message.clear();
  compute(problem, result);
}

Result solve_once(Method& method, const Problem& problem) {
  Result result;
  method.solve(problem, result);
  return result;
}

void Method::describe(FieldVisitor& /*visitor*/) {}
Json Method::state() const { return nullptr; }
void Method::load_state(const Json& /*state*/) {}

}  // namespace detente::balance

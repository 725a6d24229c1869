// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/checks.h>
#include <detente/balance/method.h>
#include <detente/core/error.h>

#include <cmath>

namespace detente::balance {
namespace {

using internal::task_name;

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
  const bool of_tasks = problem.objectives == 0;
  const std::size_t k = of_tasks ? problem.tasks : problem.objectives;
  const auto task_name = [of_tasks](const Problem& p, std::size_t i) {
    return of_tasks ? internal::task_name(p, i) : fmt::format("{} (one of the objectives)", i);
  };
  DETENTE_CHECK(g.rows == k && g.cols == k,
                ErrorCode::kShape,
                "[balance::{}] the Gram matrix of {} {} must be {}x{}; got {}x{}.",
                method,
                k,
                of_tasks ? "tasks" : "objectives",
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

void check_cross(const char* method, const Problem& problem) {
  const std::size_t k = problem.tasks;
  DETENTE_CHECK(problem.cross.rows == k && problem.cross.cols == k,
                ErrorCode::kShape,
                "[balance::{}] the inner products of two batches' gradients for {} tasks must be "
                "{}x{}; got {}x{}.",
                method,
                k,
                k,
                k,
                problem.cross.rows,
                problem.cross.cols);
  for (std::size_t i = 0; i < k * k; ++i) {
    DETENTE_CHECK(std::isfinite(problem.cross.data[i]),
                  ErrorCode::kNumeric,
                  "[balance::{}] the inner product of the gradients of tasks {} and {} is {}; "
                  "expected a finite number.",
                  method,
                  task_name(problem, i / k),
                  task_name(problem, i % k),
                  problem.cross.data[i]);
  }
}

void check_tasks(const char* method, const Problem& problem) {
  DETENTE_CHECK(problem.tasks >= 1,
                ErrorCode::kShape,
                "[balance::{}] there is no task; expected at least one.",
                method);
  bool legal = problem.ids.empty() ? problem.all_tasks == 0 || problem.all_tasks == problem.tasks
                                   : problem.ids.size() == problem.tasks;
  for (std::size_t i = 0; legal && i < problem.ids.size(); ++i) {
    legal = problem.ids[i] < problem.all_tasks && (i == 0 || problem.ids[i - 1] < problem.ids[i]);
  }
  DETENTE_CHECK(legal,
                ErrorCode::kShape,
                "[balance::{}] the ids of the {} tasks present must be increasing numbers below "
                "the number of all tasks ({}).",
                method,
                problem.tasks,
                problem.all_tasks);
}

template <class T>
void check_rows(const char* method, const Problem& problem, const Rows<T>& rows, std::size_t size) {
  DETENTE_CHECK(rows.rows == problem.tasks && rows.cols == size && rows.stride >= rows.cols &&
                    (rows.values.empty() || rows.values.size() == size) && rows.samples >= 1 &&
                    size % rows.samples == 0,
                ErrorCode::kShape,
                "[balance::{}] expected {} gradients of {} numbers each, got {} of {}.",
                method,
                problem.tasks,
                size,
                rows.rows,
                rows.cols);
  for (std::size_t i = 0; i < rows.rows; ++i) {
    // A sum of squares in double is finite exactly when every number is (float rows), or when the
    // norm is representable (double rows), which every method needs anyway.
    double squared = 0;
    for (const T x : rows[i]) squared += static_cast<double>(x) * static_cast<double>(x);
    DETENTE_CHECK(std::isfinite(squared),
                  ErrorCode::kNumeric,
                  "[balance::{}] the gradient of task {} is not finite (its squared norm is {}). "
                  "Look for NaN or overflow in that task's loss.",
                  method,
                  task_name(problem, i),
                  squared);
  }
}

void start(const Problem& problem, Result& result) {
  result.weights.resize(problem.tasks);
  result.stop = StopReason::kClosedForm;
  result.iterations = 0;
  result.certificate = std::numeric_limits<double>::quiet_NaN();
  result.message.clear();
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
    case MethodClass::kCross:
      return "X";
    case MethodClass::kCoordinates:
      return "J";
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

std::span<const Objective> Method::draw_objectives(const Problem& /*problem*/) { return {}; }

void Method::solve(const Problem& problem, Result& result) {
  DETENTE_CHECK(method_class() != MethodClass::kCoordinates,
                ErrorCode::kInvalidArgument,
                "[balance::{}] this method needs the gradients themselves (class J), not their "
                "Gram matrix. Call direct() with the rows.",
                name());
  check_tasks(name(), problem);
  if (needs() != MethodClass::kLoss) check_gram(name(), problem);
  if (!problem.cross.empty()) check_cross(name(), problem);
  if (uses_losses()) check_losses(name(), problem);
  start(problem, result);
  compute(problem, result);
}

template <class T>
void Method::direct_any(const Problem& problem,
                        const Rows<T>& rows,
                        std::span<T> d,
                        Result& result) {
  DETENTE_CHECK(method_class() == MethodClass::kCoordinates,
                ErrorCode::kInvalidArgument,
                "[balance::{}] this method answers with weights (class {}), not with a direction. "
                "Call solve().",
                name(),
                name_of(method_class()));
  check_tasks(name(), problem);
  check_rows(name(), problem, rows, d.size());
  if (uses_losses()) check_losses(name(), problem);
  start(problem, result);
  compute_direction(problem, rows, d, result);
}

void Method::direct(const Problem& problem,
                    const Rows<float>& rows,
                    std::span<float> d,
                    Result& result) {
  direct_any(problem, rows, d, result);
}

void Method::direct(const Problem& problem,
                    const Rows<double>& rows,
                    std::span<double> d,
                    Result& result) {
  direct_any(problem, rows, d, result);
}

void Method::losses_after_step(const Problem& problem) {
  check_tasks(name(), problem);
  check_losses(name(), problem);
  compute_after_step(problem);
}

Result solve_once(Method& method, const Problem& problem) {
  Result result;
  method.solve(problem, result);
  return result;
}

void Method::describe(FieldVisitor& /*visitor*/) {}
Json Method::state() const { return nullptr; }
void Method::load_state(const Json& /*state*/) {}
std::vector<StateArray> Method::state_arrays() const { return {}; }

void Method::load_state_arrays(std::vector<StateArray> arrays) {
  DETENTE_CHECK(arrays.empty(),
                ErrorCode::kData,
                "[balance::{}] the saved state has {} arrays; this method has none.",
                name(),
                arrays.size());
}

void Method::compute(const Problem& /*problem*/, Result& /*result*/) {
  fail(ErrorCode::kInternal, "[balance::{}] does not implement solve().", name());
}

void Method::compute_direction(const Problem& /*problem*/,
                               const Rows<float>& /*rows*/,
                               std::span<float> /*d*/,
                               Result& /*result*/) {
  fail(ErrorCode::kInternal, "[balance::{}] does not implement direct().", name());
}

void Method::compute_direction(const Problem& /*problem*/,
                               const Rows<double>& /*rows*/,
                               std::span<double> /*d*/,
                               Result& /*result*/) {
  fail(ErrorCode::kInternal, "[balance::{}] does not implement direct().", name());
}

void Method::compute_after_step(const Problem& /*problem*/) {}

}  // namespace detente::balance

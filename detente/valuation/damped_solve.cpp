// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/nan.h>
#include <detente/core/rng.h>
#include <detente/valuation/damped_solve.h>

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <utility>

namespace detente::valuation {
namespace {

using ConstColumn = Eigen::Map<const Eigen::VectorXd>;

// Directions along which the matrix curves less than this share of the most that was seen are flat:
// what is left of them is rounding.
constexpr double kFlat = 1e-14;
// Columns of the matrix that `direct` asks for at once.
constexpr std::size_t kAtOnce = 64;
// A residual that is so many times the right-hand side does not come back.
constexpr double kDiverged = 1e3;

ConstColumn column(const Vector& v) { return {v.data(), static_cast<Eigen::Index>(v.size())}; }
Eigen::Map<Eigen::VectorXd> column(Vector& v) {
  return {v.data(), static_cast<Eigen::Index>(v.size())};
}
double norm(const Vector& v) { return column(v).stableNorm(); }

void check_options(std::span<const Vector> rights, const SolveOptions& options) {
  DETENTE_CHECK(std::isfinite(options.damping) && options.damping >= 0 && options.tolerance > 0 &&
                    options.most >= 1,
                ErrorCode::kInvalidArgument,
                "[valuation::damped_solve] the damping must be a number of at least 0, the "
                "tolerance above 0 and the steps at least 1; got {}, {} and {}.",
                options.damping,
                options.tolerance,
                options.most);
  for (const Vector& right : rights) {
    DETENTE_CHECK(
        right.size() == rights[0].size(),
        ErrorCode::kShape,
        "[valuation::damped_solve] right-hand sides have {} and {} numbers; expected as many.",
        rights[0].size(),
        right.size());
    DETENTE_CHECK(std::isfinite(norm(right)),
                  ErrorCode::kNumeric,
                  "[valuation::damped_solve] a right-hand side has numbers that are not finite.");
  }
}

std::vector<Vector> checked(const Products& products, std::span<const Vector> vectors) {
  std::vector<Vector> found = products(vectors);
  DETENTE_CHECK(found.size() == vectors.size(),
                ErrorCode::kShape,
                "[valuation::damped_solve] {} products were made of {} vectors.",
                found.size(),
                vectors.size());
  for (const Vector& one : found) {
    DETENTE_CHECK(one.size() == vectors[0].size(),
                  ErrorCode::kShape,
                  "[valuation::damped_solve] a product has {} numbers and its vector {}.",
                  one.size(),
                  vectors[0].size());
    DETENTE_CHECK(std::isfinite(norm(one)),
                  ErrorCode::kNumeric,
                  "[valuation::damped_solve] a product with the curvature is not finite: the loss "
                  "or its derivatives overflow. Check the model's losses (detente eval).");
  }
  return found;
}

// (A + λI) v.
std::vector<Vector> damped(const Products& products,
                           std::span<const Vector> vectors,
                           double damping) {
  std::vector<Vector> found = checked(products, vectors);
  for (std::size_t i = 0; i < found.size(); ++i) column(found[i]) += damping * column(vectors[i]);
  return found;
}

[[noreturn]] void fail_flat(double damping) {
  fail(
      ErrorCode::kNumeric,
      "[valuation::damped_solve] with damping {} the curvature is singular: the loss does not bend "
      "along some direction, and there is nothing to divide by. Give a larger damping.",
      damping);
}

// `curvature`: the least that was seen, without damping.
[[noreturn]] void fail_negative(double curvature) {
  fail(
      ErrorCode::kNumeric,
      "[valuation::damped_solve] along some direction the loss bends downwards (curvature {:.3g}): "
      "it is not convex in what the model says, as correlation, cosine and focal losses are not. "
      "Give a damping above {:.3g}, or judge a run with another loss.",
      curvature,
      -curvature);
}

Vector signs(Rng& rng, std::size_t size) {
  Vector drawn(size);
  for (double& one : drawn) one = (rng() >> 63U) != 0 ? 1.0 : -1.0;
  return drawn;
}

// One right-hand side on its way.
struct Run {
  std::size_t right = 0;
  Vector remainder;  // b − (A + λI)x as the steps have it
  Vector direction;
  double squared = 0;  // of the remainder
  double bound = 0;    // tolerance ‖b‖
};

// The true remainders of some of them; those that are small enough are done, the others begin anew.
void check_remainders(const Products& products,
                      std::span<const Vector> rights,
                      const SolveOptions& options,
                      std::vector<Run>& runs,
                      std::vector<Solution>& solutions) {
  std::vector<Vector> asked;
  for (const Run& run : runs) asked.push_back(solutions[run.right].x);
  if (asked.empty()) return;
  const std::vector<Vector> products_of = damped(products, asked, options.damping);
  for (std::size_t j = 0; j < runs.size(); ++j) {
    Run& run = runs[j];
    Solution& solution = solutions[run.right];
    column(run.remainder) = column(rights[run.right]) - column(products_of[j]);
    run.direction = run.remainder;
    const double length = norm(run.remainder);
    run.squared = length * length;
    solution.residual = length / norm(rights[run.right]);
    solution.reached = length <= run.bound;
  }
}

std::vector<Run> begin_all(std::span<const Vector> rights,
                           const SolveOptions& options,
                           std::vector<Solution>& solutions) {
  std::vector<Run> runs;
  for (std::size_t i = 0; i < rights.size(); ++i) {
    solutions[i].x.assign(rights[i].size(), 0.0);
    const double length = norm(rights[i]);
    solutions[i].reached = length == 0;
    if (length == 0) continue;
    runs.push_back({i, rights[i], rights[i], length * length, options.tolerance * length});
  }
  return runs;
}

}  // namespace

std::vector<Solution> solve_cg(const Products& products,
                               std::span<const Vector> rights,
                               const SolveOptions& options) {
  check_options(rights, options);
  std::vector<Solution> solutions(rights.size());
  std::vector<Run> runs = begin_all(rights, options, solutions);
  double most_curved = 0;
  std::vector<Vector> directions;
  for (std::int64_t step = 0; step < options.most && !runs.empty(); ++step) {
    directions.clear();
    for (const Run& run : runs) directions.push_back(run.direction);
    const std::vector<Vector> moved = damped(products, directions, options.damping);
    std::vector<Run> going;
    std::vector<Run> arrived;
    for (std::size_t j = 0; j < runs.size(); ++j) {
      Run& run = runs[j];
      const double length = column(run.direction).squaredNorm();
      const double bend = column(run.direction).dot(column(moved[j]));
      const double curvature = bend / length;
      most_curved = std::max(most_curved, norm(moved[j]) / std::sqrt(length));
      if (!(curvature > kFlat * most_curved)) {
        if (curvature < -1e-10 * most_curved) fail_negative(curvature - options.damping);
        fail_flat(options.damping);
      }
      const double along = run.squared / bend;
      Solution& solution = solutions[run.right];
      column(solution.x) += along * column(run.direction);
      column(run.remainder) -= along * column(moved[j]);
      ++solution.steps;
      const double next = column(run.remainder).squaredNorm();
      column(run.direction) = column(run.remainder) + next / run.squared * column(run.direction);
      run.squared = next;
      (std::sqrt(next) <= run.bound ? arrived : going).push_back(std::move(run));
    }
    // Rounding lets the steps' own remainder run ahead of the true one.
    check_remainders(products, rights, options, arrived, solutions);
    for (Run& run : arrived) {
      if (!solutions[run.right].reached) going.push_back(std::move(run));
    }
    runs = std::move(going);
    if (options.progress && !options.progress(static_cast<std::size_t>(step + 1),
                                              static_cast<std::size_t>(options.most))) {
      break;
    }
  }
  check_remainders(products, rights, options, runs, solutions);
  return solutions;
}

std::vector<Solution> solve_lissa(const Products& products,
                                  std::span<const Vector> rights,
                                  double scale,
                                  const SolveOptions& options) {
  check_options(rights, options);
  DETENTE_CHECK(std::isfinite(scale) && scale > 0,
                ErrorCode::kInvalidArgument,
                "[valuation::solve_lissa] the scale must be above 0; got {}.",
                scale);
  std::vector<Solution> solutions(rights.size());
  std::vector<Run> runs = begin_all(rights, options, solutions);
  // Of u / s, whose change in a step is the remainder over s: the remainder comes with the step.
  for (Run& run : runs) {
    column(solutions[run.right].x) = column(rights[run.right]) / scale;
  }
  for (std::int64_t step = 0; step < options.most && !runs.empty(); ++step) {
    check_remainders(products, rights, options, runs, solutions);
    std::vector<Run> going;
    for (Run& run : runs) {
      Solution& solution = solutions[run.right];
      ++solution.steps;
      DETENTE_CHECK(solution.residual < kDiverged,
                    ErrorCode::kNumeric,
                    "[valuation::solve_lissa] the steps go away from the solution (residual {:.3g} "
                    "times the right-hand side after {} steps): the scale {:.3g} is below half the "
                    "largest curvature, or the loss bends downwards somewhere. Use cg, or a larger "
                    "damping.",
                    solution.residual,
                    solution.steps,
                    scale);
      if (solution.reached) continue;
      column(solution.x) += column(run.remainder) / scale;
      going.push_back(std::move(run));
    }
    runs = std::move(going);
    if (options.progress && !options.progress(static_cast<std::size_t>(step + 1),
                                              static_cast<std::size_t>(options.most))) {
      break;
    }
  }
  check_remainders(products, rights, options, runs, solutions);
  return solutions;
}

std::vector<Solution> solve_direct(const Products& products,
                                   std::span<const Vector> rights,
                                   const SolveOptions& options) {
  check_options(rights, options);
  std::vector<Solution> solutions(rights.size());
  std::vector<Run> runs = begin_all(rights, options, solutions);
  if (runs.empty()) return solutions;
  const std::size_t size = rights[0].size();
  const auto p = static_cast<Eigen::Index>(size);
  Eigen::MatrixXd matrix(p, p);
  for (std::size_t begin = 0; begin < size; begin += kAtOnce) {
    std::vector<Vector> units(std::min(kAtOnce, size - begin), Vector(size, 0.0));
    for (std::size_t i = 0; i < units.size(); ++i) units[i][begin + i] = 1.0;
    const std::vector<Vector> columns = checked(products, units);
    for (std::size_t i = 0; i < units.size(); ++i) {
      matrix.col(static_cast<Eigen::Index>(begin + i)) = column(columns[i]);
    }
    if (options.progress && !options.progress(begin + units.size(), size)) {
      // A part of the matrix solves nothing.
      for (const Run& run : runs) {
        solutions[run.right].x.assign(size, kNan);
        solutions[run.right].residual = kNan;
      }
      return solutions;
    }
  }
  matrix = (0.5 * (matrix + matrix.transpose())).eval();
  matrix.diagonal().array() += options.damping;
  const Eigen::LDLT<Eigen::MatrixXd> factors(matrix);
  const double most = factors.vectorD().cwiseAbs().maxCoeff();
  const double least = factors.vectorD().minCoeff();
  if (!(least > kFlat * static_cast<double>(size) * most)) {
    // A pivot says that some curvature is negative, an eigenvalue how much.
    if (least < -1e-10 * most) {
      fail(
          ErrorCode::kNumeric,
          "[valuation::solve_direct] with damping {} the curvature is not positive: the loss bends "
          "downwards somewhere, as correlation, cosine and focal losses do. Give a larger damping, "
          "or judge a run with another loss.",
          options.damping);
    }
    fail_flat(options.damping);
  }
  for (Run& run : runs) {
    Solution& solution = solutions[run.right];
    column(solution.x) = factors.solve(column(rights[run.right]));
    solution.steps = static_cast<std::int64_t>(size);
  }
  check_remainders(products, rights, options, runs, solutions);
  return solutions;
}

double largest_eigenvalue(const Products& products,
                          std::size_t size,
                          std::uint64_t seed,
                          std::int64_t steps) {
  Rng rng(seed);
  std::vector<Vector> v = {Vector(size)};
  for (double& one : v[0]) one = rng.normal();
  double length = norm(v[0]);
  double found = 0;
  for (std::int64_t step = 0; step < steps && length > 0; ++step) {
    column(v[0]) /= length;
    v = checked(products, v);
    length = norm(v[0]);
    found = std::max(found, length);
  }
  return found;
}

double typical_eigenvalue(const Products& products,
                          std::size_t size,
                          std::uint64_t seed,
                          std::size_t draws) {
  if (size == 0 || draws == 0) return 0;
  Rng rng(seed);
  std::vector<Vector> drawn;
  for (std::size_t i = 0; i < draws; ++i) drawn.push_back(signs(rng, size));
  const std::vector<Vector> moved = checked(products, drawn);
  // Lengths are divided before they are squared: they may be of any size.
  double trace = 0;
  for (std::size_t i = 0; i < draws; ++i) trace += column(drawn[i]).dot(column(moved[i]));
  if (!(trace > 0)) return 0;
  double sum = 0;
  for (const Vector& one : moved) sum += norm(one) / trace * norm(one);
  return sum;
}

}  // namespace detente::valuation

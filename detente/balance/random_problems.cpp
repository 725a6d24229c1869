// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/gram.h>
#include <detente/balance/random_problems.h>

#include <cmath>

namespace detente::balance {
namespace {

constexpr double kNearness = 1e-3;  // of collinear rows
constexpr double kDrift = 0.05;     // part of a row that changes from step to step
constexpr double kBatchNoise = 0.5;

Matrix normals(std::size_t rows, std::size_t cols, Rng& rng) {
  Matrix matrix(rows, cols);
  for (std::size_t i = 0; i < rows * cols; ++i) matrix.data()[i] = rng.normal();
  return matrix;
}

// The rows of `base` shaped by the family; `common` and `norms` are those of the whole series.
Matrix shaped(ProblemFamily family,
              const Matrix& base,
              const Matrix& common,
              const std::vector<double>& norms) {
  const std::size_t k = base.rows();
  Matrix rows = base;
  for (std::size_t j = 0; j < base.cols(); ++j) {
    double mean = 0;
    for (std::size_t i = 0; i < k; ++i) mean += base(i, j) / static_cast<double>(k);
    for (std::size_t i = 0; i < k; ++i) {
      double& x = rows(i, j);
      if (family == ProblemFamily::kConflicting) x -= 0.95 * mean;
      if (family == ProblemFamily::kCollinear) x = common(0, j) + kNearness * x;
      x *= norms[i];
    }
  }
  return rows;
}

Matrix cross_of(const Matrix& jacobian, Rng& rng) {
  const std::size_t k = jacobian.rows();
  Matrix batches[2] = {jacobian, jacobian};
  for (std::size_t i = 0; i < k; ++i) {
    double size = 0;  // root mean square of the row
    for (std::size_t j = 0; j < jacobian.cols(); ++j) size += jacobian(i, j) * jacobian(i, j);
    size = std::sqrt(size / static_cast<double>(jacobian.cols()));
    for (Matrix& batch : batches) {
      for (std::size_t j = 0; j < jacobian.cols(); ++j) {
        batch(i, j) += kBatchNoise * size * rng.normal();
      }
    }
  }
  Matrix cross(k, k);
  for (std::size_t i = 0; i < k; ++i) {
    for (std::size_t l = 0; l < k; ++l) {
      for (std::size_t j = 0; j < jacobian.cols(); ++j) {
        cross(i, l) += batches[0](i, j) * batches[1](l, j);
      }
    }
  }
  return cross;
}

}  // namespace

const char* name_of(ProblemFamily family) {
  switch (family) {
    case ProblemFamily::kIndependent:
      return "independent";
    case ProblemFamily::kConflicting:
      return "conflicting";
    case ProblemFamily::kCollinear:
      return "collinear";
  }
  return "?";
}

Problem RandomProblem::view(Rng& rng) const {
  return {.tasks = gram.rows(), .gram = gram, .losses = losses, .rng = &rng, .cross = cross};
}

std::vector<RandomProblem> random_problems(
    ProblemFamily family, std::size_t k, std::size_t count, std::uint64_t seed, bool drift) {
  Rng rng = Rng(seed).fork(1000 * static_cast<std::uint64_t>(family) + k);
  const std::size_t p = 2 * k;
  std::vector<RandomProblem> problems(count);
  Matrix base;
  Matrix common;
  std::vector<double> norms(k);
  for (RandomProblem& problem : problems) {
    Matrix fresh = normals(k, p, rng);
    if (!drift || base.rows() == 0) {
      base = std::move(fresh);
      common = normals(1, p, rng);
      for (double& norm : norms) {
        norm = family == ProblemFamily::kCollinear ? 1.0 : std::pow(10.0, rng.uniform());
      }
    } else {
      const double keep = std::sqrt(1.0 - kDrift * kDrift);
      for (std::size_t i = 0; i < k * p; ++i) {
        base.data()[i] = keep * base.data()[i] + kDrift * fresh.data()[i];
      }
    }
    problem.jacobian = shaped(family, base, common, norms);
    problem.gram = gram_matrix(problem.jacobian);
    problem.cross = cross_of(problem.jacobian, rng);
    problem.losses.resize(k);
    for (double& loss : problem.losses) loss = 0.5 + rng.uniform();
  }
  return problems;
}

void solve_any(Method& method,
               const RandomProblem& problem,
               Rng& rng,
               std::vector<double>& direction,
               Result& result) {
  const Matrix& jacobian = problem.jacobian;
  if (method.method_class() == MethodClass::kCoordinates) {
    direction.resize(jacobian.cols());
    Rows<double> rows{jacobian.data(), jacobian.rows(), jacobian.cols(), jacobian.cols()};
    // As if the rows were gradients at features: any values of their number, one sample.
    if (method.at_features()) rows.values = {jacobian.data(), jacobian.cols()};
    method.direct(problem.view(rng), rows, std::span<double>(direction), result);
  } else {
    method.solve(problem.view(rng), result);
  }
  if (method.wants_losses_after_step()) method.losses_after_step(problem.view(rng));
}

}  // namespace detente::balance

// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/mgda.h>

#include <cmath>

#include "tests/support/methods.h"
#include "tests/support/problems.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

std::vector<double> unit(std::vector<double> u) {
  const double length = norm_of(u);
  for (double& x : u) x /= length;
  return u;
}

// u_j − u for the constraints that are active, straight from the definition.
std::vector<std::vector<double>> active_of(const std::vector<double>& losses,
                                           const std::vector<double>& preference,
                                           const std::vector<std::vector<double>>& others) {
  std::vector<std::vector<double>> rows;
  const auto u = unit(preference);
  for (const auto& other : others) {
    auto row = unit(other);
    for (std::size_t i = 0; i < row.size(); ++i) row[i] -= u[i];
    if (dot(row, losses) > 0) rows.push_back(row);
  }
  return rows;
}

// d is the shortest vector of the hull of the rows: no row has a smaller inner product with it than
// ‖d‖², relative to what is multiplied.
void expect_shortest(const std::vector<std::vector<double>>& rows, const std::vector<double>& d) {
  double largest = 0;
  double least = std::numeric_limits<double>::infinity();
  for (const auto& row : rows) {
    largest = std::max(largest, norm_of(row));
    least = std::min(least, norm_of(row));
  }
  EXPECT_LE(norm_of(d), least * (1 + kReference));
  for (const auto& row : rows) {
    EXPECT_GE(dot(row, d), dot(d, d) - kReference * norm_of(row) * std::max(norm_of(d), least));
  }
}

TEST(ParetoMtl, IsMgdaWithoutActiveConstraints) {
  Rng rng(861);
  for (const auto& [family, name] : families()) {
    for (const std::size_t k : {2, 3, 8, 33, 64}) {
      SCOPED_TRACE(testing::Message() << name << " k=" << k);
      const Matrix gram = gram_of(problem_of(family, k, rng));
      const auto method = make_with("pareto_mtl");
      const Result result = solve_gram(*method, gram, std::vector<double>(k, 0.7));
      const auto exact = mgda(gram).weights;
      EXPECT_LE(result.certificate, kCertificate);
      double size = 0;
      for (std::size_t i = 0; i < k; ++i) size = std::max(size, gram(i, i) * exact[i]);
      EXPECT_NEAR(dot(result.weights, times(gram, result.weights)) / size,
                  dot(exact, times(gram, exact)) / size,
                  kReference);
    }
  }
}

TEST(ParetoMtl, IsShortestAmongGradientsAndActiveConstraints) {
  Rng rng(862);
  int active = 0;
  for (const Family family :
       {Family::kGaussian, Family::kConflicting, Family::kAligned, Family::kRankDeficient}) {
    for (const std::size_t k : {2, 3, 5, 9}) {
      for (int round = 0; round < 5; ++round) {
        SCOPED_TRACE(testing::Message() << static_cast<int>(family) << " k=" << k << " " << round);
        const Matrix jacobian = problem_of(family, k, rng);
        std::vector<double> losses(k), preference(k), flat;
        std::vector<std::vector<double>> others;
        for (double& x : losses) x = std::exp(rng.normal());
        for (double& x : preference) x = 0.1 + rng.uniform();
        for (std::size_t j = 0; j < k + 2; ++j) {
          std::vector<double> other(k);
          for (double& x : other) x = 0.1 + rng.uniform();
          flat.insert(flat.end(), other.begin(), other.end());
          others.push_back(other);
        }
        const auto method = make_with("pareto_mtl",
                                      {{"preference", list_of(preference)},
                                       {"others", list_of(flat)},
                                       {"region_steps", "0"}});
        const Result result = solve_gram(*method, gram_of(jacobian), losses);
        EXPECT_LE(result.certificate, kCertificate);
        std::vector<std::vector<double>> rows;
        for (std::size_t i = 0; i < k; ++i) rows.push_back(row_of(jacobian, i));
        for (const auto& constraint : active_of(losses, preference, others)) {
          rows.push_back(direction_of(jacobian, constraint));
          ++active;
        }
        expect_shortest(rows, direction_of(jacobian, result.weights));
      }
    }
  }
  EXPECT_GT(active, 100);
}

TEST(ParetoMtl, MovesToItsRegionFirst) {
  Rng rng(863);
  const Matrix jacobian = random_jacobian(3, 6, rng);
  const std::vector<double> losses = {5, 0.1, 0.1};
  const auto method = make_with("pareto_mtl");
  const Result result = solve_gram(*method, gram_of(jacobian), losses);
  const auto constraints = active_of(losses, {1, 1, 1}, {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}});
  ASSERT_EQ(constraints.size(), 1U);
  // One constraint: its row itself.
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_NEAR(result.weights[i], constraints[0][i], kRounding);
  }
}

TEST(ParetoMtl, ReturnsNoMoreToTheFirstPhase) {
  Rng rng(864);
  const Matrix jacobian = random_jacobian(3, 6, rng);
  const Matrix gram = gram_of(jacobian);
  const std::vector<double> inside = {1, 1, 1};
  const std::vector<double> outside = {5, 0.1, 0.1};
  const auto method = make_with("pareto_mtl");
  solve_gram(*method, gram, inside);
  const auto w = solve_gram(*method, gram, outside).weights;
  const auto second = make_with("pareto_mtl", {{"region_steps", "0"}});
  EXPECT_EQ(w, solve_gram(*second, gram, outside).weights);
}

TEST(ParetoMtl, EndsTheFirstPhaseAfterItsSteps) {
  Rng rng(865);
  const Matrix gram = gram_of(random_jacobian(3, 6, rng));
  const std::vector<double> outside = {5, 0.1, 0.1};
  const auto method = make_with("pareto_mtl", {{"region_steps", "2"}});
  const auto second = make_with("pareto_mtl", {{"region_steps", "0"}});
  const auto w = solve_gram(*second, gram, outside).weights;
  EXPECT_NE(solve_gram(*method, gram, outside).weights, w);
  EXPECT_NE(solve_gram(*method, gram, outside).weights, w);
  EXPECT_EQ(solve_gram(*method, gram, outside).weights, w);
}

TEST(ParetoMtl, FollowsTheClosedFormForTwoTasks) {
  // One active constraint c = u₁ − u with u = (1, 1)/√2 and u₁ = (1, 0), orthonormal gradients: the
  // hull of e₁, e₂ and c, whose point nearest to 0 lies between e₂ and c.
  const double h = std::sqrt(0.5);
  const std::vector<double> c = {1 - h, -h};
  const double cc = c[0] * c[0] + c[1] * c[1];
  const double beta = (1 - c[1]) / (1 + cc - 2 * c[1]);
  const auto method = make_with("pareto_mtl", {{"region_steps", "0"}});
  const auto w = solve_gram(*method, matrix_of({{1, 0}, {0, 1}}), {3, 0.2}).weights;
  EXPECT_NEAR(w[0], beta * c[0], kRounding);
  EXPECT_NEAR(w[1], 1 - beta + beta * c[1], kRounding);
}

TEST(ParetoMtl, RescalesAsTheAuthorsCodeDoes) {
  Rng rng(866);
  const Matrix gram = gram_of(random_jacobian(3, 6, rng));
  const auto method = make_with("pareto_mtl", {{"rescale", "sum_k"}});
  const auto w = solve_gram(*method, gram, {5, 0.1, 0.1}).weights;
  EXPECT_NEAR(std::abs(w[0]) + std::abs(w[1]) + std::abs(w[2]), 3.0, kRounding);
}

TEST(ParetoMtl, SpreadsItsEndsOverTheFront) {
  const std::string all = "[1, 0, 0.92, 0.38, 0.71, 0.71, 0.38, 0.92, 0, 1]";
  const std::vector<std::vector<double>> directions = {
      {1, 0}, {0.92, 0.38}, {0.71, 0.71}, {0.38, 0.92}, {0, 1}};
  double before = std::numeric_limits<double>::infinity();
  for (const auto& u : directions) {
    const auto method = make_with("pareto_mtl", {{"preference", list_of(u)}, {"others", all}});
    const auto losses = descend(*method, matrix_of({{0, 0}, {4, 0}}), 4000);
    // The end belongs to its own direction, to within one step.
    for (const auto& constraint : active_of(losses, u, directions)) {
      EXPECT_LE(dot(constraint, losses), 0.05 * norm_of(losses)) << list_of(u);
    }
    EXPECT_LT(losses[0], before + 0.05);
    before = losses[0];
    // And it is Pareto-optimal: on the segment between the centres √(2L₁) + √(2L₂) = 4.
    EXPECT_NEAR(std::sqrt(2 * losses[0]) + std::sqrt(2 * losses[1]), 4.0, 0.1) << list_of(u);
  }
}

TEST(ParetoMtl, LeavesAVanishingConstraintOut) {
  // (u₁ − u)ᵀJ = 0 for the active constraint: nothing can be done about it, mgda remains.
  const double h = std::sqrt(0.5);
  const Matrix jacobian = matrix_of({{h, 0}, {1 - h, 0}});
  const auto method = make_with("pareto_mtl");
  const auto w = solve_gram(*method, gram_of(jacobian), {3, 0.2}).weights;
  EXPECT_NEAR(w[0], 0.0, kReference);
  EXPECT_NEAR(w[1], 1.0, kReference);
}

TEST(ParetoMtl, GivesAZeroDirectionForAZeroGradient) {
  const auto method = make_with("pareto_mtl");
  const Result result = solve_gram(*method, matrix_of({{1, 0}, {0, 0}}), {1, 1});
  EXPECT_EQ(result.weights, (std::vector<double>{0, 1}));
  EXPECT_EQ(result.stop, StopReason::kDegenerate);
}

TEST(ParetoMtl, UsesTheDirectionsOfTheTasksPresent) {
  Rng rng(867);
  const Matrix two = gram_of(random_jacobian(2, 4, rng));
  const std::vector<double> losses = {5, 0.1};
  const std::vector<std::size_t> ids = {0, 2};
  const auto method = make_with("pareto_mtl", {{"preference", "[1, 9, 2]"}});
  Result result;
  method->solve({.tasks = 2, .gram = two, .losses = losses, .ids = ids, .all_tasks = 3}, result);
  const auto alone = make_with("pareto_mtl", {{"preference", "[1, 2]"}});
  EXPECT_EQ(result.weights, solve_gram(*alone, two, losses).weights);
}

TEST(ParetoMtl, RefusesDirectionsOfTheWrongLength) {
  const Matrix gram = matrix_of({{1, 0}, {0, 1}});
  const auto odd = make_with("pareto_mtl", {{"others", "[1, 0, 1]"}});
  EXPECT_THROW(solve_gram(*odd, gram, {1, 1}), Error);
  const auto three = make_with("pareto_mtl", {{"preference", "[1, 0, 1]"}});
  EXPECT_THROW(solve_gram(*three, gram, {1, 1}), Error);
  expect_losses_refused("pareto_mtl", {1}, ErrorCode::kShape, "Gram");
}

}  // namespace
}  // namespace detente::balance

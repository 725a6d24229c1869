// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/simplex.h>
#include <detente/balance/mgda.h>

#include "tests/support/methods.h"
#include "tests/support/problems.h"
#include "tests/support/slow_solvers.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

Matrix random_square(std::size_t k, Rng& rng) { return random_jacobian(k, k, rng); }

TEST(SimplexProjection, AgreesWithTheReference) {
  Rng rng(831);
  std::vector<double> scratch;
  for (const std::size_t k : {1, 2, 5, 30}) {
    for (const double size : {1e-3, 1.0, 10.0}) {
      std::vector<double> v(k);
      for (double& x : v) x = size * rng.normal();
      const Eigen::VectorXd reference = project_on_simplex(eigen_of(v));
      internal::project_on_simplex(v, scratch);
      for (std::size_t i = 0; i < k; ++i) {
        EXPECT_NEAR(v[i], reference(static_cast<Eigen::Index>(i)), kRounding);
      }
    }
  }
}

TEST(SimplexProjection, KeepsItsSumForHugeNumbers) {
  std::vector<double> scratch;
  std::vector<double> v = {-1e300, -1.0000001e300, 3e290};
  internal::project_on_simplex(v, scratch);
  EXPECT_EQ(v, (std::vector<double>{0, 0, 1}));
}

TEST(Modo, TakesOneProjectedStepPerCall) {
  Rng rng(832);
  for (const std::size_t k : {2, 5, 9}) {
    const auto method = make_with("modo", {{"gamma", "0.05"}, {"rho", "0.3"}});
    Eigen::VectorXd w = Eigen::VectorXd::Constant(static_cast<Eigen::Index>(k), 1.0 / k);
    for (int step = 0; step < 10; ++step) {
      const Matrix gram = gram_of(random_jacobian(k, k + 2, rng));
      const Matrix cross = random_square(k, rng);
      Result result;
      method->solve({.tasks = k, .gram = gram, .cross = cross}, result);
      w = project_on_simplex(w - 0.05 * (eigen_of(cross) * w + 0.3 * w));
      for (std::size_t i = 0; i < k; ++i) {
        EXPECT_NEAR(result.weights[i], w(static_cast<Eigen::Index>(i)), kRounding);
      }
    }
  }
}

TEST(Modo, ConvergesToMgdaOnAConstantProblem) {
  Rng rng(833);
  for (const std::size_t k : {2, 4, 8}) {
    const Matrix gram = gram_of(problem_of(Family::kConflicting, k, rng));
    const auto method = make_with("modo", {{"gamma", "0.5"}, {"rho", "0"}, {"normalize", "true"}});
    Result result;
    for (int step = 0; step < 50000; ++step) method->solve({.tasks = k, .gram = gram}, result);
    const auto exact = mgda(gram).weights;
    for (std::size_t i = 0; i < k; ++i) EXPECT_NEAR(result.weights[i], exact[i], kReference);
  }
}

TEST(Modo, StaysAtTheMeanWhenGammaIsZero) {
  Rng rng(834);
  const auto method = make_with("modo", {{"gamma", "0"}});
  for (int step = 0; step < 3; ++step) {
    const auto w = solve_gram(*method, gram_of(random_jacobian(4, 6, rng))).weights;
    EXPECT_EQ(w, std::vector<double>(4, 0.25));
  }
}

TEST(Modo, IsPulledToUniformWeightsByRho) {
  // ρ ≫ ‖A‖ with γρ = 1: one step forgets everything but the constraint.
  Rng rng(835);
  const auto method = make_with("modo", {{"gamma", "1e-9"}, {"rho", "1e9"}});
  Result result;
  const Matrix gram = gram_of(random_jacobian(4, 6, rng));
  method->solve({.tasks = 4, .gram = gram}, result);
  for (const double w : result.weights) EXPECT_NEAR(w, 0.25, kReference);
}

TEST(Modo, IgnoresTheScaleWhenItNormalizes) {
  Rng rng(836);
  const Matrix jacobian = problem_of(Family::kConflicting, 5, rng);
  const auto run = [&](double s) {
    const auto method = make_with("modo", {{"normalize", "true"}});
    solve_gram(*method, gram_of(scaled(jacobian, s)));
    return solve_gram(*method, gram_of(scaled(jacobian, s))).weights;
  };
  const auto w = run(1);
  for (const double s : {1e-150, 1e-6, 1e6, 1e150}) {
    const auto other = run(s);
    for (std::size_t i = 0; i < 5; ++i) EXPECT_NEAR(other[i], w[i], kRounding) << s;
  }
}

TEST(Modo, HasALearningRateWithAUnitOtherwise) {
  // As published: gradients twice as large with a fourth of γ and four times ρ are the same.
  Rng rng(837);
  const Matrix jacobian = problem_of(Family::kGaussian, 5, rng);
  const auto one = make_with("modo", {{"gamma", "0.04"}, {"rho", "0.1"}});
  const auto other = make_with("modo", {{"gamma", "0.01"}, {"rho", "0.4"}});
  const auto w = solve_gram(*one, gram_of(jacobian)).weights;
  const auto v = solve_gram(*other, gram_of(scaled(jacobian, 2))).weights;
  for (std::size_t i = 0; i < 5; ++i) EXPECT_NEAR(w[i], v[i], kRounding);
}

TEST(Modo, KeepsTheWeightOfAnAbsentTask) {
  Rng rng(838);
  const auto method = make_with("modo");
  const auto before = solve_gram(*method, gram_of(random_jacobian(3, 5, rng))).weights;
  const Matrix two = gram_of(random_jacobian(2, 5, rng));
  const std::vector<std::size_t> ids = {1, 2};
  Result result;
  method->solve({.tasks = 2, .gram = two, .ids = ids, .all_tasks = 3}, result);
  EXPECT_NEAR(result.weights[0] + result.weights[1], 1.0, kRounding);
  const auto kept = method->state().at("weights").get<std::vector<double>>();
  EXPECT_EQ(kept[0], before[0]);
  EXPECT_NEAR(kept[0] + kept[1] + kept[2], 1.0, kRounding);
}

TEST(Modo, IsUniformAmongTasksThatHaveLostAllWeight) {
  const auto method = make_with("modo");
  method->load_state(Json{{"weights", {1.0, 0.0, 0.0}}});
  const Matrix gram = gram_of(matrix_of({{1, 0}, {0, 1}}));
  const std::vector<std::size_t> ids = {1, 2};
  Result result;
  method->solve({.tasks = 2, .gram = gram, .ids = ids, .all_tasks = 3}, result);
  EXPECT_EQ(result.weights, (std::vector<double>{0.5, 0.5}));
}

}  // namespace
}  // namespace detente::balance

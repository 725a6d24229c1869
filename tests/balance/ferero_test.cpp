// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "tests/support/methods.h"
#include "tests/support/problems.h"
#include "tests/support/slow_solvers.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

// The published update for two tasks, B = (p₂, −p₁) with p of length 1, on A λ.
struct TwoTasks {
  Eigen::Vector2d p, f = {0.5, 0.5};
  double h = 0;

  Eigen::Vector2d weights() const { return f + h * Eigen::Vector2d(p(1), -p(0)); }
  void step(const Eigen::Matrix2d& a, const Eigen::Vector2d& losses, double gamma) {
    const Eigen::Vector2d b(p(1), -p(0));
    const Eigen::Vector2d slope = a * weights();
    f = project_on_simplex(f - gamma * slope);
    h -= gamma * (b.dot(slope) - 0.5 * b.dot(losses));
  }
};

TEST(Ferero, IsThePublishedUpdateForTwoTasks) {
  Rng rng(851);
  TwoTasks reference;
  reference.p = Eigen::Vector2d(1, 3).normalized();
  const auto method = make_with("ferero", {{"preference", "[1, 3]"}, {"gamma", "0.05"}});
  for (int i = 0; i < 20; ++i) {
    const Matrix gram = gram_of(random_jacobian(2, 3, rng));
    const std::vector<double> losses = {rng.uniform(), 2 * rng.uniform()};
    const auto w = solve_gram(*method, gram, losses).weights;
    reference.step(eigen_of(gram), Eigen::Vector2d(losses[0], losses[1]), 0.05);
    EXPECT_NEAR(w[0], reference.weights()(0), kAccumulated) << i;
    EXPECT_NEAR(w[1], reference.weights()(1), kAccumulated) << i;
  }
}

TEST(Ferero, IsModoWithoutPullWhileTheLossesAreOnTheRay) {
  // With the gradients of equal norm and orthogonal A λ stays on the ray too, so ν stays 0.
  const Matrix gram = matrix_of({{2, 0, 0}, {0, 2, 0}, {0, 0, 2}});
  const auto method = make_with("ferero", {{"gamma", "0.1"}});
  const auto modo = make_with("modo", {{"gamma", "0.1"}, {"rho", "0"}});
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(solve_gram(*method, gram, {0.7, 0.7, 0.7}).weights, solve_gram(*modo, gram).weights);
  }
}

TEST(Ferero, ConvergesToTheMinimiserOfItsProblem) {
  Rng rng(852);
  for (const std::size_t k : {2, 3, 6, 16}) {
    SCOPED_TRACE(k);
    const Matrix gram = gram_of(problem_of(Family::kGaussian, k, rng));
    std::vector<double> losses(k), p(k);
    double pp = 0;
    for (std::size_t i = 0; i < k; ++i) {
      losses[i] = 0.5 + rng.uniform();
      p[i] = 0.5 + rng.uniform();
      pp += p[i] * p[i];
    }
    const auto method =
        make_with("ferero", {{"preference", list_of(p)}, {"gamma", number_text(0.1 / k)}});
    Result result;
    for (int i = 0; i < 60000; ++i) result = solve_gram(*method, gram, losses);
    // Stationary in ν: A λ − L/2 is a multiple of p. Stationary in λ_f: the least entries of A λ
    // carry all of λ_f.
    const auto slope = times(gram, result.weights);
    const auto f = method->state().at("weights").get<std::vector<double>>();
    double along = 0;
    double least = slope[0];
    for (std::size_t i = 0; i < k; ++i) {
      along += p[i] * (slope[i] - 0.5 * losses[i]) / pp;
      least = std::min(least, slope[i]);
    }
    for (std::size_t i = 0; i < k; ++i) {
      EXPECT_NEAR(slope[i] - 0.5 * losses[i], along * p[i], kReference) << i;
      EXPECT_NEAR(f[i] * (slope[i] - least), 0.0, kReference) << i;
    }
  }
}

TEST(Ferero, ReachesThePrescribedDirectionOfLosses) {
  for (const auto& [text, p] : std::vector<std::pair<std::string, std::vector<double>>>{
           {"[]", {1, 1, 1}}, {"[2, 1, 2]", {2, 1, 2}}}) {
    const auto method = make_with("ferero", {{"preference", text}, {"gamma", "0.02"}});
    const auto losses = descend(*method, matrix_of({{0, 0}, {4, 0}, {1, 3}}), 20000);
    double along = 0;
    double pp = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      along += p[i] * losses[i];
      pp += p[i] * p[i];
    }
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_NEAR(losses[i] / (along / pp * p[i]), 1.0, 0.05) << text << " " << i;
    }
  }
}

TEST(Ferero, TakesIndependentBatchesWithDoubleSampling) {
  Rng rng(853);
  const Matrix gram = gram_of(random_jacobian(2, 3, rng));
  const Matrix cross = random_jacobian(2, 2, rng);
  const std::vector<double> losses = {1, 2};
  TwoTasks reference;
  reference.p = Eigen::Vector2d(1, 1).normalized();
  const auto method = make_with("ferero", {{"double_sampling", "true"}, {"gamma", "0.1"}});
  EXPECT_EQ(method->method_class(), MethodClass::kCross);
  EXPECT_TRUE(method->uses_losses());
  reference.step(eigen_of(cross), Eigen::Vector2d(1, 2), 0.1);
  Result result;
  method->solve({.tasks = 2, .gram = gram, .losses = losses, .cross = cross}, result);
  const auto& w = result.weights;
  EXPECT_NEAR(w[0], reference.weights()(0), kRounding);
  EXPECT_NEAR(w[1], reference.weights()(1), kRounding);
}

TEST(Ferero, RescalesAsTheAuthorsCodeDoes) {
  Rng rng(854);
  const Matrix gram = gram_of(random_jacobian(3, 5, rng));
  const auto plain = make_with("ferero", {{"gamma", "0.3"}});
  const auto rescaled = make_with("ferero", {{"gamma", "0.3"}, {"rescale", "sum_one"}});
  const auto w = solve_gram(*plain, gram, {1, 5, 2}).weights;
  const auto v = solve_gram(*rescaled, gram, {1, 5, 2}).weights;
  const double sum = std::abs(w[0]) + std::abs(w[1]) + std::abs(w[2]);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_NEAR(v[i], w[i] / sum, kRounding);
}

TEST(Ferero, IgnoresTheScaleWhenItNormalizes) {
  Rng rng(855);
  const Matrix jacobian = problem_of(Family::kConflicting, 5, rng);
  const auto run = [&](double s) {
    const auto method = make_with("ferero", {{"normalize", "true"}, {"gamma", "0.05"}});
    std::vector<double> losses = {1, 2, 3, 4, 5};
    for (double& loss : losses) loss *= s;
    solve_gram(*method, gram_of(scaled(jacobian, s)), losses);
    return solve_gram(*method, gram_of(scaled(jacobian, s)), losses).weights;
  };
  const auto w = run(1);
  for (const double s : {1e-150, 1e-6, 1e6, 1e150}) {
    const auto other = run(s);
    for (std::size_t i = 0; i < 5; ++i) EXPECT_NEAR(other[i], w[i], kRounding) << s;
  }
}

TEST(Ferero, KeepsTheStateOfAnAbsentTask) {
  Rng rng(856);
  const auto method = make_with("ferero", {{"preference", "[1, 2, 3]"}, {"gamma", "0.01"}});
  solve_gram(*method, gram_of(random_jacobian(3, 5, rng)), {1, 1, 1});
  const Json before = method->state();
  const Matrix two = gram_of(random_jacobian(2, 5, rng));
  const std::vector<double> losses = {1, 1};
  const std::vector<std::size_t> ids = {0, 2};
  Result result;
  method->solve({.tasks = 2, .gram = two, .losses = losses, .ids = ids, .all_tasks = 3}, result);
  for (const char* key : {"weights", "constraint"}) {
    EXPECT_EQ(method->state().at(key).at(1), before.at(key).at(1)) << key;
    EXPECT_NE(method->state().at(key).at(2), before.at(key).at(2)) << key;
  }
}

TEST(Ferero, SaysThatGammaIsTooLarge) {
  Rng rng(857);
  const Matrix gram = gram_of(scaled(random_jacobian(3, 5, rng), 1e20));
  const auto method = make_with("ferero");
  try {
    for (int i = 0; i < 100; ++i) solve_gram(*method, gram, {1, 2, 3});
    FAIL() << "infinite weights were returned";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNumeric);
    EXPECT_NE(std::string(error.what()).find("gamma"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace detente::balance

// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/mgda.h>

#include "tests/support/methods.h"
#include "tests/support/problems.h"
#include "tests/support/slow_solvers.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

double squared_norm(const Matrix& gram, const std::vector<double>& w) {
  return dot(w, times(gram, w));
}

// The rule once more, with the reference projection.
Eigen::VectorXd reference_steps(
    const Matrix& a, Eigen::VectorXd w, double lambda, double lr, double momentum, int steps) {
  const Eigen::MatrixXd m = eigen_of(a);
  Eigen::VectorXd v = Eigen::VectorXd::Zero(w.size());
  for (int i = 0; i < steps; ++i) {
    v = momentum * v + m * (w.array() + lambda / static_cast<double>(w.size())).matrix();
    w = project_on_simplex(w - lr * v);
  }
  return w;
}

TEST(Sdmgrad, FollowsItsRuleOnIndependentBatches) {
  Rng rng(821);
  for (const std::size_t k : {2, 3, 7}) {
    const Matrix step = random_jacobian(k, k + 3, rng);
    const Matrix gram = gram_of(step);
    double trace = 0;
    for (std::size_t i = 0; i < k; ++i) trace += gram(i, i);
    Matrix cross(k, k);
    for (std::size_t i = 0; i < k * k; ++i) cross.data()[i] = rng.normal();
    Matrix unit = cross;
    for (std::size_t i = 0; i < k * k; ++i) unit.data()[i] /= trace;

    const auto method = make_with("sdmgrad", {{"lambda", "0.4"}, {"steps", "3"}, {"lr", "0.5"}});
    Eigen::VectorXd w = Eigen::VectorXd::Constant(static_cast<Eigen::Index>(k), 1.0 / k);
    for (int round = 0; round < 4; ++round) {
      Result result;
      method->solve({.tasks = k, .gram = gram, .cross = cross}, result);
      w = reference_steps(unit, w, 0.4, 0.5, 0.5, 3);
      for (std::size_t i = 0; i < k; ++i) {
        const double expected = (w(static_cast<Eigen::Index>(i)) + 0.4 / k) / 1.4;
        EXPECT_NEAR(result.weights[i], expected, kRounding) << "k=" << k << " round " << round;
      }
    }
  }
}

TEST(Sdmgrad, TendsToTheMeanForLargeLambda) {
  Rng rng(822);
  const Matrix gram = gram_of(problem_of(Family::kConflicting, 5, rng));
  const auto method = make_with("sdmgrad", {{"lambda", "1e9"}});
  for (const double w : solve_gram(*method, gram).weights) EXPECT_NEAR(w, 0.2, kAccumulated * 10);
}

TEST(Sdmgrad, TendsToMgdaForLambdaZero) {
  Rng rng(823);
  for (const Family family : {Family::kGaussian, Family::kConflicting, Family::kAligned}) {
    for (const std::size_t k : {2, 3, 8}) {
      SCOPED_TRACE(testing::Message() << static_cast<int>(family) << " k=" << k);
      const Matrix gram = gram_of(problem_of(family, k, rng));
      const auto method = make_with("sdmgrad", {{"lambda", "0"}, {"steps", "100000"}});
      const auto w = solve_gram(*method, gram).weights;
      const double least = squared_norm(gram, mgda(gram).weights);
      EXPECT_NEAR(squared_norm(gram, w) / gram(0, 0), least / gram(0, 0), kReference);
    }
  }
}

TEST(Sdmgrad, MinimisesTheRegularisedProblem) {
  // With λ > 0: ½‖Jᵀw + λg₀‖² over the simplex, against projected gradient.
  Rng rng(824);
  const double lambda = 0.7;
  const Matrix gram = gram_of(problem_of(Family::kConflicting, 6, rng));
  const Eigen::MatrixXd g = eigen_of(gram);
  const auto shifted = [&](const Eigen::VectorXd& w) {
    return Eigen::VectorXd((w.array() + lambda / 6).matrix());
  };
  const Eigen::VectorXd reference = minimize_on_simplex(
      6,
      [&](const Eigen::VectorXd& w) { return 0.5 * shifted(w).dot(g * shifted(w)); },
      [&](const Eigen::VectorXd& w) { return Eigen::VectorXd(g * shifted(w)); },
      20000);
  const auto method = make_with("sdmgrad", {{"lambda", "0.7"}, {"steps", "100000"}});
  const auto w = solve_gram(*method, gram).weights;
  for (Eigen::Index i = 0; i < 6; ++i) {
    EXPECT_NEAR(w[static_cast<std::size_t>(i)], shifted(reference)(i) / (1 + lambda), kReference);
  }
}

TEST(Sdmgrad, TakesTheGramMatrixWhereThereIsNoCrossMatrix) {
  Rng rng(825);
  const Matrix gram = gram_of(problem_of(Family::kGaussian, 4, rng));
  const auto with = make_with("sdmgrad");
  const auto without = make_with("sdmgrad");
  Result result;
  with->solve({.tasks = 4, .gram = gram, .cross = gram}, result);
  EXPECT_EQ(result.weights, solve_gram(*without, gram).weights);
}

TEST(Sdmgrad, StaysOnTheSimplexWhateverTheCrossMatrix) {
  Rng rng(826);
  for (const double size : {1e-12, 1.0, 1e12}) {
    const auto method = make_with("sdmgrad", {{"lambda", "0"}});
    const Matrix gram = gram_of(random_jacobian(6, 9, rng));
    Matrix cross(6, 6);
    for (std::size_t i = 0; i < 36; ++i) cross.data()[i] = size * rng.normal();
    Result result;
    for (int step = 0; step < 5; ++step) {
      method->solve({.tasks = 6, .gram = gram, .cross = cross}, result);
      expect_on_simplex(result.weights);
    }
  }
}

TEST(Sdmgrad, IgnoresTheScaleOfAllBatchesTogether) {
  Rng rng(827);
  const Matrix step = random_jacobian(4, 6, rng);
  Matrix cross(4, 4);
  for (std::size_t i = 0; i < 16; ++i) cross.data()[i] = rng.normal();
  const auto run = [&](double s) {
    Matrix scaled_cross = cross;
    for (std::size_t i = 0; i < 16; ++i) scaled_cross.data()[i] *= s * s;
    const Matrix gram = gram_of(scaled(step, s));
    Result result;
    make_with("sdmgrad")->solve({.tasks = 4, .gram = gram, .cross = scaled_cross}, result);
    return result.weights;
  };
  const auto w = run(1);
  for (const double s : {1e-6, 1e-3, 1e3, 1e6}) {
    const auto other = run(s);
    for (std::size_t i = 0; i < 4; ++i) EXPECT_NEAR(other[i], w[i], kRounding);
  }
}

TEST(Sdmgrad, KeepsTheWeightOfAnAbsentTask) {
  Rng rng(828);
  const Matrix all = gram_of(random_jacobian(3, 5, rng));
  const Matrix two = gram_of(random_jacobian(2, 5, rng));
  const std::vector<std::size_t> ids = {0, 2};
  const auto method = make_with("sdmgrad", {{"lambda", "0"}, {"steps", "2"}, {"lr", "0.1"}});
  const auto before = solve_gram(*method, all).weights;
  Result result;
  method->solve({.tasks = 2, .gram = two, .ids = ids, .all_tasks = 3}, result);
  EXPECT_NEAR(result.weights[0] + result.weights[1], 1.0, kRounding);
  const auto state = method->state().at("weights").get<std::vector<double>>();
  EXPECT_EQ(state[1], before[1]);
  EXPECT_NEAR(state[0] + state[1] + state[2], 1.0, kRounding);
}

TEST(Sdmgrad, TakesTheStepsOfTheAuthorsCode) {
  Rng rng(829);
  const Matrix gram = gram_of(problem_of(Family::kGaussian, 3, rng));
  double norm = 0;
  for (std::size_t i = 0; i < 3; ++i) norm += std::sqrt(gram(i, i)) / 3;
  Matrix unit = gram;
  for (std::size_t i = 0; i < 9; ++i) unit.data()[i] /= norm * norm;
  const auto method = make_with("sdmgrad", {{"preset", "official_code"}, {"steps", "3"}});
  const auto w = solve_gram(*method, gram).weights;
  const Eigen::VectorXd reference =
      reference_steps(unit, Eigen::VectorXd::Constant(3, 1.0 / 3), 0.3, 10.0, 0.5, 3);
  for (Eigen::Index i = 0; i < 3; ++i) {
    EXPECT_NEAR(w[static_cast<std::size_t>(i)], (reference(i) + 0.1) / 1.3, kAccumulated);
  }
}

TEST(Sdmgrad, LetsExplicitOptionsWinOverThePreset) {
  const auto method = make_with("sdmgrad", {{"preset", "official_code"}, {"lr", "5"}});
  const Json options = fields_to_json([&](FieldVisitor& v) { method->describe(v); });
  EXPECT_EQ(options.at("lr").get<double>(), 5.0);
  EXPECT_EQ(options.at("unit").get<std::string>(), "mean_norm");
}

}  // namespace
}  // namespace detente::balance

// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/cagrad.h>
#include <detente/balance/mgda.h>

#include <functional>
#include <numeric>

#include "tests/support/methods.h"
#include "tests/support/problems.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

using Numbers = std::vector<double>;

// The derivative of f by central differences: exact but for rounding where f is quadratic, or
// linear nearby.
Numbers slope_of(const std::function<double(const Numbers&)>& f, const Numbers& at) {
  const double h = 1e-4;
  Numbers slope;
  for (std::size_t i = 0; i < at.size(); ++i) {
    Numbers above = at, below = at;
    above[i] += h;
    below[i] -= h;
    slope.push_back((f(above) - f(below)) / (2 * h));
  }
  return slope;
}

// ‖g_0 − Σ a_i g_i‖² of the rows themselves.
double gap(const Matrix& jacobian, const Numbers& a) {
  double sum = 0;
  for (std::size_t p = 0; p < jacobian.cols(); ++p) {
    double d = jacobian(0, p);
    for (std::size_t i = 0; i < a.size(); ++i) d -= a[i] * jacobian(i + 1, p);
    sum += d * d;
  }
  return sum;
}

// The nearest point with v >= 0 and this sum, by bisection for what is taken from each.
Numbers nearest(const Numbers& v, double sum) {
  double low = -1e6;
  double high = 1e6;
  for (int i = 0; i < 200; ++i) {
    const double middle = (low + high) / 2;
    double got = 0;
    for (const double x : v) got += std::max(x - middle, 0.0);
    (got > sum ? low : high) = middle;
  }
  Numbers out;
  for (const double x : v) out.push_back(std::max(x - high, 0.0));
  return out;
}

void expect_near(const Numbers& got, const Numbers& expected, double tolerance) {
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], expected[i], tolerance) << i;
}

TEST(Arml, FollowsTheGradientOfTheGapAndStaysOnTheSimplex) {
  Rng rng(901);
  const auto method = make_with("arml", {{"every", "1"}, {"rate", "0.03"}});
  Numbers alpha(3, 1.0);
  int corners = 0;
  for (int step = 0; step < 30; ++step) {
    const Matrix rows = problem_of(Family::kGaussian, 4, rng);
    const Numbers slope = slope_of([&](const Numbers& a) { return gap(rows, a); }, alpha);
    for (std::size_t i = 0; i < 3; ++i) alpha[i] -= 0.03 * slope[i];
    alpha = nearest(alpha, 3);
    for (const double a : alpha) corners += a == 0.0;
    const Numbers w = solve_gram(*method, gram_of(rows)).weights;
    EXPECT_EQ(w[0], 1.0);
    expect_near({w.begin() + 1, w.end()}, alpha, 1e-6);
    EXPECT_NEAR(std::accumulate(w.begin() + 1, w.end(), 0.0), 3, 1e-9);
  }
  EXPECT_GT(corners, 0);  // else the projection has not been tested
}

TEST(Arml, FindsTheWeightsThatMakeTheMainGradient) {
  // g_0 = 1.5 g_1 + 0.5 g_2.
  const Matrix gram = gram_of(matrix_of({{1.5, 1, 0}, {1, 0, 0}, {0, 2, 0}}));
  const auto method = make_with("arml", {{"every", "1"}});
  Numbers w;
  for (int step = 0; step < 2000; ++step) w = solve_gram(*method, gram).weights;
  expect_near(w, {1, 1.5, 0.5}, 1e-9);
}

TEST(Arml, MovesAtEveryNthStepAndAsksForTheGramMatrixThenAlone) {
  const auto method = make_with("arml", {{"every", "3"}});
  const Matrix gram = gram_of(matrix_of({{1, 0}, {1, 0}, {0, 1}}));
  EXPECT_EQ(method->method_class(), MethodClass::kGram);
  Result result;
  Numbers last = {1, 1, 1};
  for (int step = 0; step < 9; ++step) {
    const bool due = step % 3 == 0;
    EXPECT_EQ(method->needs(), due ? MethodClass::kGram : MethodClass::kLoss) << step;
    EXPECT_FALSE(method->uses_losses());
    Problem problem{.tasks = 3};
    if (due) problem.gram = gram;
    method->solve(problem, result);
    EXPECT_EQ(result.weights != last, due) << step;
    last = result.weights;
  }
}

TEST(Arml, GivesTheInnerMethodTheWeightedGradients) {
  Rng rng(902);
  for (const char* rate : {"0", "0.02"}) {
    const Settings moves = {{"every", "1"}, {"rate", rate}};
    const auto alone = make_with("arml", moves);
    Settings with = moves;
    with.insert(with.end(), {{"inner.method", "cagrad"}, {"inner.c", "0.1"}});
    const auto wrapped = make_with("arml", with);
    for (int step = 0; step < 5; ++step) {
      const Matrix rows = problem_of(Family::kGaussian, 3, rng);
      const Numbers alpha = solve_gram(*alone, gram_of(rows)).weights;
      Matrix scaled = rows;
      for (std::size_t i = 0; i < 3; ++i) {
        for (std::size_t p = 0; p < rows.cols(); ++p) scaled(i, p) *= alpha[i];
      }
      const Numbers hat = cagrad(gram_of(scaled), {.c = 0.1}).weights;
      const Numbers w = solve_gram(*wrapped, gram_of(rows)).weights;
      expect_near(direction_of(rows, w), direction_of(scaled, hat), 1e-9);
    }
  }
}

TEST(Arml, TakesClassAndNeedsFromTheInnerMethodToo) {
  EXPECT_EQ(make_with("arml", {{"inner.method", "mgda"}})->needs(), MethodClass::kGram);
  EXPECT_EQ(make_with("arml", {{"inner.method", "dwa"}})->method_class(), MethodClass::kGramLoss);
  EXPECT_EQ(make_with("arml", {{"inner.method", "modo"}})->method_class(), MethodClass::kCross);
  EXPECT_EQ(make_with("arml", {{"rule", "gradnorm"}})->method_class(), MethodClass::kGramLoss);
  EXPECT_TRUE(make_with("arml", {{"rule", "gradnorm"}})->uses_losses());
  EXPECT_FALSE(make_with("arml")->uses_losses());
  EXPECT_THROW(make_with("arml", {{"inner.method", "arml"}}), Error);
  EXPECT_THROW(make_with("cr_mogm", {{"inner.method", "arml"}}), Error);
}

TEST(Arml, RuleGradnormFollowsItsObjectiveAndKeepsTheSum) {
  Rng rng(903);
  const auto method =
      make_with("arml", {{"every", "1"}, {"rate", "0.01"}, {"rule", "gradnorm"}, {"task", "1"}});
  const std::vector<std::size_t> aux = {0, 2, 3};
  Numbers alpha(3, 1.0), first;
  for (int step = 0; step < 20; ++step) {
    const Matrix rows = problem_of(Family::kGaussian, 4, rng);
    const Matrix gram = gram_of(rows);
    Numbers losses;
    for (int i = 0; i < 4; ++i) losses.push_back(0.5 + rng.uniform());
    if (step == 0) first = losses;
    double rate = 0;
    for (const std::size_t i : aux) rate += losses[i] / first[i] / 3;
    const auto objective = [&](const Numbers& a) {
      double mean = 0;
      for (std::size_t i = 0; i < 3; ++i) mean += a[i] * std::sqrt(gram(aux[i], aux[i])) / 3;
      double sum = 0;
      for (std::size_t i = 0; i < 3; ++i) {
        const double r = losses[aux[i]] / first[aux[i]] / rate;
        sum += std::abs(a[i] * std::sqrt(gram(aux[i], aux[i])) - mean * r);
      }
      return sum;
    };
    const Numbers slope = slope_of(objective, alpha);
    double sum = 0;
    for (std::size_t i = 0; i < 3; ++i) sum += alpha[i] -= 0.01 * slope[i];
    for (double& a : alpha) a *= 3 / sum;
    const Numbers w = solve_gram(*method, gram, losses).weights;
    EXPECT_EQ(w[1], 1.0);
    expect_near({w[0], w[2], w[3]}, alpha, 1e-6);
  }
}

TEST(Arml, RefusesAFirstLossOfZeroForGradnormAndATaskThatIsNone) {
  const Matrix gram = gram_of(matrix_of({{1, 0}, {0, 1}}));
  EXPECT_THROW(solve_gram(*make_with("arml", {{"rule", "gradnorm"}}), gram, {1, 0}), Error);
  EXPECT_NO_THROW(solve_gram(*make_with("arml", {{"rule", "gradnorm"}}), gram, {1, -0.5}));
  EXPECT_THROW(solve_gram(*make_with("arml", {{"task", "2"}}), gram), Error);
}

TEST(Arml, ScaleMainDoesNotDependOnTheGradientsScale) {
  for (const char* rule : {"arml", "gradnorm"}) {
    const Settings options = {{"every", "1"}, {"scale", "main"}, {"rule", rule}};
    const auto plain = make_with("arml", options);
    const auto large = make_with("arml", options);
    Rng rng(904);
    for (int step = 0; step < 5; ++step) {
      const Matrix gram = gram_of(problem_of(Family::kGaussian, 3, rng));
      Matrix scaled = gram;
      for (std::size_t i = 0; i < 9; ++i) scaled.data()[i] *= 1e200;
      expect_near(solve_gram(*large, scaled, {1, 2, 3}).weights,
                  solve_gram(*plain, gram, {1, 2, 3}).weights,
                  1e-9);
    }
  }
}

TEST(Arml, LeavesAMoveOutThatOverflows) {
  const Matrix gram = matrix_of({{1e308, -1e308, 0}, {-1e308, 1e308, 0}, {0, 0, 1e308}});
  const auto method = make_with("arml", {{"every", "1"}});
  const Result result = solve_gram(*method, gram);
  expect_near(result.weights, {1, 1, 1}, 0);
  EXPECT_EQ(result.stop, StopReason::kDegenerate);
}

TEST(Arml, WaitsForTheMainTaskAndKeepsAbsentWeights) {
  const auto method = make_with("arml", {{"every", "2"}, {"rate", "0.1"}});
  Result result;
  // Due, but the main task is away.
  const std::vector<std::size_t> others = {1, 2, 3};
  const Matrix three = gram_of(matrix_of({{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}));
  method->solve({.tasks = 3, .gram = three, .ids = others, .all_tasks = 4}, result);
  expect_near(result.weights, {1, 1, 1}, 0);
  EXPECT_EQ(method->needs(), MethodClass::kGram);
  // Task 3 is away: it keeps 1, and the two others keep 2 between them.
  const std::vector<std::size_t> ids = {0, 1, 2};
  const Matrix gram = gram_of(matrix_of({{1, 0, 0}, {1, 0, 0}, {0, 1, 0}}));
  method->solve({.tasks = 3, .gram = gram, .ids = ids, .all_tasks = 4}, result);
  EXPECT_NEAR(result.weights[1] + result.weights[2], 2, kRounding);
  EXPECT_NEAR(result.weights[1], 1.1, kRounding);  // slopes 0 and 2, the mean taken back
  method->solve({.tasks = 4}, result);
  EXPECT_EQ(result.weights[3], 1.0);
}

TEST(Arml, RefusesTheStateOfOtherMethodsAndSizes) {
  const auto method = make_with("arml");
  const Matrix gram = gram_of(matrix_of({{1, 0}, {0, 1}}));
  solve_gram(*method, gram);
  Json state = method->state();
  EXPECT_THROW(make_with("arml", {{"inner.method", "mgda"}})->load_state(state), Error);
  state["alpha"] = {1.0};
  EXPECT_THROW(make_with("arml")->load_state(state), Error);
}

}  // namespace
}  // namespace detente::balance

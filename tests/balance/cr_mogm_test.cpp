// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/cagrad.h>
#include <detente/balance/mgda.h>

#include "tests/support/methods.h"
#include "tests/support/problems.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

std::vector<Matrix> random_grams(std::size_t k, int count, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<Matrix> grams;
  for (int i = 0; i < count; ++i) grams.push_back(gram_of(problem_of(Family::kGaussian, k, rng)));
  return grams;
}

TEST(CrMogm, AveragesTheWeightsOfTheInnerMethod) {
  const auto method = make_with("cr_mogm", {{"a", "0.7"}});
  std::vector<double> expected;
  for (const Matrix& gram : random_grams(5, 20, 801)) {
    const auto w = solve_gram(*method, gram).weights;
    const auto hat = mgda(gram).weights;
    if (expected.empty()) expected = hat;
    for (std::size_t i = 0; i < 5; ++i) {
      expected[i] = 0.7 * expected[i] + 0.3 * hat[i];
      EXPECT_NEAR(w[i], expected[i], kRounding);
    }
  }
}

TEST(CrMogm, IsTheInnerMethodWhenAIsZero) {
  const auto method = make_with("cr_mogm", {{"a", "0"}});
  for (const Matrix& gram : random_grams(4, 5, 802)) {
    EXPECT_EQ(solve_gram(*method, gram).weights, mgda(gram).weights);
  }
}

TEST(CrMogm, KeepsTheFirstWeightsWhenAIsOne) {
  const auto method = make_with("cr_mogm", {{"a", "1"}});
  const auto grams = random_grams(4, 5, 803);
  for (const Matrix& gram : grams) {
    EXPECT_EQ(solve_gram(*method, gram).weights, mgda(grams.front()).weights);
  }
}

TEST(CrMogm, WrapsAnyMethodWithItsOptions) {
  const auto method =
      make_with("cr_mogm", {{"inner.method", "cagrad"}, {"inner.c", "0.8"}, {"a", "0"}});
  const auto grams = random_grams(3, 1, 804);
  EXPECT_EQ(solve_gram(*method, grams[0]).weights, cagrad(grams[0], {.c = 0.8}).weights);
}

TEST(CrMogm, TakesClassAndNeedsFromTheInnerMethod) {
  const auto losses = make_with("cr_mogm", {{"inner.method", "dwa"}});
  EXPECT_EQ(losses->method_class(), MethodClass::kLoss);
  EXPECT_EQ(losses->needs(), MethodClass::kLoss);
  EXPECT_TRUE(losses->uses_losses());
  const auto fixed = make_with("cr_mogm", {{"inner.method", "ew"}});
  EXPECT_FALSE(fixed->uses_losses());
  const auto both = make_with("cr_mogm", {{"inner.normalizer", "loss"}});
  EXPECT_EQ(both->method_class(), MethodClass::kGramLoss);
}

TEST(CrMogm, RefusesAWrapperInside) {
  EXPECT_THROW(make_with("cr_mogm", {{"inner.method", "cr_mogm"}}), Error);
  EXPECT_THROW(make_with("cr_mogm", {{"inner.method", "every_n"}}), Error);
}

TEST(CrMogm, KeepsTheWeightOfAnAbsentTask) {
  const auto method = make_with("cr_mogm", {{"a", "0.5"}});
  const Matrix all = gram_of(matrix_of({{1, 0, 0}, {0, 2, 0}, {0, 0, 3}}));
  const Matrix two = gram_of(matrix_of({{1, 0, 0}, {0, 0, 3}}));
  const std::vector<std::size_t> ids = {0, 2};
  const auto whole = mgda(all).weights;
  const auto part = mgda(two).weights;

  EXPECT_EQ(solve_gram(*method, all).weights, whole);
  Result result;
  method->solve({.tasks = 2, .gram = two, .ids = ids, .all_tasks = 3}, result);
  EXPECT_NEAR(result.weights[0], 0.5 * (whole[0] + part[0]), kRounding);
  EXPECT_NEAR(result.weights[1], 0.5 * (whole[2] + part[1]), kRounding);
  method->solve({.tasks = 3, .gram = all}, result);
  EXPECT_NEAR(result.weights[1], whole[1], kRounding);
}

TEST(CrMogm, StartsALateTaskFromItsFirstWeight) {
  const auto method = make_with("cr_mogm", {{"a", "0.9"}});
  const Matrix all = gram_of(matrix_of({{1, 0}, {0, 2}}));
  const Matrix one = gram_of(matrix_of({{1, 0}}));
  const std::vector<std::size_t> ids = {0};
  Result result;
  method->solve({.tasks = 1, .gram = one, .ids = ids, .all_tasks = 2}, result);
  method->solve({.tasks = 2, .gram = all}, result);
  EXPECT_NEAR(result.weights[0], 0.9 + 0.1 * mgda(all).weights[0], kRounding);
  EXPECT_NEAR(result.weights[1], mgda(all).weights[1], kRounding);
}

TEST(CrMogm, SavesTheStateOfTheInnerMethod) {
  const auto saved = make_with("cr_mogm", {{"inner.method", "uw"}});
  const std::vector<double> losses = {0.3, 2.0};
  weigh_losses(*saved, losses, 5);
  const auto restored = make_with("cr_mogm", {{"inner.method", "uw"}});
  restored->load_state(Json::parse(saved->state().dump()));
  EXPECT_EQ(weigh_losses(*restored, losses), weigh_losses(*saved, losses));
}

TEST(CrMogm, RefusesTheStateOfAnotherInnerMethod) {
  const auto saved = make_with("cr_mogm", {{"inner.method", "uw"}});
  weigh_losses(*saved, {0.3, 2.0});
  EXPECT_THROW(make_with("cr_mogm", {{"inner.method", "dwa"}})->load_state(saved->state()), Error);
}

}  // namespace
}  // namespace detente::balance

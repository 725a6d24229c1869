// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/mgda.h>

#include "tests/support/methods.h"
#include "tests/support/problems.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

Matrix random_gram(std::size_t k, Rng& rng) {
  return gram_of(problem_of(Family::kGaussian, k, rng));
}

TEST(EveryN, ComputesAtEveryNthStepAndKeepsInBetween) {
  Rng rng(811);
  const auto method = make_with("every_n", {{"n", "3"}});
  std::vector<double> expected;
  for (int step = 0; step < 10; ++step) {
    const Matrix gram = random_gram(4, rng);
    if (step % 3 == 0) expected = mgda(gram).weights;
    EXPECT_EQ(solve_gram(*method, gram).weights, expected) << step;
  }
}

TEST(EveryN, AnnouncesWhatTheNextStepNeeds) {
  const auto method = make_with("every_n", {{"n", "3"}, {"inner.normalizer", "loss"}});
  const Matrix gram = gram_of(matrix_of({{1, 0}, {0, 2}}));
  const std::vector<double> losses = {1.0, 2.0};
  Result result;
  for (int step = 0; step < 7; ++step) {
    const bool due = step % 3 == 0;
    EXPECT_EQ(method->needs(), due ? MethodClass::kGramLoss : MethodClass::kLoss) << step;
    EXPECT_EQ(method->uses_losses(), due) << step;
    EXPECT_EQ(method->method_class(), MethodClass::kGramLoss);
    if (due) {
      method->solve({.tasks = 2, .gram = gram, .losses = losses}, result);
    } else {
      method->solve({.tasks = 2}, result);  // nothing but the number of tasks
    }
  }
}

// A step takes four gradients instead of nine then.
TEST(EveryN, PassesOnTheObjectivesThatTheInnerMethodDraws) {
  Rng problems(815);
  const Matrix gram = random_gram(9, problems);
  const auto wrapped = make_with("every_n", {{"n", "2"}, {"inner.method", "cagrad_fast"}});
  const auto inner = make_with("cagrad_fast", {});
  for (int step = 0; step < 4; ++step) {
    Rng one(static_cast<std::uint64_t>(step));
    Rng other(static_cast<std::uint64_t>(step));
    const auto objectives = wrapped->draw_objectives({.tasks = 9, .rng = &one});
    Result result;
    if (step % 2 == 1) {
      EXPECT_TRUE(objectives.empty());
      wrapped->solve({.tasks = 9}, result);
      continue;
    }
    ASSERT_EQ(objectives.size(), 4U);
    const Matrix small = gram_of_objectives(objectives, gram);
    wrapped->solve({.tasks = 9, .gram = small, .rng = &one, .objectives = 4}, result);
    Result expected;
    inner->solve({.tasks = 9, .gram = gram, .rng = &other}, expected);
    for (std::size_t i = 0; i < 9; ++i) EXPECT_NEAR(result.weights[i], expected.weights[i], 1e-9);
  }
}

TEST(EveryN, IsTheInnerMethodWhenNIsOne) {
  Rng rng(812);
  const auto method = make_with("every_n", {{"n", "1"}});
  for (int step = 0; step < 5; ++step) {
    const Matrix gram = random_gram(3, rng);
    EXPECT_EQ(solve_gram(*method, gram).weights, mgda(gram).weights);
  }
}

TEST(EveryN, ComputesAtOnceWhenTheTasksChange) {
  Rng rng(813);
  const auto method = make_with("every_n", {{"n", "5"}});
  const Matrix all = random_gram(3, rng);
  const Matrix two = random_gram(2, rng);
  const std::vector<std::size_t> ids = {0, 2};
  solve_gram(*method, all);
  Result result;
  method->solve({.tasks = 2, .gram = two, .ids = ids, .all_tasks = 3}, result);
  EXPECT_EQ(result.weights, mgda(two).weights);
  // The period starts anew: four kept steps follow.
  for (int step = 0; step < 4; ++step) {
    EXPECT_EQ(method->needs(), MethodClass::kLoss);
    method->solve({.tasks = 2, .ids = ids, .all_tasks = 3}, result);
    EXPECT_EQ(result.weights, mgda(two).weights);
  }
  EXPECT_EQ(method->needs(), MethodClass::kGram);
}

TEST(EveryN, KeepsEachTasksOwnWeightWhenThereIsNoGramMatrix) {
  Rng rng(814);
  const auto method = make_with("every_n", {{"n", "5"}});
  const Matrix two = random_gram(2, rng);
  const auto w = mgda(two).weights;
  const std::vector<std::size_t> first = {0, 2};
  const std::vector<std::size_t> second = {0, 1};
  Result result;
  method->solve({.tasks = 2, .gram = two, .ids = first, .all_tasks = 3}, result);
  method->solve({.tasks = 2, .ids = second, .all_tasks = 3}, result);
  EXPECT_EQ(result.weights[0], w[0]);
  EXPECT_EQ(result.weights[1], w[0]);  // task 1 never had one: the mean of the others present
  EXPECT_EQ(method->needs(), MethodClass::kGram);  // and the next step computes
}

TEST(EveryN, GivesUniformWeightsToTasksNeverSeen) {
  const auto method = make_with("every_n");
  const Matrix one = gram_of(matrix_of({{1, 0}}));
  const std::vector<std::size_t> first = {0};
  const std::vector<std::size_t> others = {1, 2};
  Result result;
  method->solve({.tasks = 1, .gram = one, .ids = first, .all_tasks = 3}, result);
  method->solve({.tasks = 2, .ids = others, .all_tasks = 3}, result);
  EXPECT_EQ(result.weights, (std::vector<double>{0.5, 0.5}));
}

TEST(EveryN, SkipsTheInnerRandomNumbersOfKeptSteps) {
  const auto method = make_with("every_n", {{"inner.method", "rlw"}, {"n", "2"}});
  const auto plain = make_with("rlw");
  Rng a(5);
  Rng b(5);
  for (int step = 0; step < 6; ++step) {
    const auto w = weigh_losses(*method, {1, 1, 1}, 1, &a);
    if (step % 2 == 0) {
      EXPECT_EQ(w, weigh_losses(*plain, {1, 1, 1}, 1, &b));
    }
  }
  EXPECT_EQ(a.state(), b.state());
}

TEST(EveryN, PassesLossesAfterAStepOnlyWhenTheInnerMethodTookIt) {
  const auto method = make_with("every_n", {{"inner.method", "famo"}, {"n", "2"}});
  const auto plain = make_with("famo");
  Rng rng(816);
  for (int step = 0; step < 6; ++step) {
    const std::vector<double> before = {1 + rng.uniform(), 1 + rng.uniform()};
    const std::vector<double> after = {rng.uniform(), rng.uniform()};
    const auto w = weigh_losses(*method, before);
    EXPECT_EQ(method->wants_losses_after_step(), step % 2 == 0) << step;
    method->losses_after_step({.tasks = 2, .losses = after});
    if (step % 2 == 0) {
      EXPECT_EQ(w, weigh_losses(*plain, before)) << step;
      plain->losses_after_step({.tasks = 2, .losses = after});
    }
  }
}

TEST(EveryN, ContinuesInsideAPeriod) {
  Rng rng(815);
  const auto method = make_with("every_n", {{"n", "3"}});
  auto part = make_with("every_n", {{"n", "3"}});
  for (int step = 0; step < 8; ++step) {
    const Matrix gram = random_gram(4, rng);
    const Json text = Json::parse(part->state().dump());
    part = make_with("every_n", {{"n", "3"}});
    part->load_state(text);
    EXPECT_EQ(part->needs(), method->needs());
    EXPECT_EQ(solve_gram(*part, gram).weights, solve_gram(*method, gram).weights);
  }
}

TEST(EveryN, RefusesAPeriodBelowOne) { EXPECT_THROW(make_with("every_n", {{"n", "0"}}), Error); }

}  // namespace
}  // namespace detente::balance

// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/metabalance.h>
#include <gtest/gtest.h>

#include "tests/support/methods.h"
#include "tests/support/problems.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;
using When = MetabalanceOptions::When;

TEST(Metabalance, MakesAllGradientsAsLongAsTheMainOne) {
  Rng rng(2101);
  for (const auto& [family, name] : families()) {
    SCOPED_TRACE(name);
    const Matrix jacobian = problem_of(family, 5, rng);
    const auto w = metabalance(gram_of(jacobian), {.task = 2, .relax = 1}).weights;
    const double wanted = norm_of(row_of(jacobian, 2));
    for (std::size_t i = 0; i < 5; ++i) {
      EXPECT_NEAR(w[i] * norm_of(row_of(jacobian, i)), wanted, kRounding * wanted) << i;
    }
  }
}

TEST(Metabalance, GoesTheRelaxedPartOfTheWay) {
  const Matrix gram = gram_of(matrix_of({{2, 0}, {0, 8}, {1, 0}}));
  const auto w = metabalance(gram, {.relax = 0.5}).weights;
  EXPECT_EQ(w, (std::vector<double>{1.0, 0.625, 1.5}));
  EXPECT_EQ(metabalance(gram, {.relax = 0}).weights, std::vector<double>(3, 1.0));
}

TEST(Metabalance, ScalesOnlyTheLongerOrTheShorter) {
  const Matrix gram = gram_of(matrix_of({{2, 0}, {0, 8}, {1, 0}}));
  EXPECT_EQ(metabalance(gram, {.relax = 1, .when = When::kLonger}).weights,
            (std::vector<double>{1.0, 0.25, 1.0}));
  EXPECT_EQ(metabalance(gram, {.relax = 1, .when = When::kShorter}).weights,
            (std::vector<double>{1.0, 1.0, 2.0}));
}

TEST(Metabalance, FollowsTheRunningAverages) {
  const auto method = make_with("metabalance", {{"relax", "1"}, {"beta", "0.5"}});
  solve_gram(*method, gram_of(matrix_of({{1, 0}, {0, 1}})));
  // Averages 1/2, 1/2 and then 1/4 + 1/2, 1/4 + 3/2.
  const auto w = solve_gram(*method, gram_of(matrix_of({{1, 0}, {0, 3}}))).weights;
  EXPECT_NEAR(w[1], 0.75 / 1.75, kRounding);
}

TEST(Metabalance, TakesUpTheLengthsOfASnapshot) {
  const auto method = make_with("metabalance");
  solve_gram(*method, gram_of(matrix_of({{1, 0}, {0, 5}})));
  const auto other = make_with("metabalance");
  other->load_state(method->state());
  const Matrix next = gram_of(matrix_of({{3, 0}, {0, 1}}));
  EXPECT_EQ(solve_gram(*other, next).weights, solve_gram(*method, next).weights);
  EXPECT_THROW(other->load_state({{"average", {1.0}}}), Error);
  EXPECT_THROW(solve_gram(*method, gram_of(matrix_of({{1, 0}}))), Error);
}

TEST(Metabalance, LeavesGradientsOfZeroAlone) {
  const auto zero = metabalance(gram_of(matrix_of({{2, 0}, {0, 0}, {0, 1}})), {.relax = 1}).weights;
  EXPECT_EQ(zero, (std::vector<double>{1.0, 1.0, 2.0}));
  const auto main = metabalance(gram_of(matrix_of({{0, 0}, {0, 1}})), {.relax = 0.75}).weights;
  EXPECT_EQ(main, (std::vector<double>{1.0, 0.25}));
}

TEST(Metabalance, WaitsForAnAbsentMainTask) {
  const auto method = make_with("metabalance", {{"relax", "1"}});
  const std::vector<std::size_t> ids = {1, 2};
  const Matrix gram = gram_of(matrix_of({{2, 0}, {0, 8}}));
  Result result;
  method->solve({.tasks = 2, .gram = gram, .ids = ids, .all_tasks = 3}, result);
  EXPECT_EQ(result.weights, std::vector<double>(2, 1.0));
}

TEST(Metabalance, RefusesOptionsOutOfRange) {
  const Matrix gram = gram_of(matrix_of({{1, 0}, {0, 1}}));
  EXPECT_THROW(metabalance(gram, {.task = 2}), Error);
  EXPECT_THROW(metabalance(gram, {.task = -1}), Error);
  EXPECT_THROW(metabalance(gram, {.relax = 1.5}), Error);
  EXPECT_THROW(metabalance(gram, {.beta = 1}), Error);
}

}  // namespace
}  // namespace detente::balance

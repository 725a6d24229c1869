// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/rgw.h>
#include <detente/balance/rlw.h>
#include <gtest/gtest.h>

#include "tests/support/methods.h"
#include "tests/support/problems.h"

namespace detente::balance {
namespace {

using namespace detente::test;

TEST(Rgw, GivesTheWeightsOfRlwFromTheSameNumbers) {
  const auto gradients = make_with("rgw");
  const auto losses = make_with("rlw");
  Rng a(4);
  Rng b(4);
  const Matrix gram = matrix_of({{1, 0.5, 0}, {0.5, 2, 0}, {0, 0, 3}});
  for (int step = 0; step < 20; ++step) {
    EXPECT_EQ(solve_gram(*gradients, gram, {}, &a).weights,
              weigh_losses(*losses, {1, 2, 3}, 1, &b));
  }
}

TEST(Rgw, NeedsTheGradients) {
  Rng rng;
  Result result;
  EXPECT_EQ(make_rgw()->needs(), MethodClass::kGram);
  EXPECT_THROW(make_rgw()->solve({.tasks = 2, .rng = &rng}, result), Error);
}

TEST(Rgw, DemandsAGenerator) {
  EXPECT_THROW(solve_gram(*make_rgw(), matrix_of({{1, 0}, {0, 1}})), Error);
}

}  // namespace
}  // namespace detente::balance

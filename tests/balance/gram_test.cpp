// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/gram.h>
#include <detente/core/error.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/problems.h"

namespace detente::balance {
namespace {

using namespace detente::test;

TEST(GramMatrix, HoldsTheInnerProducts) {
  const Matrix gram = gram_matrix(matrix_of({{1, 2, 0}, {-3, 1, 5}}));
  EXPECT_EQ(gram(0, 0), 5.0);
  EXPECT_EQ(gram(0, 1), -1.0);
  EXPECT_EQ(gram(1, 0), -1.0);
  EXPECT_EQ(gram(1, 1), 35.0);
}

TEST(GramMatrix, PassesItsOwnCheckForEveryFamily) {
  Rng rng(1);
  for (const auto& [family, name] : families()) {
    EXPECT_NO_THROW(check_gram_matrix(gram_matrix(problem_of(family, 9, rng)))) << name;
  }
  EXPECT_NO_THROW(check_gram_matrix(Matrix(3, 3)));
}

TEST(GramMatrix, RefusesWhatNoGradientsHave) {
  EXPECT_THROW(check_gram_matrix(matrix_of({{1, 2}, {2, 1}})), Error);
  EXPECT_THROW(check_gram_matrix(matrix_of({{0, 1}, {1, 1}})), Error);
  EXPECT_THROW(check_gram_matrix(matrix_of({{1, 0, 0}, {0, 1, 0}})), Error);
  EXPECT_THROW(gram_matrix(matrix_of({{1, std::nan("")}})), Error);
}

}  // namespace
}  // namespace detente::balance

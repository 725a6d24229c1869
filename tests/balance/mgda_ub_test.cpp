// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/mgda.h>
#include <detente/balance/mgda_ub.h>
#include <detente/balance/registry.h>
#include <detente/core/error.h>
#include <gtest/gtest.h>

#include "tests/support/methods.h"
#include "tests/support/problems.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

TEST(MgdaUb, AsksForGradientsAtTheRepresentation) {
  EXPECT_TRUE(make_mgda_ub()->at_features());
  EXPECT_FALSE(make_mgda()->at_features());
}

TEST(MgdaUb, SolvesTheProblemOfMgdaForTheRowsItIsGiven) {
  Rng rng(951);
  for (const auto& [family, name] : families()) {
    for (const std::size_t k : {1, 2, 7, 40}) {
      const Matrix gram = gram_of(problem_of(family, k, rng));
      EXPECT_EQ(solve_gram(*make_mgda_ub(), gram).weights, mgda(gram).weights) << name;
    }
  }
}

// J = Z A with A = ∂z/∂θ.
Matrix at_parameters(const Matrix& z, const Matrix& a) {
  Matrix j(z.rows(), a.cols());
  for (std::size_t i = 0; i < z.rows(); ++i) {
    for (std::size_t q = 0; q < z.cols(); ++q) {
      for (std::size_t p = 0; p < a.cols(); ++p) j(i, p) += z(i, q) * a(q, p);
    }
  }
  return j;
}

TEST(MgdaUb, HasTheWeightsOfMgdaOnlyBehindAnIsometry) {
  const Matrix z = matrix_of({{2, 0}, {0, 1}});
  const Matrix turned = matrix_of({{0, 3, 0}, {-3, 0, 0}});    // 3 times an isometry
  const Matrix stretched = matrix_of({{1, 0, 0}, {0, 5, 0}});  // full row rank, but no isometry
  const auto at_z = solve_gram(*make_mgda_ub(), gram_of(z)).weights;
  EXPECT_NEAR(at_z[0], 0.2, kRounding);
  EXPECT_NEAR(mgda(gram_of(at_parameters(z, turned))).weights[0], at_z[0], kRounding);
  EXPECT_NEAR(mgda(gram_of(at_parameters(z, stretched))).weights[0], 25.0 / 29.0, kRounding);
}

TEST(MgdaUb, StopsWhereMgdaStopsBehindAFullRankMap) {
  Rng rng(952);
  const Matrix z = problem_of(Family::kOpposite, 4, rng);
  const Matrix a = random_jacobian(z.cols(), z.cols() + 3, rng);
  const auto w = solve_gram(*make_mgda_ub(), gram_of(z)).weights;
  const Matrix j = at_parameters(z, a);
  EXPECT_NEAR(norm_of(direction_of(j, w)), 0.0, kAccumulated * norm_of(row_of(j, 0)));
}

TEST(MgdaUb, NamesItselfInErrors) {
  const auto method = make_with("mgda_ub", {{"normalizer", "loss"}});
  EXPECT_EQ(method->method_class(), MethodClass::kGramLoss);
  const std::vector<double> losses = {1, 0};
  const Matrix gram = gram_of(matrix_of({{1, 0}, {0, 1}}));
  Result result;
  try {
    method->solve({.tasks = 2, .gram = gram, .losses = losses}, result);
    FAIL() << "a loss of 0 was accepted";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("balance::mgda_ub]"), std::string::npos);
  }
}

}  // namespace
}  // namespace detente::balance

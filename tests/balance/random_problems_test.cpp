// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/gram.h>
#include <detente/balance/random_problems.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/support/problems.h"

namespace detente::balance {
namespace {

using namespace detente::test;

double cosine(const Matrix& gram, std::size_t i, std::size_t j) {
  return gram(i, j) / std::sqrt(gram(i, i) * gram(j, j));
}

double distance(const Matrix& a, const Matrix& b) {
  double squared = 0;
  for (std::size_t i = 0; i < a.rows() * a.cols(); ++i) {
    squared += (a.data()[i] - b.data()[i]) * (a.data()[i] - b.data()[i]);
  }
  return std::sqrt(squared);
}

TEST(RandomProblems, AreTheSameForTheSameSeed) {
  for (const ProblemFamily family : kProblemFamilies) {
    const auto a = random_problems(family, 5, 3, 1);
    const auto b = random_problems(family, 5, 3, 1);
    const auto c = random_problems(family, 5, 3, 2);
    EXPECT_EQ(distance(a[2].gram, b[2].gram), 0.0);
    EXPECT_GT(distance(a[2].gram, c[2].gram), 0.0);
    EXPECT_GT(distance(a[2].gram, a[1].gram), 0.0);
  }
}

TEST(RandomProblems, PassAsGramMatrices) {
  for (const ProblemFamily family : kProblemFamilies) {
    for (const std::size_t k : {1, 2, 20}) {
      for (const auto& problem : random_problems(family, k, 2, 1)) {
        EXPECT_NO_THROW(check_gram_matrix(problem.gram));
        EXPECT_EQ(problem.losses.size(), k);
        EXPECT_EQ(problem.cross.rows(), k);
      }
    }
  }
}

TEST(RandomProblems, ConflictAsTheFamilySays) {
  const auto harmed_by_mean = [](const Matrix& gram) {
    const auto inner = times(gram, std::vector<double>(gram.rows(), 1.0));
    return std::count_if(inner.begin(), inner.end(), [](double x) { return x < 0; });
  };
  const auto independent = random_problems(ProblemFamily::kIndependent, 30, 1, 1)[0].gram;
  const auto conflicting = random_problems(ProblemFamily::kConflicting, 30, 1, 1)[0].gram;
  EXPECT_GT(harmed_by_mean(conflicting), harmed_by_mean(independent));
  EXPECT_GE(harmed_by_mean(conflicting), 3);
}

TEST(RandomProblems, CollinearRowsLeaveTheGramNearlySingular) {
  const auto gram = random_problems(ProblemFamily::kCollinear, 10, 1, 1)[0].gram;
  for (std::size_t i = 1; i < 10; ++i) {
    EXPECT_GT(cosine(gram, i, 0), 1.0 - 1e-5);
    EXPECT_LT(cosine(gram, i, 0), 1.0);
  }
}

TEST(RandomProblems, DriftLittleFromOneToTheNext) {
  for (const ProblemFamily family : kProblemFamilies) {
    const auto drifting = random_problems(family, 10, 20, 1, true);
    const auto fresh = random_problems(family, 10, 20, 1);
    EXPECT_LT(distance(drifting[7].jacobian, drifting[8].jacobian),
              0.2 * distance(fresh[7].jacobian, fresh[8].jacobian));
    EXPECT_GT(distance(drifting[7].jacobian, drifting[8].jacobian), 0.0);
  }
}

}  // namespace
}  // namespace detente::balance

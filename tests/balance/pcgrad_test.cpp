// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/pcgrad.h>
#include <detente/core/error.h>
#include <gtest/gtest.h>

#include <numeric>

#include "tests/support/problems.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

// The paper's algorithm on the gradients themselves, with the order the library draws.
std::vector<double> pcgrad_in_coordinates(const Matrix& jacobian, Rng& rng) {
  const std::size_t k = jacobian.rows();
  std::vector<double> total(jacobian.cols(), 0.0);
  for (std::size_t i = 0; i < k; ++i) {
    std::vector<double> v = row_of(jacobian, i);
    for (const std::size_t j : shuffled_others(k, i, rng)) {
      const auto g = row_of(jacobian, j);
      const double inner = dot(v, g);
      if (inner >= 0) continue;
      for (std::size_t p = 0; p < v.size(); ++p) v[p] -= inner / dot(g, g) * g[p];
    }
    for (std::size_t p = 0; p < v.size(); ++p) total[p] += v[p];
  }
  return total;
}

TEST(Pcgrad, AgreesWithTheAlgorithmOnCoordinates) {
  Rng problems(301);
  for (const auto& [family, name] : families()) {
    for (const std::size_t k : {2, 3, 5, 17}) {
      SCOPED_TRACE(testing::Message() << name << " k=" << k);
      const Matrix jacobian = problem_of(family, k, problems);
      Rng a(9);
      Rng b(9);
      const auto d = direction_of(jacobian, pcgrad(gram_of(jacobian), {}, &a).weights);
      const auto reference = pcgrad_in_coordinates(jacobian, b);
      double size = 0;
      for (const double x : reference) size = std::max(size, std::abs(x));
      for (std::size_t i = 0; i < k; ++i) size += norm_of(row_of(jacobian, i));
      for (std::size_t p = 0; p < d.size(); ++p) {
        EXPECT_NEAR(d[p], reference[p], kAccumulated * size);
      }
    }
  }
}

TEST(Pcgrad, FollowsTheClosedFormForTwoTasks) {
  Rng rng(302);
  for (int round = 0; round < 100; ++round) {
    const Matrix gram = gram_of(random_jacobian(2, 3, rng));
    const double g12 = std::min(gram(0, 1), 0.0);
    const auto w = pcgrad(gram).weights;
    EXPECT_NEAR(w[0], 1 - g12 / gram(0, 0), kRounding * w[0]);
    EXPECT_NEAR(w[1], 1 - g12 / gram(1, 1), kRounding * w[1]);
  }
}

TEST(Pcgrad, HarmsNeitherOfTwoTasks) {
  Rng rng(303);
  for (int round = 0; round < 100; ++round) {
    const Matrix gram = gram_of(random_jacobian(2, 3, rng));
    for (const double inner : times(gram, pcgrad(gram).weights)) {
      EXPECT_GE(inner, -kRounding * (gram(0, 0) + gram(1, 1)));
    }
  }
}

TEST(Pcgrad, IsTheSumWithoutConflict) {
  const Matrix gram = gram_of(matrix_of({{1, 0, 0}, {1, 1, 0}, {0, 1, 1}}));
  Rng rng;
  EXPECT_EQ(pcgrad(gram, {}, &rng).weights, std::vector<double>(3, 1.0));
}

TEST(Pcgrad, NeverWeighsATaskBelowOne) {
  Rng rng(304);
  for (const auto& [family, name] : families()) {
    const Matrix gram = gram_of(problem_of(family, 6, rng));
    for (const double w : pcgrad(gram, {}, &rng).weights) EXPECT_GE(w, 1.0) << name;
  }
}

TEST(Pcgrad, DividesByTheNumberOfTasksOnRequest) {
  Rng rng(305);
  const Matrix gram = gram_of(problem_of(Family::kConflicting, 5, rng));
  Rng a(1);
  Rng b(1);
  const auto sum = pcgrad(gram, {}, &a).weights;
  const auto mean = pcgrad(gram, {.reduction = PcgradOptions::Reduction::kMean}, &b).weights;
  for (std::size_t i = 0; i < 5; ++i) EXPECT_NEAR(5 * mean[i], sum[i], kRounding * sum[i]);
}

TEST(Pcgrad, ShufflesTheOrder) {
  // With three tasks in mutual conflict the order of projection shows in the weights.
  const Matrix gram = gram_of(matrix_of({{1, 0, 0.1}, {-0.6, 1, 0}, {-0.2, -0.9, 1}}));
  bool differs = false;
  const Rng first(0);
  Rng a = first;
  const auto reference = pcgrad(gram, {}, &a).weights;
  for (std::uint64_t seed = 1; seed < 20; ++seed) {
    Rng b(seed);
    differs = differs || pcgrad(gram, {}, &b).weights != reference;
  }
  EXPECT_TRUE(differs);
}

TEST(Pcgrad, DemandsAGeneratorForThreeTasks) {
  const Matrix gram = gram_of(matrix_of({{1, 0}, {0, 1}, {1, 1}}));
  try {
    pcgrad(gram);
    FAIL() << "no generator was accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_NE(std::string(error.what()).find("rng"), std::string::npos) << error.what();
  }
}

TEST(Pcgrad, LeavesZeroRowsAlone) {
  Rng rng;
  const auto w = pcgrad(gram_of(matrix_of({{1, 0}, {-1, 0.5}, {0, 0}})), {}, &rng).weights;
  const auto two = pcgrad(gram_of(matrix_of({{1, 0}, {-1, 0.5}}))).weights;
  EXPECT_NEAR(w[0], two[0], kRounding);
  EXPECT_NEAR(w[1], two[1], kRounding);
  EXPECT_EQ(w[2], 1.0);
}

}  // namespace
}  // namespace detente::balance

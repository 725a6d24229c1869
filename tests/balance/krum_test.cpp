// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/krum.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/problems.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

TEST(Krum, PicksTheRowInTheMiddleOfItsNeighbours) {
  const Matrix gram = gram_of(matrix_of({{0}, {1}, {1.1}, {1.2}, {100}}));
  EXPECT_EQ(krum(gram, {.faulty = 1}).weights, (std::vector<double>{0, 0, 1, 0, 0}));
}

// Scores straight from the coordinates.
std::vector<double> scores(const Matrix& jacobian, std::size_t neighbours, bool squared) {
  const std::size_t k = jacobian.rows();
  std::vector<double> out(k, 0.0);
  for (std::size_t i = 0; i < k; ++i) {
    std::vector<double> distances;
    for (std::size_t j = 0; j < k; ++j) {
      if (j == i) continue;
      auto difference = row_of(jacobian, i);
      for (std::size_t p = 0; p < difference.size(); ++p) difference[p] -= jacobian(j, p);
      const double length = norm_of(difference);
      distances.push_back(squared ? length * length : length);
    }
    std::sort(distances.begin(), distances.end());
    for (std::size_t j = 0; j < neighbours; ++j) out[i] += distances[j];
  }
  return out;
}

TEST(Krum, AgreesWithScoresFromTheCoordinates) {
  Rng rng(911);
  for (const std::size_t k : {6, 11, 40}) {
    for (const std::size_t faulty : {0, 1, 2}) {
      for (const bool squared : {true, false}) {
        for (const std::size_t m : {std::size_t{1}, std::size_t{3}, k}) {
          const Matrix jacobian = problem_of(Family::kAligned, k, rng);
          const auto score = scores(jacobian, k - faulty - 2, squared);
          std::vector<std::size_t> order(k);
          for (std::size_t i = 0; i < k; ++i) order[i] = i;
          std::sort(
              order.begin(), order.end(), [&](auto a, auto b) { return score[a] < score[b]; });
          std::vector<double> expected(k, 0.0);
          for (std::size_t i = 0; i < m; ++i) expected[order[i]] = 1.0 / static_cast<double>(m);
          const KrumOptions options{.faulty = static_cast<std::int64_t>(faulty),
                                    .selected = static_cast<std::int64_t>(m),
                                    .squared = squared};
          const auto w = krum(gram_of(jacobian), options).weights;
          for (std::size_t i = 0; i < k; ++i) EXPECT_NEAR(w[i], expected[i], kRounding) << i;
        }
      }
    }
  }
}

TEST(Krum, NeverPicksAFaultyGradient) {
  Rng rng(912);
  for (int round = 0; round < 50; ++round) {
    Matrix jacobian = problem_of(Family::kAligned, 9, rng);  // 2f + 3 with f = 3
    for (std::size_t i = 0; i < 3; ++i) {
      const double size = std::pow(10.0, 2 + 4 * rng.uniform());
      for (std::size_t p = 0; p < jacobian.cols(); ++p) jacobian(i, p) = size * rng.normal();
    }
    const auto w = krum(gram_of(jacobian), {.faulty = 3}).weights;
    for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(w[i], 0.0);
  }
}

TEST(Krum, SharesTheWeightAmongEqualScores) {
  EXPECT_EQ(krum(gram_of(matrix_of({{1, 0}, {0, 7}}))).weights, (std::vector<double>{0.5, 0.5}));
  // Two pairs of twins and a stranger: four scores of 0 for three places.
  const Matrix gram = gram_of(matrix_of({{1, 0}, {1, 0}, {0, 1}, {0, 1}, {5, 5}}));
  EXPECT_EQ(krum(gram, {.faulty = 2, .selected = 2}).weights,
            (std::vector<double>{0.25, 0.25, 0.25, 0.25, 0}));
}

TEST(Krum, SaysWhenThereAreTooFewTasks) {
  Rng rng(913);
  const Matrix gram = gram_of(problem_of(Family::kGaussian, 4, rng));
  EXPECT_TRUE(krum(gram, {.faulty = 1}).message.empty());
  EXPECT_FALSE(krum(gram, {.faulty = 2}).message.empty());
}

}  // namespace
}  // namespace detente::balance

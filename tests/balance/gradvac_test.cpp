// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/gradvac.h>
#include <detente/balance/pcgrad.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/methods.h"
#include "tests/support/problems.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

// The paper's algorithm on the gradients themselves, for one step from given targets.
std::vector<double> gradvac_in_coordinates(const Matrix& jacobian,
                                           Matrix& targets,
                                           double beta,
                                           Rng& rng) {
  const std::size_t k = jacobian.rows();
  std::vector<double> total(jacobian.cols(), 0.0);
  for (std::size_t i = 0; i < k; ++i) {
    auto v = row_of(jacobian, i);
    for (const std::size_t j : shuffled_others(k, i, rng)) {
      const auto g = row_of(jacobian, j);
      const double phi = cosine(v, g);
      const double target = targets(i, j);
      if (phi < target) {
        const double a =
            norm_of(v) *
            (target * std::sqrt(1 - phi * phi) - phi * std::sqrt(1 - target * target)) /
            (norm_of(g) * std::sqrt(1 - target * target));
        for (std::size_t p = 0; p < v.size(); ++p) v[p] += a * g[p];
        EXPECT_NEAR(cosine(v, g), target, kAccumulated);
      }
      targets(i, j) = (1 - beta) * target + beta * phi;
    }
    for (std::size_t p = 0; p < v.size(); ++p) total[p] += v[p];
  }
  return total;
}

TEST(Gradvac, AgreesWithTheAlgorithmOnCoordinates) {
  for (const std::size_t k : {2, 3, 6}) {
    Rng problems(1101);
    const auto method = make_with("gradvac", {{"beta", "0.3"}});
    Matrix targets(k, k);
    Rng a(2);
    Rng b(2);
    for (int step = 0; step < 20; ++step) {
      const Matrix jacobian = problem_of(Family::kAligned, k, problems);
      const auto d = direction_of(jacobian, solve_gram(*method, gram_of(jacobian), {}, &a).weights);
      const auto expected = gradvac_in_coordinates(jacobian, targets, 0.3, b);
      for (std::size_t p = 0; p < d.size(); ++p) {
        EXPECT_NEAR(d[p], expected[p], kCertificate * norm_of(expected)) << k << " " << step;
      }
    }
  }
}

TEST(Gradvac, IsPcgradWhenTargetsStayZero) {
  Rng problems(1102);
  const auto method = make_with("gradvac", {{"beta", "0"}});
  for (int step = 0; step < 10; ++step) {
    const Matrix gram = gram_of(problem_of(Family::kConflicting, 5, problems));
    Rng a(static_cast<std::uint64_t>(step));
    Rng b(static_cast<std::uint64_t>(step));
    const auto vaccine = solve_gram(*method, gram, {}, &a).weights;
    const auto surgery = pcgrad(gram, {}, &b).weights;
    for (int i = 0; i < 5; ++i) EXPECT_NEAR(vaccine[i], surgery[i], kAccumulated * surgery[i]);
  }
}

TEST(Gradvac, LearnsTheUsualCosine) {
  const auto method = make_with("gradvac", {{"beta", "0.5"}});
  const Matrix gram = gram_of(matrix_of({{1, 0}, {0.6, 0.8}}));
  for (int step = 0; step < 60; ++step) solve_gram(*method, gram);
  const auto targets = method->state().at("targets").get<std::vector<double>>();
  EXPECT_NEAR(targets[1], 0.6, kAccumulated);
  EXPECT_NEAR(targets[2], 0.6, kAccumulated);
}

TEST(Gradvac, DemandsAGeneratorForThreeTasks) {
  const auto method = make_with("gradvac");
  EXPECT_THROW(solve_gram(*method, gram_of(matrix_of({{1, 0}, {0, 1}, {1, 1}}))), Error);
}

}  // namespace
}  // namespace detente::balance

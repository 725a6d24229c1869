// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/dualproj.h>
#include <detente/core/error.h>
#include <gtest/gtest.h>

#include "tests/support/problems.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

// d harms no task, and differs from u only along rows it is orthogonal to: the conditions of a
// projection on the dual cone, recomputed.
void expect_projection(const Matrix& gram,
                       const std::vector<double>& v,
                       const std::vector<double>& u) {
  const auto inner = times(gram, v);
  double size = 0;
  for (std::size_t i = 0; i < v.size(); ++i) size += std::abs(v[i]) * std::sqrt(gram(i, i));
  for (std::size_t i = 0; i < v.size(); ++i) {
    const double tolerance = kCertificate * std::sqrt(gram(i, i)) * size;
    EXPECT_GE(v[i], u[i]) << i;
    EXPECT_GE(inner[i], -tolerance) << i;
    if (v[i] > u[i]) {
      EXPECT_LE(inner[i], tolerance) << i;
    }
  }
}

TEST(Dualproj, IsAProjectionOnHundredsOfProblems) {
  Rng rng(401);
  for (const auto& [family, name] : families()) {
    for (const std::size_t k : {2, 3, 4, 5, 8, 16, 33, 64}) {
      for (int round = 0; round < 5; ++round) {
        SCOPED_TRACE(testing::Message() << name << " k=" << k << " round " << round);
        const Matrix gram = gram_of(problem_of(family, k, rng));
        const Result result = dualproj(gram);
        expect_projection(gram, result.weights, std::vector<double>(k, 1.0 / k));
        EXPECT_LE(result.certificate, kCertificate);
      }
    }
  }
}

TEST(Dualproj, IsTheMeanWithoutConflict) {
  const Matrix gram = gram_of(matrix_of({{1, 0.5, 0}, {1, 1, 0}, {0, 1, 1}}));
  EXPECT_EQ(dualproj(gram).weights, std::vector<double>(3, 1.0 / 3));
}

TEST(Dualproj, IsOrthogonalToWhatItTookAway) {
  Rng rng(402);
  const Matrix jacobian = problem_of(Family::kConflicting, 6, rng);
  const auto d = direction_of(jacobian, dualproj(gram_of(jacobian)).weights);
  auto taken = direction_of(jacobian, std::vector<double>(6, 1.0 / 6));
  for (std::size_t p = 0; p < d.size(); ++p) taken[p] -= d[p];
  EXPECT_NEAR(dot(d, taken), 0.0, kAccumulated);
}

TEST(Dualproj, ProjectsThePreferredDirection) {
  Rng rng(403);
  const Matrix gram = gram_of(problem_of(Family::kConflicting, 3, rng));
  const std::vector<double> preference = {0.2, 0.5, 3.0};
  expect_projection(gram, dualproj(gram, {.preference = preference}).weights, preference);
  EXPECT_THROW(dualproj(gram, {.preference = {1, 2}}), Error);
  EXPECT_THROW(dualproj(gram, {.preference = {1, 2, -1}}), Error);
}

}  // namespace
}  // namespace detente::balance

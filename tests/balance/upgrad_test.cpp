// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/dualproj.h>
#include <detente/balance/pcgrad.h>
#include <detente/balance/upgrad.h>
#include <detente/core/error.h>
#include <gtest/gtest.h>

#include "tests/support/problems.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

TEST(Upgrad, IsTheMeanOfProjectedGradients) {
  Rng rng(501);
  for (const auto& [family, name] : families()) {
    for (const std::size_t k : {2, 3, 5, 12, 30}) {
      SCOPED_TRACE(testing::Message() << name << " k=" << k);
      const Matrix jacobian = problem_of(family, k, rng);
      const Matrix gram = gram_of(jacobian);
      const Result result = upgrad(gram);
      EXPECT_LE(result.certificate, kCertificate);
      std::vector<double> mean(jacobian.cols(), 0.0);
      double size = 0;
      for (std::size_t i = 0; i < k; ++i) {
        std::vector<double> unit(k, 0.0);
        unit[i] = 1.0;
        const auto d = direction_of(jacobian, dualproj(gram, {.preference = unit}).weights);
        for (std::size_t p = 0; p < d.size(); ++p) mean[p] += d[p] / static_cast<double>(k);
        size += norm_of(row_of(jacobian, i));
      }
      const auto d = direction_of(jacobian, result.weights);
      for (std::size_t p = 0; p < d.size(); ++p) EXPECT_NEAR(d[p], mean[p], kAccumulated * size);
    }
  }
}

TEST(Upgrad, IsHalfOfPcgradForTwoTasks) {
  Rng rng(502);
  for (int round = 0; round < 100; ++round) {
    const Matrix gram = gram_of(random_jacobian(2, 3, rng));
    const auto projected = pcgrad(gram).weights;
    const auto weights = upgrad(gram).weights;
    for (int i = 0; i < 2; ++i)
      EXPECT_NEAR(2 * weights[i], projected[i], kAccumulated * projected[i]);
  }
}

TEST(Upgrad, WeighsProjectionsByThePreference) {
  Rng rng(503);
  const Matrix gram = gram_of(problem_of(Family::kConflicting, 4, rng));
  const auto equal = upgrad(gram).weights;
  const auto doubled = upgrad(gram, {.preference = {0.5, 0.5, 0.5, 0.5}}).weights;
  for (int i = 0; i < 4; ++i) EXPECT_NEAR(doubled[i], 2 * equal[i], kAccumulated);
  EXPECT_THROW(upgrad(gram, {.preference = {1}}), Error);
}

}  // namespace
}  // namespace detente::balance

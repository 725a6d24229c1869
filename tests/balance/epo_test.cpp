// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/epo.h>

#include <cmath>
#include <numeric>

#include "tests/support/methods.h"
#include "tests/support/problems.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

// What the method's linear program is made of, straight from the definitions.
struct Anchor {
  double distance = 0;
  std::vector<double> share, q;
};

Anchor anchor_of(const Matrix& gram,
                 const std::vector<double>& losses,
                 const std::vector<double>& preference) {
  const std::size_t k = losses.size();
  Anchor anchor;
  std::vector<double> a(k);
  double sum = 0;
  for (std::size_t i = 0; i < k; ++i) sum += preference[i] * losses[i];
  for (std::size_t i = 0; i < k; ++i) {
    anchor.share.push_back(preference[i] * losses[i] / sum);
    anchor.distance += anchor.share[i] * std::log(k * anchor.share[i]);
  }
  for (std::size_t i = 0; i < k; ++i) {
    a[i] = preference[i] * (std::log(k * anchor.share[i]) - anchor.distance);
  }
  anchor.q = times(gram, a);
  return anchor;
}

// The norms that are multiplied in (gram w)_i: the size rounding is relative to.
double terms_of(const Matrix& gram, const std::vector<double>& w, std::size_t i) {
  double size = 0;
  for (std::size_t j = 0; j < w.size(); ++j) size += std::abs(w[j] * gram(i, j));
  return size;
}

std::vector<double> random_positive(std::size_t k, Rng& rng) {
  std::vector<double> values(k);
  for (double& x : values) x = std::exp(rng.normal());
  return values;
}

TEST(Epo, SolvesItsProgramsOnHundredsOfProblems) {
  Rng rng(841);
  for (const auto& [family, name] : families()) {
    for (const std::size_t k : {2, 3, 4, 8, 16, 33, 64}) {
      for (int round = 0; round < 4; ++round) {
        SCOPED_TRACE(testing::Message() << name << " k=" << k << " round " << round);
        const Matrix gram = gram_of(problem_of(family, k, rng));
        const auto r = random_positive(k, rng);
        // Odd rounds on the ray: dominance.
        auto losses = random_positive(k, rng);
        if (round % 2 == 1) {
          for (std::size_t i = 0; i < k; ++i) losses[i] = 3.0 / r[i];
        }
        const Result result = epo(gram, losses, {.preference = r});
        EXPECT_EQ(result.stop, StopReason::kConverged) << result.message;
        EXPECT_LE(result.certificate, kCertificate);
        expect_on_simplex(result.weights);
      }
    }
  }
}

TEST(Epo, NeverRaisesTheWorstLossInBalance) {
  Rng rng(842);
  for (const Family family : {Family::kGaussian, Family::kConflicting, Family::kAligned}) {
    for (const std::size_t k : {2, 3, 6, 20}) {
      SCOPED_TRACE(testing::Message() << static_cast<int>(family) << " k=" << k);
      const Matrix gram = gram_of(problem_of(family, k, rng));
      const auto losses = random_positive(k, rng);
      const auto w = epo(gram, losses).weights;
      const auto inner = times(gram, w);
      const Anchor anchor = anchor_of(gram, losses, std::vector<double>(k, 1.0));
      ASSERT_GT(anchor.distance, 1e-4);
      const bool any = *std::max_element(anchor.q.begin(), anchor.q.end()) > 0;
      const std::size_t worst =
          static_cast<std::size_t>(std::max_element(losses.begin(), losses.end()) - losses.begin());
      for (std::size_t i = 0; i < k; ++i) {
        const double slack = kCertificate * terms_of(gram, w, i);
        if (!any || i == worst) {
          EXPECT_GE(inner[i], -slack) << i;
        } else if (anchor.q[i] <= 0) {
          EXPECT_GE(inner[i], anchor.q[i] - kCertificate * std::abs(anchor.q[i]) - slack) << i;
        }
      }
      // The direction shrinks the distance from the ray whenever any descent does.
      if (any) {
        EXPECT_GT(dot(anchor.q, w), 0.0);
      }
    }
  }
}

TEST(Epo, LowersEveryLossOnTheRay) {
  Rng rng(843);
  for (const auto& [family, name] : families()) {
    for (const std::size_t k : {2, 3, 8, 33}) {
      SCOPED_TRACE(testing::Message() << name << " k=" << k);
      const Matrix gram = gram_of(problem_of(family, k, rng));
      const auto w = epo(gram, std::vector<double>(k, 0.7)).weights;
      const auto inner = times(gram, w);
      for (std::size_t i = 0; i < k; ++i) {
        EXPECT_GE(inner[i], -kCertificate * terms_of(gram, w, i)) << i;
      }
    }
  }
}

TEST(Epo, RaisesALossThatIsTooSmall) {
  // By hand: l̂ = (3/4, 1/4), q = (0.69, −0.96); the best corner is the first task, whose descent
  // raises the second loss by 0.5 < 0.96.
  const Matrix gram = matrix_of({{1, -0.5}, {-0.5, 1}});
  EXPECT_EQ(epo(gram, std::vector<double>{3, 1}).weights, (std::vector<double>{1, 0}));
}

TEST(Epo, LimitsTheRiseOfASmallLoss) {
  // By hand: with losses (1.2, 1), q = G a and a = (r(log 2l̂ − μ)); the second loss may rise by no
  // more than −q₂, which is less than what the first task alone would do.
  const Matrix gram = matrix_of({{1, -0.9}, {-0.9, 1}});
  const std::vector<double> losses = {1.2, 1.0};
  const Anchor anchor = anchor_of(gram, losses, {1, 1});
  ASSERT_GT(anchor.q[0], 0.0);
  ASSERT_LT(anchor.q[1], 0.0);
  const auto w = epo(gram, losses).weights;
  EXPECT_NEAR(times(gram, w)[1], anchor.q[1], kRounding);
}

TEST(Epo, FollowsTheClosedFormOnTheRay) {
  // Maximise 0.5β₁ + 3.5β₂ subject to β₁ − 0.5β₂ >= 0: the constraint is active.
  const Matrix gram = matrix_of({{1, -0.5}, {-0.5, 4}});
  const auto w = epo(gram, std::vector<double>{2, 2}).weights;
  EXPECT_NEAR(w[0], 1.0 / 3, kRounding);
  EXPECT_NEAR(w[1], 2.0 / 3, kRounding);
}

TEST(Epo, TakesTheRayFromThePreference) {
  // r⊙L is uniform, so this is dominance again although the losses differ.
  const Matrix gram = matrix_of({{1, -0.5}, {-0.5, 4}});
  const auto w = epo(gram, std::vector<double>{2, 0.5}, {.preference = {1, 4}}).weights;
  EXPECT_NEAR(w[0], 1.0 / 3, kRounding);
}

TEST(Epo, StaysOnTheRayUnlessRelaxed) {
  // Within eps of the ray: the program also asks βᵀq >= 0 (or the largest q, if all are negative).
  Rng rng(844);
  int differ = 0;
  for (int round = 0; round < 40; ++round) {
    const Matrix gram = gram_of(problem_of(Family::kAligned, 4, rng));
    std::vector<double> losses = {1, 1, 1, 1};
    for (double& loss : losses) loss += 0.005 * rng.normal();
    const Anchor anchor = anchor_of(gram, losses, {1, 1, 1, 1});
    ASSERT_LT(anchor.distance, 1e-4);
    const auto on_ray = epo(gram, losses).weights;
    const auto relaxed = epo(gram, losses, {.relax = true}).weights;
    const double highest = *std::max_element(anchor.q.begin(), anchor.q.end());
    double size = 0;
    for (std::size_t i = 0; i < 4; ++i) size += std::abs(anchor.q[i]) * on_ray[i];
    if (dot(anchor.q, on_ray) < std::min(0.0, highest) - kReference * size) {
      EXPECT_EQ(on_ray, relaxed);  // only where the ray left no solution
    }
    const std::vector<double> ones(4, 1.0);
    EXPECT_GE(dot(times(gram, ones), relaxed), dot(times(gram, ones), on_ray) * (1 - kCertificate));
    if (on_ray != relaxed) ++differ;
  }
  EXPECT_GT(differ, 5);
}

TEST(Epo, IgnoresTheScaleOfLossesAndPreference) {
  Rng rng(845);
  const Matrix jacobian = problem_of(Family::kConflicting, 5, rng);
  const auto losses = random_positive(5, rng);
  const auto r = random_positive(5, rng);
  const auto w = epo(gram_of(jacobian), losses, {.preference = r}).weights;
  for (const double s : {1e-150, 1e-6, 1e6, 1e150}) {
    auto scaled_losses = losses;
    auto scaled_r = r;
    for (std::size_t i = 0; i < 5; ++i) {
      scaled_losses[i] *= s;
      scaled_r[i] /= s;
    }
    const auto other =
        epo(gram_of(scaled(jacobian, s)), scaled_losses, {.preference = scaled_r}).weights;
    for (std::size_t i = 0; i < 5; ++i) EXPECT_NEAR(other[i], w[i], kAccumulated) << s;
  }
}

TEST(Epo, ReachesThePrescribedRatiosOfLosses) {
  for (const std::vector<double>& r :
       std::vector<std::vector<double>>{{1, 1, 1}, {1, 2, 1}, {3, 1, 2}}) {
    const auto method = make_with("epo", {{"preference", list_of(r)}});
    const auto losses = descend(*method, matrix_of({{0, 0}, {4, 0}, {1, 3}}), 4000);
    const double mean = (r[0] * losses[0] + r[1] * losses[1] + r[2] * losses[2]) / 3;
    // eps = 1e-4 of KL divergence allows about sqrt(2 k eps) of relative difference.
    for (std::size_t i = 0; i < 3; ++i) EXPECT_NEAR(r[i] * losses[i] / mean, 1.0, 0.05) << i;
  }
}

TEST(Epo, TakesThePreferenceOfTheTasksPresent) {
  Rng rng(846);
  const Matrix two = gram_of(random_jacobian(2, 4, rng));
  const std::vector<double> losses = {1.0, 2.0};
  const std::vector<std::size_t> ids = {0, 2};
  const auto method = make_with("epo", {{"preference", "[1, 7, 3]"}});
  Result result;
  method->solve({.tasks = 2, .gram = two, .losses = losses, .ids = ids, .all_tasks = 3}, result);
  EXPECT_EQ(result.weights, epo(two, losses, {.preference = {1, 3}}).weights);
}

TEST(Epo, CopesWithLossesOfZero) {
  const Matrix gram = matrix_of({{1, -0.5}, {-0.5, 1}});
  EXPECT_EQ(epo(gram, std::vector<double>{1, 0}).weights, (std::vector<double>{1, 0}));
  // All of them: on every ray, so the same as equal losses.
  EXPECT_EQ(epo(gram, std::vector<double>{0, 0}).weights,
            epo(gram, std::vector<double>{5, 5}).weights);
}

TEST(Epo, RefusesWhatItCannotUse) {
  const Matrix gram = matrix_of({{1, 0}, {0, 1}});
  EXPECT_THROW(epo(gram, std::vector<double>{1, -1}), Error);
  EXPECT_THROW(epo(gram, std::vector<double>{1, 1}, {.preference = {1, 0}}), Error);
  EXPECT_THROW(epo(gram, std::vector<double>{1, 1}, {.preference = {1, 1, 1}}), Error);
}

}  // namespace
}  // namespace detente::balance

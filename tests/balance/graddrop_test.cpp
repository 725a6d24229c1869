// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/graddrop.h>
#include <detente/core/error.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/methods.h"
#include "tests/support/problems.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

std::vector<double> column_sums(const Matrix& jacobian) {
  return direction_of(jacobian, std::vector<double>(jacobian.rows(), 1.0));
}

// d at a representation z of `samples` samples.
std::vector<double> at_representation(const Matrix& gradients,
                                      const std::vector<double>& z,
                                      std::size_t samples,
                                      Rng& rng) {
  const auto method = make_graddrop();
  Result result;
  std::vector<double> d(z.size());
  method->direct({.tasks = gradients.rows(), .rng = &rng},
                 Rows<double>{gradients.data(), gradients.rows(), z.size(), z.size(), z, samples},
                 d,
                 result);
  return d;
}

TEST(Graddrop, GivesTheSumWithFullLeak) {
  Rng rng(501);
  const Matrix jacobian = problem_of(Family::kConflicting, 4, rng);
  const auto method = make_with("graddrop", {{"leak", "1,1,1,1"}});
  const auto d = take_step(*method, jacobian, {}, &rng);
  const auto expected = column_sums(jacobian);
  for (std::size_t p = 0; p < d.size(); ++p) EXPECT_NEAR(d[p], expected[p], kRounding);
}

TEST(Graddrop, PassesGradientsThatAgree) {
  Rng rng(502);
  Matrix jacobian = random_jacobian(5, 40, rng);
  for (std::size_t i = 0; i < 5; ++i) {
    for (std::size_t p = 0; p < 40; ++p) {
      jacobian(i, p) = std::abs(jacobian(i, p)) * (p % 2 == 0 ? 1 : -1);
    }
  }
  const auto d = take_step(*make_graddrop(), jacobian, {}, &rng);
  const auto expected = column_sums(jacobian);
  for (std::size_t p = 0; p < d.size(); ++p) EXPECT_NEAR(d[p], expected[p], kRounding);
}

TEST(Graddrop, LetsOneSignPassAtEachCoordinate) {
  Rng rng(503);
  const Matrix jacobian = random_jacobian(6, 2000, rng);
  const auto d = take_step(*make_graddrop(), jacobian, {}, &rng);
  std::size_t positive = 0;
  for (std::size_t p = 0; p < d.size(); ++p) {
    double plus = 0;
    double minus = 0;
    for (std::size_t i = 0; i < 6; ++i) {
      (jacobian(i, p) > 0 ? plus : minus) += jacobian(i, p);
    }
    EXPECT_NEAR(d[p], d[p] > 0 ? plus : minus, kRounding);
    positive += d[p] > 0 ? 1 : 0;
  }
  EXPECT_GT(positive, 700u);
  EXPECT_LT(positive, 1300u);
}

TEST(Graddrop, KeepsASignWithTheProbabilityOfItsShare) {
  // a = 3 against −b = −1: P = ½(1 + 2/4) = 3/4, so E[d] = 3·¾ − ¼ = 2 = a − b and
  // Var[d] = 16·3/16 = 3. Over 40000 coordinates the mean is within 6σ = 0.052 but for 2e-9.
  constexpr std::size_t kCoordinates = 40000;
  Matrix jacobian(2, kCoordinates);
  for (std::size_t p = 0; p < kCoordinates; ++p) {
    jacobian(0, p) = 3;
    jacobian(1, p) = -1;
  }
  Rng rng(504);
  const auto d = take_step(*make_graddrop(), jacobian, {}, &rng);
  double sum = 0;
  for (const double x : d) {
    EXPECT_TRUE(x == 3.0 || x == -1.0) << x;
    sum += x;
  }
  EXPECT_NEAR(sum / kCoordinates, 2.0, 6 * std::sqrt(3.0 / kCoordinates));
}

TEST(Graddrop, GivesZeroWhereAllGradientsAreZero) {
  Rng rng(505);
  const auto d =
      take_step(*make_graddrop(), matrix_of({{0, 1, 0}, {0, 2, 0}, {0, 3, 0}}), {}, &rng);
  EXPECT_EQ(d, (std::vector<double>{0, 6, 0}));
}

TEST(Graddrop, ExemptsATaskWithLeak) {
  Rng rng(506);
  const Matrix jacobian = random_jacobian(3, 200, rng);
  Rng a(7);
  Rng b(7);
  const auto none = take_step(*make_graddrop(), jacobian, {}, &a);
  const auto some = take_step(*make_with("graddrop", {{"leak", "0,0.5,0"}}), jacobian, {}, &b);
  for (std::size_t p = 0; p < 200; ++p) {
    // Half of what the same coin held back of task 1 passes.
    const bool passed = jacobian(1, p) * none[p] > 0;
    EXPECT_NEAR(some[p] - none[p], passed ? 0.0 : 0.5 * jacobian(1, p), kRounding);
  }
}

TEST(Graddrop, ReadsTheLeakOfPresentTasksByTheirIds) {
  const auto method = make_with("graddrop", {{"leak", "0,1,1"}});
  const Matrix jacobian = matrix_of({{1, -2, 3}, {-1, 1, -1}});
  const std::vector<std::size_t> ids = {1, 2};
  Rng rng(507);
  Result result;
  std::vector<double> d(3);
  method->direct({.tasks = 2, .rng = &rng, .ids = ids, .all_tasks = 3},
                 Rows<double>{jacobian.data(), 2, 3, 3},
                 d,
                 result);
  EXPECT_EQ(d, (std::vector<double>{0, -1, 2}));
}

TEST(Graddrop, TossesOneCoinPerFeatureOfARepresentation) {
  Rng rng(508);
  constexpr std::size_t kSamples = 5;
  constexpr std::size_t kFeatures = 700;
  const Matrix gradients = random_jacobian(3, kSamples * kFeatures, rng);
  const std::vector<double> z = row_of(random_jacobian(1, kSamples * kFeatures, rng), 0);
  const auto d = at_representation(gradients, z, kSamples, rng);
  for (std::size_t f = 0; f < kFeatures; ++f) {
    // The tasks whose batch sum of sign(z) g is positive pass whole, or the others do.
    std::vector<double> plus(kSamples, 0.0);
    std::vector<double> minus(kSamples, 0.0);
    for (std::size_t i = 0; i < 3; ++i) {
      double h = 0;
      for (std::size_t s = 0; s < kSamples; ++s) {
        const std::size_t at = s * kFeatures + f;
        h += (z[at] > 0 ? 1 : -1) * gradients(i, at);
      }
      for (std::size_t s = 0; s < kSamples; ++s) {
        (h > 0 ? plus : minus)[s] += gradients(i, s * kFeatures + f);
      }
    }
    double from_plus = 0;
    double from_minus = 0;
    for (std::size_t s = 0; s < kSamples; ++s) {
      from_plus += std::abs(d[s * kFeatures + f] - plus[s]);
      from_minus += std::abs(d[s * kFeatures + f] - minus[s]);
    }
    EXPECT_NEAR(std::min(from_plus, from_minus), 0.0, kRounding) << "feature " << f;
  }
}

TEST(Graddrop, AgreesAtARepresentationOfOneSampleWithPositiveValues) {
  Rng rng(509);
  const Matrix gradients = random_jacobian(4, 30, rng);
  Rng a(9);
  Rng b(9);
  EXPECT_EQ(at_representation(gradients, std::vector<double>(30, 2.0), 1, a),
            take_step(*make_graddrop(), gradients, {}, &b));
}

TEST(Graddrop, GivesZeroAtFeaturesThatAreZeroInTheWholeBatch) {
  Rng rng(510);
  const Matrix gradients = matrix_of({{1, 2, 3, 4}, {5, 6, 7, 8}});
  EXPECT_EQ(at_representation(gradients, {0, 1, 0, 1}, 2, rng), (std::vector<double>{0, 8, 0, 12}));
}

TEST(Graddrop, KeepsTheNormOfTheSumOnRequest) {
  Rng rng(511);
  const Matrix jacobian = random_jacobian(4, 600, rng);
  Rng a(3);
  Rng b(3);
  const auto plain = take_step(*make_graddrop(), jacobian, {}, &a);
  const auto kept =
      take_step(*make_with("graddrop", {{"preset", "official_code"}}), jacobian, {}, &b);
  const double factor = norm_of(column_sums(jacobian)) / norm_of(plain);
  for (std::size_t p = 0; p < plain.size(); ++p) {
    EXPECT_NEAR(kept[p], factor * plain[p], kAccumulated);
  }
  const auto off = make_with("graddrop", {{"preset", "official_code"}, {"keep_norm", "false"}});
  Rng c(3);
  EXPECT_EQ(take_step(*off, jacobian, {}, &c), plain);
}

TEST(Graddrop, NeedsAGeneratorAndALeakPerTask) {
  const Matrix jacobian = matrix_of({{1, 2}, {3, 4}});
  Rng rng;
  const auto refused = [&](Method& method, Rng* given, const std::string& text) {
    try {
      take_step(method, jacobian, {}, given);
      ADD_FAILURE() << "accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << error.what();
    }
  };
  refused(*make_graddrop(), nullptr, "random numbers");
  refused(*make_with("graddrop", {{"leak", "0,0,1"}}), &rng, "expected 2, got 3");
}

}  // namespace
}  // namespace detente::balance

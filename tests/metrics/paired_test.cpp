// SPDX-License-Identifier: Apache-2.0
// Reference values: scipy 1.17.1 (stats.t, stats.ttest_rel, special.betainc) and statsmodels
// (multipletests, method holm).
#include <detente/core/error.h>
#include <detente/core/nan.h>
#include <detente/core/rng.h>
#include <detente/metrics/paired.h>
#include <detente/metrics/student_t.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace detente::metrics {
namespace {

TEST(StudentT, AgreesWithTheReference) {
  struct Case {
    double freedom, t, below, two_sided;
  };
  for (const Case& c : {Case{1, 0.3, 0.59277357907774231, 0.81445284184451539},
                        Case{2, 4.302652729911275, 0.9750000000017417, 0.049999999996516629},
                        Case{4, -2.5, 0.03338327240599407, 0.066766544811988141},
                        Case{9, 0.001, 0.50038803483701333, 0.99922393032597334},
                        Case{29, 12.0, 0.99999999999954692, 9.0607083331371826e-13},
                        Case{2.5, 1.7, 0.89719389142005812, 0.20561221715988381},
                        Case{400, 3.0, 0.99856564549259175, 0.0028687090148164507}}) {
    EXPECT_NEAR(student_t_cdf(c.t, c.freedom), c.below, 1e-12);
    EXPECT_NEAR(student_t_two_sided(c.t, c.freedom) / c.two_sided, 1, 1e-11);
  }
  struct Quantile {
    double freedom, p, t;
  };
  for (const Quantile& q : {Quantile{1, 0.975, 12.706204736174694},
                            Quantile{2, 0.975, 4.3026527297494619},
                            Quantile{4, 0.975, 2.7764451051977934},
                            Quantile{9, 0.8, 0.88340385968553459},
                            Quantile{29, 0.01, -2.4620213601504126},
                            Quantile{2, 0.9995, 31.599054576445365}}) {
    EXPECT_NEAR(student_t_quantile(q.p, q.freedom) / q.t, 1, 1e-11);
  }
  EXPECT_NEAR(incomplete_beta(0.5, 0.5, 0.3), 0.36901011956554536, 1e-13);
  EXPECT_NEAR(incomplete_beta(50, 0.5, 0.99), 0.31730439787419729, 1e-13);
  EXPECT_NEAR(incomplete_beta(0.01, 5, 1e-4), 0.93114075971824539, 1e-13);
}

TEST(StudentT, QuantileIsTheInverse) {
  for (const double freedom : {1.0, 2.0, 4.0, 30.0}) {
    for (const double p : {1e-6, 0.025, 0.4, 0.5, 0.9, 0.9999}) {
      EXPECT_NEAR(student_t_cdf(student_t_quantile(p, freedom), freedom), p, 1e-12);
    }
  }
  EXPECT_THROW(student_t_quantile(0, 3), Error);
  EXPECT_THROW(student_t_quantile(1, 3), Error);
  EXPECT_THROW(student_t_cdf(1, 0), Error);
}

TEST(Paired, AgreesWithTheReference) {
  const std::vector<double> a{0.61, 0.63, 0.59, 0.66, 0.62};
  const std::vector<double> b{0.60, 0.605, 0.6, 0.63, 0.6};
  const PairedTest test = paired_test(a, b);
  EXPECT_NEAR(test.difference.mean, 0.015, 1e-15);
  EXPECT_NEAR(test.difference.low, -0.0046324316147755736, 1e-12);
  EXPECT_NEAR(test.difference.high, 0.034632431614775597, 1e-12);
  EXPECT_NEAR(test.p, 0.10119150721829535, 1e-12);
  const Estimate mean = mean_interval(a);
  EXPECT_NEAR(mean.low, 0.5898603242926802, 1e-12);
  EXPECT_NEAR(mean.high, 0.65413967570732, 1e-12);
}

TEST(Paired, ShiftScaleAndOrderAreAsTheyShouldBe) {
  const std::vector<double> a{1, 4, 2, 8};
  const std::vector<double> b{2, 3, 1, 4};
  const PairedTest test = paired_test(a, b);
  const PairedTest other = paired_test(b, a);
  EXPECT_EQ(test.p, other.p);
  EXPECT_EQ(test.difference.low, -other.difference.high);
  const std::vector<double> more_a{10, 40, 20, 80};
  const std::vector<double> more_b{20, 30, 10, 40};
  EXPECT_NEAR(paired_test(more_a, more_b).p, test.p, 1e-14);
}

TEST(Paired, EdgesAreSaid) {
  EXPECT_TRUE(std::isnan(mean_interval(std::vector<double>{}).mean));
  const Estimate one = mean_interval(std::vector<double>{0.5, kNan});
  EXPECT_EQ(one.mean, 0.5);
  EXPECT_EQ(one.n, 1U);
  EXPECT_TRUE(std::isnan(one.low));
  EXPECT_TRUE(std::isnan(paired_test(std::vector<double>{1}, std::vector<double>{0}).p));
  EXPECT_EQ(paired_test(std::vector<double>{1, 2}, std::vector<double>{1, 2}).p, 1);
  EXPECT_EQ(paired_test(std::vector<double>{2, 3}, std::vector<double>{1, 2}).p, 0);
  EXPECT_EQ(
      paired_test(std::vector<double>{2, kNan, 3}, std::vector<double>{1, 1, kNan}).difference.n,
      1U);
  EXPECT_THROW(paired_test(std::vector<double>{1}, std::vector<double>{}), Error);
  EXPECT_TRUE(std::isnan(detectable_difference(1, 1)));
}

TEST(Holm, AgreesWithTheReferenceAndIgnoresWhatIsUndefined) {
  const auto adjusted = holm(std::vector<double>{0.01, 0.04, kNan, 0.03, 0.005, 0.5});
  const std::vector<double> expected{0.04, 0.09, kNan, 0.09, 0.025, 0.5};
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (std::isnan(expected[i])) {
      EXPECT_TRUE(std::isnan(adjusted[i]));
    } else {
      EXPECT_NEAR(adjusted[i], expected[i], 1e-15);
    }
  }
  EXPECT_TRUE(holm({}).empty());
  EXPECT_EQ(holm(std::vector<double>{0.9, 0.8}), (std::vector<double>{1, 1}));
}

// Nominal 95 % of normal values; and one false finding or more among eight in at most 5 %.
TEST(Paired, IntervalsCoverAndFindingsAreRareWhereThereIsNothing) {
  Rng rng(11);
  for (const std::size_t n : {2, 3, 5, 10}) {
    int covered = 0;
    constexpr int kTrials = 4000;
    for (int trial = 0; trial < kTrials; ++trial) {
      std::vector<double> values(n);
      for (double& value : values) value = 3 + 0.1 * rng.normal();
      const Estimate estimate = mean_interval(values);
      covered += estimate.low <= 3 && 3 <= estimate.high ? 1 : 0;
    }
    EXPECT_NEAR(covered, 0.95 * kTrials, 0.01 * kTrials) << n;
  }
  int false_findings = 0;
  constexpr int kStudies = 2000;
  for (int study = 0; study < kStudies; ++study) {
    std::vector<double> p;
    for (int method = 0; method < 8; ++method) {
      std::vector<double> a(5), b(5);
      for (std::size_t i = 0; i < 5; ++i) {
        const double seed = rng.normal();
        a[i] = seed + 0.3 * rng.normal();
        b[i] = seed + 0.3 * rng.normal();
      }
      p.push_back(paired_test(a, b).p);
    }
    const auto adjusted = holm(p);
    false_findings += *std::min_element(adjusted.begin(), adjusted.end()) <= 0.05 ? 1 : 0;
  }
  EXPECT_LE(false_findings, 0.06 * kStudies);
  EXPECT_GE(false_findings, 0.03 * kStudies);
}

TEST(DetectableDifference, IsFoundAboutAsOftenAsItSays) {
  Rng rng(5);
  constexpr std::size_t kSeeds = 10;
  const double difference = detectable_difference(0.7, kSeeds);
  int found = 0;
  constexpr int kTrials = 4000;
  for (int trial = 0; trial < kTrials; ++trial) {
    std::vector<double> a(kSeeds), b(kSeeds, 0.0);
    for (double& value : a) value = difference + 0.7 * rng.normal();
    found += paired_test(a, b).p <= 0.05 ? 1 : 0;
  }
  EXPECT_NEAR(found, 0.8 * kTrials, 0.04 * kTrials);
}

TEST(MeanRanks, TiesStandInTheMiddleAndUndefinedColumnsAreLeftOut) {
  EXPECT_EQ(mean_ranks({{3, 1, kNan}, {2, 1, 5}, {1, 0, 6}}), (std::vector<double>{1.25, 1.75, 3}));
  EXPECT_TRUE(std::isnan(mean_ranks({{kNan}, {1}})[1]));
}

TEST(PairedTest, RoundingIsNoSpread) {
  const std::vector<double> a{0.7, 0.8, 0.9};
  const std::vector<double> b{0.6, 0.7, 0.8};
  const PairedTest shifted = paired_test(a, b);
  EXPECT_EQ(shifted.deviation, 0);
  EXPECT_EQ(shifted.p, 0);
  EXPECT_NEAR(shifted.difference.mean, 0.1, 1e-15);
  const std::vector<double> near{0.7 + 1e-16, 0.8 - 1e-16, 0.9};
  EXPECT_EQ(paired_test(a, near).difference.mean, 0);
  EXPECT_EQ(paired_test(a, near).p, 1);
  // What is small is not for that reason rounding.
  EXPECT_GT(
      paired_test(std::vector<double>{1e-20, 3e-20}, std::vector<double>{1e-20, 1e-20}).deviation,
      0);
  EXPECT_GT(mean_interval(std::vector<double>{1.0, 1.0 + 1e-9}).high, 1.0 + 1e-9);
}

}  // namespace
}  // namespace detente::metrics

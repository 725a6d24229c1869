// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/json.h>
#include <detente/core/nan.h>
#include <detente/core/rng.h>
#include <detente/metrics/interval.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/metrics/golden.h"

namespace detente::metrics {
namespace {

using List = std::vector<double>;

TEST(NormalQuantile, AgreesWithScipy) {
  for (const auto& entry : golden().at("normal_quantile")) {
    const double p = entry.at(0).get<double>();
    const double x = entry.at(1).get<double>();
    // Near 1 the quantile is as uncertain as 1 - p itself, which holds few digits of a double.
    const double tolerance = p > 0.9999 ? 1e-4 : 1e-12;
    EXPECT_NEAR(normal_quantile(p), x, tolerance * std::max(1.0, std::abs(x))) << p;
  }
}

TEST(NormalQuantile, RefusesProbabilitiesOutsideTheOpenInterval) {
  for (const double p : {0.0, 1.0, -0.1, kNan}) EXPECT_THROW(normal_quantile(p), Error);
}

TEST(FisherInterval, AgreesWithScipy) {
  for (const auto& entry : golden().at("regression")) {
    const Interval interval =
        fisher_interval(entry.at("pearson").get<double>(), entry.at("targets").size(), 0.9);
    EXPECT_NEAR(interval.low, entry.at("fisher_90").at(0).get<double>(), 1e-12);
    EXPECT_NEAR(interval.high, entry.at("fisher_90").at(1).get<double>(), 1e-12);
  }
}

TEST(FisherInterval, IsUndefinedForThreeRowsOrNoCorrelation) {
  EXPECT_TRUE(std::isnan(fisher_interval(0.5, 3).low));
  EXPECT_TRUE(std::isnan(fisher_interval(kNan, 100).high));
  EXPECT_TRUE(std::isnan(fisher_interval(1.5, 100).high));
}

TEST(FisherInterval, CollapsesAtPerfectCorrelation) {
  EXPECT_DOUBLE_EQ(fisher_interval(1.0, 50).low, 1.0);
  EXPECT_DOUBLE_EQ(fisher_interval(-1.0, 50).high, -1.0);
}

// Correlated normal pairs.
void draw_pairs(Rng& rng, std::size_t n, double r, List& p, List& t) {
  p.resize(n);
  t.resize(n);
  for (std::size_t i = 0; i < n; ++i) {
    t[i] = rng.normal();
    p[i] = r * t[i] + std::sqrt(1.0 - r * r) * rng.normal();
  }
}

TEST(BootstrapInterval, IsNearFishersForNormalPairs) {
  Rng rng(3);
  List p;
  List t;
  draw_pairs(rng, 500, 0.6, p, t);
  const Interval bootstrap = bootstrap_interval(pearson, p, t, 11, 2000);
  const Interval fisher = fisher_interval(pearson(p, t).value, 500);
  EXPECT_NEAR(bootstrap.low, fisher.low, 0.02);
  EXPECT_NEAR(bootstrap.high, fisher.high, 0.02);
  EXPECT_EQ(bootstrap.undefined, 0U);
}

TEST(BootstrapInterval, DependsOnTheSeedAlone) {
  Rng rng(4);
  List p;
  List t;
  draw_pairs(rng, 40, 0.3, p, t);
  const Interval one = bootstrap_interval(spearman, p, t, 5, 200);
  const Interval again = bootstrap_interval(spearman, p, t, 5, 200);
  const Interval other = bootstrap_interval(spearman, p, t, 6, 200);
  EXPECT_EQ(one.low, again.low);
  EXPECT_EQ(one.high, again.high);
  EXPECT_NE(one.low, other.low);
}

TEST(BootstrapInterval, CountsResamplesWithoutAScore) {
  // Two of three rows are equal, so 1/27 + 8/27 of the resamples hold one value only.
  const List p = {0, 0, 1};
  const List t = {0, 0, 1};
  const Interval interval = bootstrap_interval(pearson, p, t, 1, 2700);
  EXPECT_NEAR(static_cast<double>(interval.undefined), 900.0, 125.0);  // five standard deviations
  EXPECT_NEAR(interval.low, 1.0, 1e-12);
  const Interval none = bootstrap_interval(pearson, List{1, 1}, List{1, 2}, 1, 50);
  EXPECT_EQ(none.undefined, 50U);
  EXPECT_TRUE(std::isnan(none.low));
}

TEST(BootstrapInterval, DrawsOnlyRowsWithATarget) {
  const Interval interval = bootstrap_interval(mae, List{1, 50, 3}, List{2, kNan, 4}, 1, 100);
  EXPECT_DOUBLE_EQ(interval.low, 1.0);
  EXPECT_DOUBLE_EQ(interval.high, 1.0);
  EXPECT_TRUE(std::isnan(bootstrap_interval(mae, List{1}, List{kNan}, 1, 10).low));
}

}  // namespace
}  // namespace detente::metrics

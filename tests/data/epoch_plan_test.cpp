// SPDX-License-Identifier: Apache-2.0
#include <detente/core/rng.h>
#include <detente/data/epoch_plan.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

namespace detente::data {
namespace {

using ::testing::DoubleNear;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Pointwise;

// Rows of sources of these sizes, mixed, and what each costs.
struct Rows {
  explicit Rows(const std::vector<std::size_t>& sizes, std::uint64_t seed = 1) {
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      origins.insert(origins.end(), sizes[i], static_cast<std::uint32_t>(i));
    }
    Rng rng(seed);
    rng.shuffle(origins);
    for (std::size_t i = 0; i < origins.size(); ++i) costs.push_back(1 + rng.below(40));
    own.assign(sizes.size(), 0);
  }
  EpochPlan plan(const Sampler& sampler,
                 const BatchOptions& options,
                 std::uint64_t seed = 7) const {
    return {costs, origins, options, sampler, own, seed};
  }
  std::vector<std::size_t> by_source(const std::vector<RowList>& batches) const {
    std::vector<std::size_t> counts(own.size(), 0);
    for (const RowList& batch : batches) {
      for (const std::size_t row : batch) ++counts[origins[row]];
    }
    return counts;
  }

  std::vector<std::uint32_t> origins;
  std::vector<std::size_t> costs;
  std::vector<std::int64_t> own;
};

Sampler temperature(double value) { return {Sampler::Kind::kTemperature, value}; }

MATCHER_P(NearTo, tolerance, "") {
  return std::abs(std::get<0>(arg) - std::get<1>(arg)) < tolerance;
}

TEST(Sampler, SharesArePowersOfTheSizes) {
  const std::vector<std::size_t> rows = {10, 1000, 90};
  const auto expect = [&](const Sampler& sampler, double power) {
    std::vector<double> expected;
    double sum = 0;
    for (const std::size_t n : rows) sum += std::pow(static_cast<double>(n), power);
    for (const std::size_t n : rows) {
      expected.push_back(std::pow(static_cast<double>(n), power) / sum);
    }
    EXPECT_THAT(sampler.shares(rows), Pointwise(NearTo(1e-14), expected));
  };
  expect({Sampler::Kind::kProportional}, 1);
  expect({Sampler::Kind::kSquareRoot}, 0.5);
  expect({Sampler::Kind::kEqual}, 0);
  for (const double t : {0.3, 1.0, 2.0, 5.0}) expect(temperature(t), 1 / t);
  // The limit.
  EXPECT_THAT(temperature(1e6).shares(rows), Each(DoubleNear(1.0 / 3, 1e-5)));
}

TEST(Sampler, HugeSizesAndSmallTemperaturesDoNotOverflow) {
  const std::vector<std::size_t> rows = {3, 4'000'000'000'000};
  const auto shares = temperature(1e-3).shares(rows);
  EXPECT_EQ(shares[0], 0);
  EXPECT_EQ(shares[1], 1);
}

TEST(EpochPlan, OfOneSourceIsEpochBatches) {
  const Rows rows({137});
  const BatchOptions options{.batch_size = 16, .min_batch = 8, .pool_batches = 3};
  for (const Sampler& sampler :
       {Sampler{}, Sampler{Sampler::Kind::kEqual}, Sampler{Sampler::Kind::kSquareRoot}}) {
    const EpochPlan plan = rows.plan(sampler, options);
    const EpochPlan without({rows.costs}, {}, options, sampler, {}, 7);
    for (std::uint64_t epoch = 0; epoch < 3; ++epoch) {
      EXPECT_EQ(plan.batches(epoch), epoch_batches(rows.costs, options, 7, epoch));
      EXPECT_EQ(without.batches(epoch), epoch_batches(rows.costs, options, 7, epoch));
    }
    EXPECT_EQ(plan.steps(), static_cast<std::int64_t>(batch_count(137, options)));
    EXPECT_EQ(plan.rows(), 137U);
  }
}

TEST(EpochPlan, ProportionalTakesEveryRowOnceAnEpoch) {
  const Rows rows({100, 17, 333});
  for (const std::int64_t pool : {1, 4}) {
    const EpochPlan plan = rows.plan({}, {.batch_size = 32, .min_batch = 8, .pool_batches = pool});
    for (std::uint64_t epoch = 0; epoch < 3; ++epoch) {
      const auto batches = plan.batches(epoch);
      EXPECT_EQ(static_cast<std::int64_t>(batches.size()), plan.steps());
      RowList all;
      for (const RowList& batch : batches) all.insert(all.end(), batch.begin(), batch.end());
      std::sort(all.begin(), all.end());
      RowList expected(450);
      std::iota(expected.begin(), expected.end(), std::size_t{0});
      EXPECT_EQ(all, expected);
      // Spread evenly: no batch is far from the shares.
      for (const RowList& batch : batches) {
        if (batch.size() != 32) continue;
        const auto counts = rows.by_source({batch});
        EXPECT_NEAR(static_cast<double>(counts[0]), 32 * 100 / 450.0, 2.01);
        EXPECT_NEAR(static_cast<double>(counts[1]), 32 * 17 / 450.0, 2.01);
      }
    }
    EXPECT_NE(plan.batches(0), plan.batches(1));
  }
}

TEST(EpochPlan, GivesEachSourceItsShareInExpectation) {
  const Rows rows({40, 1000, 210});
  for (const Sampler& sampler : {Sampler{},
                                 Sampler{Sampler::Kind::kSquareRoot},
                                 Sampler{Sampler::Kind::kEqual},
                                 temperature(1),
                                 temperature(3.5)}) {
    const std::vector<double> shares = sampler.shares(std::vector<std::size_t>{40, 1000, 210});
    std::vector<double> sums(3, 0.0);
    constexpr int kSeeds = 400;
    for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
      const auto counts = rows.by_source(rows.plan(sampler, {.batch_size = 50}, seed).batches(0));
      for (std::size_t i = 0; i < 3; ++i) {
        EXPECT_LE(std::abs(static_cast<double>(counts[i]) - 1250 * shares[i]), 1.0 + 1e-9);
        sums[i] += static_cast<double>(counts[i]);
      }
    }
    // A number rounded up or down at random has a deviation of at most 1/2.
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_NEAR(sums[i] / kSeeds, 1250 * shares[i], 4 * 0.5 / std::sqrt(kSeeds));
    }
  }
}

TEST(EpochPlan, DrawsTheRowsOfASourceAlike) {
  // 200 of 1,000 rows an epoch: how often each is in the first one, over seeds, by a chi-square test.
  const Rows rows({1000, 1000, 1000, 1000, 1000});
  std::vector<double> drawn(5000, 0.0);
  constexpr int kSeeds = 200;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    Rows own = rows;
    own.own = {10, 0, 0, 0, 0};
    // Steps of 10 + 240 rows: 20 of them, 200 rows of the first source.
    const EpochPlan plan = own.plan({}, {.batch_size = 240}, seed);
    ASSERT_EQ(plan.steps(), 20);
    ASSERT_EQ(plan.rows(), 5000U);
    for (const RowList& batch : plan.batches(0)) {
      for (const std::size_t row : batch) drawn[row] += 1;
    }
  }
  double chi = 0;
  const double expected = kSeeds * 0.2;
  for (std::size_t row = 0; row < drawn.size(); ++row) {
    if (rows.origins[row] != 0) continue;
    chi += (drawn[row] - expected) * (drawn[row] - expected) / (expected * 0.8);
  }
  // Of 999 degrees of freedom: mean 999, deviation 45.
  EXPECT_NEAR(chi, 999, 5 * 45);
}

TEST(EpochPlan, GoesThroughASourceBeforeItBeginsAgain) {
  const Rows rows({7, 500});
  const EpochPlan plan = rows.plan({Sampler::Kind::kEqual}, {.batch_size = 20, .pool_batches = 5});
  std::map<std::size_t, int> times;
  std::size_t drawn = 0;
  for (std::uint64_t epoch = 0; epoch < 5; ++epoch) {
    for (const RowList& batch : plan.batches(epoch)) {
      for (const std::size_t row : batch) ++times[row];
      drawn += batch.size();
    }
    // Whatever the number of passes, no row is ahead of another one by more than one.
    for (const std::uint32_t source : {0U, 1U}) {
      int least = 1 << 30;
      int most = 0;
      for (std::size_t row = 0; row < 507; ++row) {
        if (rows.origins[row] != source) continue;
        least = std::min(least, times[row]);
        most = std::max(most, times[row]);
      }
      EXPECT_LE(most - least, 1) << "source " << source << " epoch " << epoch;
    }
  }
  EXPECT_EQ(drawn, 5 * 507U);
}

TEST(EpochPlan, ASmallSourceDoesNotFillABatchWithOneRow) {
  const Rows rows({10, 4000});
  const EpochPlan plan = rows.plan({Sampler::Kind::kEqual}, {.batch_size = 20, .pool_batches = 50});
  for (const RowList& batch : plan.batches(0)) {
    std::map<std::size_t, int> times;
    for (const std::size_t row : batch) {
      if (rows.origins[row] == 0) ++times[row];
    }
    // Ten or so draws of ten rows touch two or three passes.
    for (const auto& [row, count] : times) EXPECT_LE(count, 3);
  }
}

TEST(EpochPlan, OwnBatchesAreInEveryStep) {
  Rows rows({30, 400, 170});
  rows.own = {4, 0, 0};
  const EpochPlan plan = rows.plan({}, {.batch_size = 16});
  EXPECT_EQ(plan.steps(), 30);  // ⌈600 / 20⌉
  for (const RowList& batch : plan.batches(2)) {
    ASSERT_EQ(batch.size(), 20U);
    EXPECT_EQ(rows.by_source({batch})[0], 4U);
    // Rows stand together by source.
    EXPECT_TRUE(std::is_sorted(batch.begin(), batch.end(), [&](std::size_t a, std::size_t b) {
      return rows.origins[a] < rows.origins[b];
    }));
  }
  EXPECT_THAT(rows.by_source(plan.batches(0)), ElementsAre(120, ::testing::_, ::testing::_));
  rows.own = {4, 8, 2};  // nothing is left to the sampler
  const EpochPlan all = rows.plan({}, {.batch_size = 16});
  EXPECT_EQ(all.steps(), 43);  // ⌈600 / 14⌉
  EXPECT_THAT(rows.by_source(all.batches(0)), ElementsAre(43 * 4, 43 * 8, 43 * 2));
}

TEST(EpochPlan, IsAFunctionOfSeedAndEpoch) {
  const Rows rows({50, 90});
  const Sampler equal{Sampler::Kind::kEqual};
  EXPECT_EQ(rows.plan(equal, {}).batches(4), rows.plan(equal, {}).batches(4));
  EXPECT_NE(rows.plan(equal, {}, 1).batches(4), rows.plan(equal, {}, 2).batches(4));
}

TEST(EpochPlan, SortsEachSourceByLengthWithinPools) {
  const Rows rows({600, 900});
  const auto padded = [&](std::int64_t pool) {
    std::size_t sum = 0;
    const EpochPlan plan = rows.plan({}, {.batch_size = 30, .pool_batches = pool});
    for (const RowList& batch : plan.batches(0)) {
      std::size_t width = 0;
      for (const std::size_t row : batch) width = std::max(width, rows.costs[row]);
      sum += width * batch.size();
    }
    return sum;
  };
  EXPECT_LT(padded(50), 0.6 * static_cast<double>(padded(1)));
}

TEST(EpochPlan, OneRowEach) {
  const Rows rows({1, 1});
  for (const auto kind : {Sampler::Kind::kProportional, Sampler::Kind::kEqual}) {
    const EpochPlan plan = rows.plan({kind}, {.batch_size = 1, .min_batch = 0});
    EXPECT_EQ(plan.steps(), 2);
    EXPECT_THAT(rows.by_source(plan.batches(3)), ElementsAre(1, 1));
  }
}

}  // namespace
}  // namespace detente::data

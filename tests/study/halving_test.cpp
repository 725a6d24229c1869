// SPDX-License-Identifier: Apache-2.0
#include <detente/core/rng.h>
#include <detente/study/halving.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

namespace detente::study {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

const std::vector<StudyTask> kHalved{{"t", {{"f1", true}}}};

std::vector<Variant> settings(std::size_t count, const std::string& method = "cagrad") {
  std::vector<Variant> variants(count);
  for (Variant& variant : variants) variant.method = method;
  return variants;
}

using Score = std::function<double(std::size_t variant, std::int64_t seed)>;

// NaN: the run fails.
RunResult run_of(const PlannedRun& run, const Score& score) {
  RunResult result;
  result.variant = run.variant;
  result.seed = run.seed;
  const double value = score(run.variant, run.seed);
  if (std::isnan(value)) {
    result.failure = "failed";
  } else {
    result.dev = {{"t", {{"f1", value}}}};
  }
  return result;
}

struct Trained {
  std::vector<std::size_t> rounds;  // how many runs each had
  std::vector<std::size_t> chosen;
  std::vector<RunResult> results;
};

Trained train(const std::vector<Variant>& variants,
              const std::vector<std::int64_t>& seeds,
              const Score& score) {
  Trained trained;
  std::size_t announced = 0;
  for (int round = 0; round < 100; ++round) {
    const Halving halving = halve(variants, kHalved, seeds, trained.results);
    trained.chosen = halving.chosen;
    // What is announced at the beginning is what is made.
    const std::size_t total = trained.results.size() + halving.next.size() + halving.later;
    if (round == 0) announced = total;
    EXPECT_EQ(total, announced);
    if (halving.next.empty()) break;
    trained.rounds.push_back(halving.next.size());
    for (const PlannedRun& run : halving.next) trained.results.push_back(run_of(run, score));
  }
  return trained;
}

TEST(Halving, BetterHalfGoesOnAndTheBestHasAllSeeds) {
  const auto score = [](std::size_t variant, std::int64_t) {
    return 0.1 * (variant == 5 ? 9 : variant);
  };
  const Trained trained = train(settings(8), {0, 1, 2, 3, 4}, score);
  // 8 settings with one seed, 4 with two, 2 with four, 1 with five.
  EXPECT_THAT(trained.rounds, ElementsAre(8U, 4U, 4U, 1U));
  EXPECT_THAT(trained.chosen, ElementsAre(5U));
  EXPECT_EQ(std::count_if(trained.results.begin(),
                          trained.results.end(),
                          [](const RunResult& result) { return result.variant == 5; }),
            5);
}

TEST(Halving, OneSettingIsTrainedAsWithoutIt) {
  const auto same = [](std::size_t, std::int64_t) { return 0.5; };
  EXPECT_EQ(train(settings(1), {3, 7, 1}, same).results.size(), 3U);
  EXPECT_THAT(train(settings(3), {4}, same).rounds, ElementsAre(3U));
  EXPECT_THAT(train(settings(3), {4}, same).chosen, ElementsAre(0U));
  EXPECT_THAT(halve(settings(2), kHalved, {}, {}).next, IsEmpty());
}

TEST(Halving, FamiliesHaveNothingToDoWithEachOther) {
  auto variants = settings(4);
  for (const Variant& variant : settings(3, "ew")) variants.push_back(variant);
  Variant single;
  single.method = "single";
  single.task = "t";
  variants.push_back(single);
  const auto score = [](std::size_t variant, std::int64_t) {
    return variant == 2 || variant == 5 ? 0.9 : 0.1;
  };
  const Trained trained = train(variants, {0, 1, 2}, score);
  EXPECT_THAT(trained.chosen, ElementsAre(2U, 5U, 7U));
  EXPECT_THAT(trained.rounds, ElementsAre(8U, 2U + 2U + 1U, 1U + 1U + 1U));
}

TEST(Halving, ADroppedSettingIsNotChosenForTheLuckOfItsFewSeeds) {
  // The second is ahead with the first seed and falls below the first one's value after it was dropped.
  const auto score = [](std::size_t variant, std::int64_t seed) {
    if (variant == 0) return 0.7;
    return seed == 0 ? 0.8 : 0.2;
  };
  const Trained trained = train(settings(2), {0, 1, 2, 3}, score);
  EXPECT_THAT(trained.chosen, ElementsAre(1U));
  EXPECT_EQ(trained.results.size(), 2U + 3U);
}

TEST(Halving, WhatFailsIsDroppedAndNotAskedForAgain) {
  const auto score = [](std::size_t variant, std::int64_t) {
    return variant < 2 ? std::nan("") : 0.1;
  };
  const Trained trained = train(settings(4), {0, 1, 2}, score);
  EXPECT_THAT(trained.chosen, ElementsAre(2U));
  const auto none = [](std::size_t, std::int64_t) { return std::nan(""); };
  EXPECT_THAT(train(settings(4), {0, 1, 2}, none).rounds, ElementsAre(4U, 2U, 1U));
}

TEST(Halving, OrderOfResultsAndOtherSeedsDoNotMatter) {
  Rng rng(7);
  const auto score = [](std::size_t variant, std::int64_t seed) {
    Rng draw(static_cast<std::uint64_t>(seed * 100) + variant);
    return 0.5 + 0.1 * draw.normal();
  };
  Trained trained = train(settings(6), {0, 1, 2, 3, 4}, score);
  for (int repeat = 0; repeat < 20; ++repeat) {
    rng.shuffle(trained.results);
    const Halving again =
        halve(settings(6), kHalved, std::vector<std::int64_t>{0, 1, 2, 3, 4}, trained.results);
    EXPECT_THAT(again.next, IsEmpty());
    EXPECT_EQ(again.chosen, trained.chosen);
  }
  // Results of an earlier command with more seeds are not looked at in the rounds.
  const Halving fewer =
      halve(settings(6), kHalved, std::vector<std::int64_t>{0, 1}, trained.results);
  EXPECT_THAT(fewer.next, IsEmpty());
}

// The law it is used for: settings further apart than the scatter of seeds are told apart always, and
// of settings as near as the scatter the chosen one is on average better than one taken blindly.
TEST(Halving, FindsTheBestSetting) {
  double chosen_mean = 0;
  constexpr int kStudies = 400;
  for (int study = 0; study < kStudies; ++study) {
    const auto draw = [&](std::size_t variant, std::int64_t seed) {
      Rng rng(static_cast<std::uint64_t>(study * 10000 + seed * 100) + variant);
      return rng.normal();
    };
    const auto best = static_cast<std::size_t>(study % 8);
    const Trained far =
        train(settings(8), {0, 1, 2, 3}, [&](std::size_t variant, std::int64_t seed) {
          return (variant == best ? 12.0 : 0.0) + draw(variant, seed);
        });
    EXPECT_EQ(far.chosen.front(), best);
    const Trained near =
        train(settings(8), {0, 1, 2, 3}, [&](std::size_t variant, std::int64_t seed) {
          return static_cast<double>(variant) * 0.5 + draw(variant, seed);
        });
    chosen_mean += static_cast<double>(near.chosen.front()) * 0.5 / kStudies;
  }
  // Blind choice: 1.75; the best: 3.5.
  EXPECT_GT(chosen_mean, 2.8);
}

}  // namespace
}  // namespace detente::study

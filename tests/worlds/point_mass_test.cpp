// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/worlds/point_mass.h>
#include <gmock/gmock.h>
#include <tests/support/error_of.h>
#include <tests/worlds/fake_worlds.h>

#include <cmath>
#include <limits>
#include <numbers>
#include <set>

namespace detente::worlds {
namespace {

using ::testing::Each;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;

// Any fixed actions in [-1, 1].
TEST(EpisodeSeed, DependsOnEachOfItsNumbersAndFits31Bits) {
  std::set<std::uint32_t> seen;
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    for (std::uint64_t task = 0; task < 10; ++task) {
      for (std::uint64_t episode = 0; episode < 25; ++episode) {
        seen.insert(episode_seed(seed, task, episode));
      }
    }
  }
  EXPECT_EQ(seen.size(), 1000U);
  EXPECT_LT(*seen.rbegin(), 1U << 31);
}

// splitmix64's first number from the state 0 is known (0xe220a8397b1dcdaf); the rest follows from
// the definition.
TEST(EpisodeSeed, IsTheFinaliserOfSplitmix) {
  const auto mix = [](std::uint64_t x) {
    x += 0x9e3779b97f4a7c15ULL;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
  };
  ASSERT_EQ(mix(0), 0xe220a8397b1dcdafULL);
  EXPECT_EQ(episode_seed(0, 0, 0), mix(mix(0xe220a8397b1dcdafULL)) >> 33);
  EXPECT_EQ(episode_seed(5, 3, 9), mix(mix(mix(5) ^ 3) ^ 9) >> 33);
}

TEST(PointMass, FollowsItsEquations) {
  PointMass worlds({.tasks = 3});
  const Spec& spec = worlds.spec();
  ASSERT_EQ(spec.observation, 7U);
  ASSERT_EQ(spec.action, 2U);
  ASSERT_EQ(spec.horizon, 50U);
  worlds.reset();
  std::vector<double> x, v(6, 0.0);
  for (std::size_t k = 0; k < 3; ++k) {
    const auto row = worlds.observations().subspan(k * 7, 7);
    for (std::size_t i = 0; i < 2; ++i) {
      EXPECT_LE(std::abs(row[i]), 0.2F);
      EXPECT_EQ(row[2 + i], 0.0F);
      x.push_back(row[i]);
    }
    for (std::size_t j = 0; j < 3; ++j) EXPECT_EQ(row[4 + j], j == k ? 1.0F : 0.0F);
  }
  for (std::size_t t = 0; t < 20; ++t) {
    const auto actions = test::some_actions(spec, t);
    const Step& step = worlds.step(actions);
    for (std::size_t k = 0; k < 3; ++k) {
      const double angle = 2 * std::numbers::pi * static_cast<double>(k) / 3;
      const double goal[] = {std::cos(angle), std::sin(angle)};
      double squares = 0;
      for (std::size_t i = 0; i < 2; ++i) {
        v[2 * k + i] = 0.8 * v[2 * k + i] + 0.04 * actions[2 * k + i];
        x[2 * k + i] += v[2 * k + i];
        EXPECT_NEAR(step.observations[7 * k + i], x[2 * k + i], 1e-6);
        EXPECT_NEAR(step.observations[7 * k + 2 + i], v[2 * k + i], 1e-6);
        squares += std::pow(x[2 * k + i] - goal[i], 2);
      }
      EXPECT_NEAR(step.rewards[k], -std::sqrt(squares), 1e-6);
      EXPECT_EQ(step.success[k] != 0, std::sqrt(squares) <= 0.1);
    }
    EXPECT_THAT(std::vector<float>(worlds.observations().begin(), worlds.observations().end()),
                ElementsAreArray(step.observations));
  }
}

TEST(PointMass, StaysWithinItsWallsAndClipsActions) {
  PointMass worlds({.tasks = 1, .horizon = 1000});
  PointMass clipped({.tasks = 1, .horizon = 1000});
  worlds.reset();
  clipped.reset();
  for (int t = 0; t < 200; ++t) {
    const Step& step = worlds.step(std::vector<float>{1e30F, -1.0F});
    EXPECT_THAT(clipped.step(std::vector<float>{1.0F, -1.0F}).observations,
                ElementsAreArray(step.observations));
  }
  EXPECT_EQ(worlds.observations()[0], 1.5F);
  EXPECT_EQ(worlds.observations()[1], -1.5F);
  EXPECT_EQ(worlds.observations()[2], 0.0F);
}

TEST(PointMass, CutsEpisodesAtTheHorizonAndBeginsOthers) {
  PointMass worlds({.tasks = 2, .horizon = 3});
  worlds.reset();
  const std::vector<float> still(4, 0.0F);
  std::vector<float> first(worlds.observations().begin(), worlds.observations().end());
  for (int episode = 0; episode < 3; ++episode) {
    for (int t = 1; t <= 3; ++t) {
      const Step& step = worlds.step(still);
      EXPECT_THAT(step.truncated, Each(t == 3 ? 1 : 0));
      EXPECT_THAT(step.ended, Each(0));
      EXPECT_THAT(step.lost, Each(0));
      EXPECT_THAT(step.observations, ElementsAreArray(first));  // nothing pushes it
    }
    EXPECT_NE(worlds.observations()[0], first[0]);
    first.assign(worlds.observations().begin(), worlds.observations().end());
  }
}

TEST(PointMass, ItsExpertSucceedsInEveryEpisode) {
  PointMass worlds({.tasks = 10, .seed = 4});
  worlds.reset();
  for (int episode = 0; episode < 5; ++episode) {
    std::vector<int> success(10, 0);
    for (int t = 0; t < 50; ++t) {
      const Step& step = worlds.step(worlds.expert_actions());
      for (std::size_t k = 0; k < 10; ++k) success[k] |= step.success[k];
    }
    EXPECT_THAT(success, Each(1));
  }
}

TEST(PointMass, GoesOnToTheBitFromItsState) {
  PointMass worlds({.tasks = 4, .horizon = 7, .seed = 9});
  worlds.reset();
  for (std::size_t t = 0; t < 17; ++t) worlds.step(test::some_actions(worlds.spec(), t));
  const std::string saved = worlds.state().dump();
  PointMass other({.tasks = 4, .horizon = 7, .seed = 9});
  other.load_state(Json::parse(saved));
  EXPECT_TRUE(other.exact_state());
  for (std::size_t t = 17; t < 60; ++t) {
    const auto actions = test::some_actions(worlds.spec(), t);
    const Step& expected = worlds.step(actions);
    const Step& found = other.step(actions);
    ASSERT_THAT(found.observations, ElementsAreArray(expected.observations));
    ASSERT_THAT(found.rewards, ElementsAreArray(expected.rewards));
    ASSERT_THAT(found.truncated, ElementsAreArray(expected.truncated));
  }
}

TEST(PointMass, RefusesAStateThatIsNoneOfIts) {
  PointMass worlds({.tasks = 2});
  worlds.reset();
  const Json good = worlds.state();
  std::vector<Json> bad(7, good);
  bad[0] = Json::array();
  bad[1]["kind"] = "workers";
  bad[2]["tasks"][1] = "goal-7";
  bad[3]["episodes"] = {1};
  bad[4]["points"][0] = {1, 2, 3};
  bad[5]["points"][1][4] = -1;
  bad[6]["episodes"][0] = "1";
  for (const Json& one : bad) {
    EXPECT_EQ(test::error_of([&] { worlds.load_state(one); }).code(), ErrorCode::kData)
        << one.dump();
  }
  worlds.load_state(good);
}

TEST(PointMass, RefusesWhatItCannotDo) {
  EXPECT_EQ(test::error_of([] { PointMass({.tasks = 0}); }).code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(test::error_of([] { PointMass({.tasks = 1001}); }).code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(test::error_of([] { PointMass({.horizon = 0}); }).code(), ErrorCode::kInvalidArgument);
  PointMass worlds({.tasks = 2});
  const std::vector<float> still(4, 0.0F);
  EXPECT_THAT(test::error_of([&] { worlds.step(still); }).what(), HasSubstr("reset()"));
  worlds.reset();
  EXPECT_EQ(test::error_of([&] { worlds.step(std::vector<float>(3)); }).code(), ErrorCode::kShape);
  std::vector<float> bad = still;
  bad[3] = std::numeric_limits<float>::quiet_NaN();
  const Error error = test::error_of([&] { worlds.step(bad); });
  EXPECT_EQ(error.code(), ErrorCode::kNumeric);
  EXPECT_THAT(error.what(), HasSubstr("'goal-1'"));
}

}  // namespace
}  // namespace detente::worlds

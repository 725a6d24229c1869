// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/worlds/point_mass.h>
#include <detente/worlds/replay.h>
#include <gmock/gmock.h>
#include <tests/support/error_of.h>
#include <tests/support/temp_dir.h>

#include <deque>
#include <limits>

namespace detente::worlds {
namespace {

using test::error_of;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;

constexpr auto kUniform = ReplaySampling::kUniform;
constexpr auto kStratified = ReplaySampling::kStratified;

// A transition that says its own number in every part.
void add_numbered(Replay& replay, std::size_t number, std::size_t task) {
  const auto n = static_cast<float>(number);
  const std::vector<float> observation = {n, n + 0.25F};
  const std::vector<float> next = {n + 0.5F, n + 0.75F};
  replay.add(task, observation, std::vector<float>{-n}, 2 * n, next, number % 3 == 0);
}

std::vector<std::size_t> numbers_of(const ReplayBatch& batch) {
  std::vector<std::size_t> numbers;
  for (std::size_t i = 0; i < batch.rows(); ++i) {
    const float n = batch.observations[2 * i];
    EXPECT_EQ(batch.observations[2 * i + 1], n + 0.25F);
    EXPECT_EQ(batch.next[2 * i], n + 0.5F);
    EXPECT_EQ(batch.next[2 * i + 1], n + 0.75F);
    EXPECT_EQ(batch.actions[i], -n);
    EXPECT_EQ(batch.rewards[i], 2 * n);
    EXPECT_EQ(batch.not_done[i], static_cast<std::size_t>(n) % 3 == 0 ? 0.0F : 1.0F);
    numbers.push_back(static_cast<std::size_t>(n));
  }
  return numbers;
}

// Which task a numbered transition is of: none of a pattern that the ring's length divides.
std::size_t task_of(std::size_t number) { return number * number % 7 % 3; }

Replay filled(std::size_t capacity, std::size_t count) {
  Replay replay({.tasks = 3, .observation = 2, .action = 1, .capacity = capacity});
  for (std::size_t n = 0; n < count; ++n) add_numbered(replay, n, task_of(n));
  return replay;
}

TEST(Replay, KeepsTheLastOfAllTasks) {
  for (const std::size_t capacity : {1U, 2U, 7U, 20U, 100U}) {
    Replay replay({.tasks = 3, .observation = 2, .action = 1, .capacity = capacity});
    for (std::size_t n = 0; n < 60; ++n) {
      add_numbered(replay, n, task_of(n));
      const std::size_t first = n + 1 > capacity ? n + 1 - capacity : 0;
      ASSERT_EQ(replay.size(), n + 1 - first);
      std::vector<std::size_t> count(3, 0);
      for (std::size_t m = first; m <= n; ++m) ++count[task_of(m)];
      for (std::size_t k = 0; k < 3; ++k) ASSERT_EQ(replay.size_of(k), count[k]);
      for (const auto how : {kUniform, kStratified}) {
        ReplayBatch batch;
        replay.sample(how, 5, 1, n, batch);
        const auto numbers = numbers_of(batch);
        ASSERT_EQ(batch.begin.size(), 4U);
        ASSERT_EQ(batch.begin.back(), 5U);
        for (std::size_t k = 0; k < 3; ++k) {
          for (std::size_t i = batch.begin[k]; i < batch.begin[k + 1]; ++i) {
            ASSERT_EQ(batch.tasks[i], static_cast<std::int64_t>(k));
            ASSERT_EQ(task_of(numbers[i]), k);
            ASSERT_GE(numbers[i], first);
            ASSERT_LE(numbers[i], n);
          }
        }
      }
    }
  }
}

TEST(Replay, DrawsEachTransitionEquallyOften) {
  const Replay replay = filled(20, 33);
  std::vector<int> count(33, 0);
  ReplayBatch batch;
  for (std::uint64_t number = 0; number < 1000; ++number) {
    replay.sample(kUniform, 40, 5, number, batch);
    for (const std::size_t n : numbers_of(batch)) ++count[n];
  }
  for (std::size_t n = 0; n < 33; ++n) {
    if (n < 13) {
      EXPECT_EQ(count[n], 0);
    } else {
      EXPECT_NEAR(count[n], 2000, 5 * 44);  // five standard deviations of a binomial number
    }
  }
}

TEST(Replay, GivesEveryTaskItsShare) {
  const Replay replay = filled(20, 33);
  std::vector<std::size_t> rows(3, 0);
  std::vector<int> count(33, 0);
  ReplayBatch batch;
  for (std::uint64_t number = 0; number < 999; ++number) {
    replay.sample(kStratified, 32, 5, number, batch);
    for (const std::size_t n : numbers_of(batch)) ++count[n];
    for (std::size_t k = 0; k < 3; ++k) {
      const std::size_t share = batch.begin[k + 1] - batch.begin[k];
      EXPECT_GE(share, 10U);
      EXPECT_LE(share, 11U);
      rows[k] += share;
    }
  }
  EXPECT_THAT(rows, Each(999 * 32 / 3));  // what does not divide went round
  for (std::size_t n = 13; n < 33; ++n) {
    const double expected = 999.0 * 32 / 3 / static_cast<double>(replay.size_of(task_of(n)));
    EXPECT_NEAR(count[n], expected, 5 * std::sqrt(expected));
  }
}

TEST(Replay, GivesAbsentTasksNoShare) {
  Replay replay({.tasks = 3, .observation = 2, .action = 1, .capacity = 10});
  add_numbered(replay, 4, 1);
  ReplayBatch batch;
  for (const auto how : {kUniform, kStratified}) {
    replay.sample(how, 6, 1, 0, batch);
    EXPECT_THAT(batch.begin, ElementsAre(0, 0, 6, 6));
    EXPECT_THAT(numbers_of(batch), Each(4));
  }
}

TEST(Replay, DrawsByTheNumberOfTheBatchAlone) {
  const Replay replay = filled(100, 100);
  for (const auto how : {kUniform, kStratified}) {
    ReplayBatch first, again, other, reseeded;
    replay.sample(how, 30, 1, 7, first);
    replay.sample(how, 30, 1, 8, other);
    replay.sample(how, 30, 2, 7, reseeded);
    replay.sample(how, 30, 1, 7, again);
    EXPECT_EQ(numbers_of(first), numbers_of(again));
    EXPECT_NE(numbers_of(first), numbers_of(other));
    EXPECT_NE(numbers_of(first), numbers_of(reseeded));
  }
}

TEST(Replay, TakesVectorStepsWithoutWhatWasLost) {
  PointMass worlds({.tasks = 3, .horizon = 4});
  worlds.reset();
  Replay replay({.tasks = 3, .observation = 7, .action = 2, .capacity = 100});
  const std::vector<float> actions = {1, 0, 0, 1, -1, 0};
  const std::vector<float> before(worlds.observations().begin(), worlds.observations().end());
  Step step = worlds.step(actions);
  step.lost[1] = 1;
  step.ended[2] = 1;
  replay.add(before, actions, step);
  EXPECT_EQ(replay.size(), 2U);
  EXPECT_EQ(replay.size_of(1), 0U);
  ReplayBatch batch;
  replay.sample(kStratified, 2, 1, 0, batch);
  EXPECT_THAT(batch.begin, ElementsAre(0, 1, 1, 2));
  EXPECT_THAT(batch.not_done, ElementsAre(1.0F, 0.0F));
  EXPECT_THAT(batch.actions, ElementsAre(1, 0, -1, 0));
  EXPECT_THAT(batch.rewards, ElementsAre(step.rewards[0], step.rewards[2]));
  EXPECT_TRUE(std::equal(before.begin(), before.begin() + 7, batch.observations.begin()));
  EXPECT_TRUE(
      std::equal(step.observations.begin() + 14, step.observations.end(), batch.next.begin() + 7));
  EXPECT_EQ(error_of([&] { replay.add(before, before, step); }).code(), ErrorCode::kShape);
}

TEST(Replay, GoesOnToTheBitFromItsFile) {
  const test::TempDir folder;
  for (const std::size_t count : {0U, 5U, 20U, 33U, 40U}) {
    Replay replay = filled(20, count);
    replay.save(folder.file("replay"));
    Replay other = filled(20, 3);
    other.load(folder.file("replay"));
    for (std::size_t n = count; n < count + 50; ++n) {
      add_numbered(replay, n, task_of(n));
      add_numbered(other, n, task_of(n));
      for (const auto how : {kUniform, kStratified}) {
        ReplayBatch expected, found;
        replay.sample(how, 8, 3, n, expected);
        other.sample(how, 8, 3, n, found);
        ASSERT_EQ(numbers_of(found), numbers_of(expected));
        ASSERT_EQ(found.begin, expected.begin);
      }
    }
    replay.save(folder.file("one"));
    other.save(folder.file("two"));
    EXPECT_EQ(read_file(folder.file("one")), read_file(folder.file("two")));
  }
}

TEST(Replay, RefusesAFileThatIsNoneOfIts) {
  const test::TempDir folder;
  const std::string path = folder.file("replay");
  Replay replay = filled(20, 33);
  replay.save(path);
  for (const ReplaySizes sizes : {ReplaySizes{2, 2, 1, 20},
                                  ReplaySizes{3, 1, 1, 20},
                                  ReplaySizes{3, 2, 2, 20},
                                  ReplaySizes{3, 2, 1, 21}}) {
    Replay other(sizes);
    const Error error = error_of([&] { other.load(path); });
    EXPECT_EQ(error.code(), ErrorCode::kData);
    EXPECT_THAT(error.what(), HasSubstr("other sizes"));
    EXPECT_EQ(other.size(), 0U);
  }
  const std::string good = read_file(path);
  std::string flipped = good;
  flipped[flipped.size() - 9] ^= 1;
  for (const std::string& bytes :
       {good.substr(0, good.size() - 1), flipped, std::string("{}"), std::string()}) {
    folder.write("bad", bytes);
    EXPECT_EQ(error_of([&] { replay.load(folder.file("bad")); }).code(), ErrorCode::kData);
  }
  EXPECT_EQ(error_of([&] { replay.load(folder.file("none")); }).code(), ErrorCode::kIo);
  EXPECT_EQ(replay.size(), 20U);
}

TEST(Replay, RefusesWhatIsNoTransition) {
  Replay replay = filled(20, 3);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> two = {1, 2};
  const std::vector<float> one = {1};
  EXPECT_EQ(error_of([&] { replay.add(3, two, one, 0, two, false); }).code(),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(error_of([&] { replay.add(0, one, one, 0, two, false); }).code(), ErrorCode::kShape);
  EXPECT_EQ(error_of([&] { replay.add(0, two, two, 0, two, false); }).code(), ErrorCode::kShape);
  EXPECT_EQ(error_of([&] { replay.add(0, two, one, nan, two, false); }).code(),
            ErrorCode::kNumeric);
  EXPECT_EQ(error_of([&] {
              replay.add(0, two, {&nan, 1}, 0, two, false);
            }).code(),
            ErrorCode::kNumeric);
  EXPECT_EQ(replay.size(), 3U);
  ReplayBatch batch;
  EXPECT_EQ(error_of([&] { replay.sample(kUniform, 0, 1, 0, batch); }).code(),
            ErrorCode::kInvalidArgument);
  const Replay empty({.tasks = 1, .observation = 1, .action = 1, .capacity = 1});
  EXPECT_EQ(error_of([&] { empty.sample(kStratified, 1, 1, 0, batch); }).code(),
            ErrorCode::kInvalidArgument);
  for (const ReplaySizes sizes : {ReplaySizes{0, 1, 1, 1},
                                  ReplaySizes{1, 0, 1, 1},
                                  ReplaySizes{1, 1, 0, 1},
                                  ReplaySizes{1, 1, 1, 0},
                                  ReplaySizes{1, 1, 1, std::size_t{1} << 32}}) {
    EXPECT_EQ(error_of([&] { Replay replay(sizes); }).code(), ErrorCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace detente::worlds

// SPDX-License-Identifier: Apache-2.0
#include <detente/annotate/budget.h>
#include <detente/core/workers.h>
#include <gtest/gtest.h>

#include <atomic>

namespace detente::annotate {
namespace {

TEST(Budget, LetsNothingBeginThatMightPassIt) {
  Budget budget(100, 1e9, {});
  EXPECT_FALSE(budget.exhausted());
  ASSERT_TRUE(budget.reserve({60, 40}, {}));
  budget.settle({60, 40}, {10, 5});
  ASSERT_TRUE(budget.reserve({45, 40}, {}));
  budget.settle({45, 40}, {});  // it failed: nothing was spent
  EXPECT_EQ(budget.spent().tokens(), 15);
  EXPECT_FALSE(budget.reserve({46, 40}, {}));
  EXPECT_TRUE(budget.exhausted());
  EXPECT_FALSE(budget.reserve({1, 1}, {}));  // and stays so
}

TEST(Budget, CountsMoney) {
  Budget budget(Budget::kNoLimit, 2.0, {1e6, 2e6});  // 1 and 2 a token
  ASSERT_FALSE(budget.reserve({1, 1}, {}));
  Budget other(Budget::kNoLimit, 3.0, {1e6, 2e6});
  ASSERT_TRUE(other.reserve({1, 1}, {}));
  other.settle({1, 1}, {1, 1});
  EXPECT_EQ(other.cost(), 3);
}

TEST(Budget, HoldsWithManyThreads) {
  Budget budget(1000, 1e9, {});
  std::atomic<int> calls = 0;
  share_work(500, 8, [&](std::size_t, std::size_t) {
    if (!budget.reserve({10, 10}, {})) return;
    ++calls;
    budget.settle({10, 10}, {5, 5});
  });
  // Each call spends 10 and reserves 20: the last may begin at 980.
  EXPECT_EQ(calls, 99);
  EXPECT_EQ(budget.spent().tokens(), 990);
}

TEST(Budget, StopsWaitingWhenToldTo) {
  Budget budget(10, 1e9, {});
  ASSERT_TRUE(budget.reserve({5, 5}, {}));
  EXPECT_FALSE(budget.reserve({5, 5}, [] { return true; }));
  EXPECT_FALSE(budget.exhausted());
}

}  // namespace
}  // namespace detente::annotate

// SPDX-License-Identifier: Apache-2.0
// The promise of Method::solve(): after the first call with the same number of tasks, nothing is
// allocated. A step of training must not depend on the state of the heap.
#include <detente/balance/random_problems.h>
#include <detente/balance/registry.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/support/allocations.h"
#include "tests/support/methods.h"

namespace detente::balance {
namespace {

using test::allocations;

TEST(Allocations, AreCounted) {
  const std::int64_t before = allocations();
  const auto one = std::make_unique<int>(1);
  const std::vector<double> two(100);
  const std::string three(100, 'x');
  EXPECT_EQ(allocations(), before + 3);
}

class AllocationTest : public testing::TestWithParam<MethodInfo> {};

TEST_P(AllocationTest, HappensInTheFirstCallOnly) {
  constexpr std::size_t kCalls = 12;
  for (const ProblemFamily family : kProblemFamilies) {
    for (const std::size_t k : {1, 2, 3, 8, 33}) {
      SCOPED_TRACE(std::string(name_of(family)) + " k=" + std::to_string(k));
      const auto problems = random_problems(family, k, kCalls, 5);
      const auto method = GetParam().make();
      Rng rng(5);
      std::vector<double> direction;
      Result result;
      result.message.reserve(1000);  // a remark may come up in a later call
      solve_any(*method, problems[0], rng, direction, result);
      for (std::size_t i = 1; i < kCalls; ++i) {
        const std::int64_t before = allocations();
        solve_any(*method, problems[i], rng, direction, result);
        ASSERT_EQ(allocations(), before) << "in call " << i + 1;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Registry,
                         AllocationTest,
                         testing::ValuesIn(registry().begin(), registry().end()),
                         [](const auto& info) { return info.param.name; });

}  // namespace

}  // namespace detente::balance

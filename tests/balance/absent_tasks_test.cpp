// SPDX-License-Identifier: Apache-2.0
// Steps in which some tasks are absent (Problem::ids), for every method of the registry.
#include <detente/balance/registry.h>
#include <detente/core/error.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/methods.h"
#include "tests/support/problems.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

constexpr std::uint64_t kAbsentSeed = 31;
constexpr std::size_t kAll = 3;

const std::vector<std::size_t>& without_the_second() {
  static const std::vector<std::size_t> ids = {0, 2};
  return ids;
}

struct Step {
  Matrix jacobian{kAll, 8};
  std::vector<double> losses;
};

std::vector<Step> some_steps(int n) {
  Rng rng(kAbsentSeed);
  std::vector<Step> steps(n);
  for (Step& step : steps) {
    step.jacobian = problem_of(Family::kGaussian, kAll, rng);
    for (std::size_t i = 0; i < kAll; ++i) step.losses.push_back(0.2 + rng.uniform());
  }
  return steps;
}

Step part_of(const Step& step, const std::vector<std::size_t>& ids) {
  Step part{Matrix(ids.size(), step.jacobian.cols()), {}};
  for (std::size_t i = 0; i < ids.size(); ++i) {
    part.losses.push_back(step.losses[ids[i]]);
    for (std::size_t p = 0; p < part.jacobian.cols(); ++p) {
      part.jacobian(i, p) = step.jacobian(ids[i], p);
    }
  }
  return part;
}

// One step of a method of any class with the rows of `step` as the tasks `ids` of `all`: weights
// and direction. Empty ids: the rows are all there is.
Result take(Method& method,
            const Step& step,
            Rng& rng,
            std::vector<double>& d,
            const std::vector<std::size_t>& ids = {}) {
  Result result;
  const std::size_t k = step.jacobian.rows();
  const Matrix gram = gram_of(step.jacobian);
  Problem problem = {.tasks = k, .gram = gram, .losses = step.losses, .rng = &rng};
  if (!ids.empty()) {
    problem.ids = ids;
    problem.all_tasks = kAll;
  }
  d.assign(step.jacobian.cols(), 0.0);
  if (method.method_class() == MethodClass::kCoordinates) {
    method.direct(problem, Rows<double>{step.jacobian.data(), k, d.size(), d.size()}, d, result);
  } else {
    method.solve(problem, result);
    d = direction_of(step.jacobian, result.weights);
  }
  if (method.wants_losses_after_step()) {
    std::vector<double> after = step.losses;
    for (std::size_t i = 0; i < k; ++i) after[i] *= 0.9 - 0.1 * static_cast<double>(i);
    problem.losses = after;
    method.losses_after_step(problem);
  }
  return result;
}

class AbsentTasksTest : public testing::TestWithParam<std::string> {
 protected:
  const MethodInfo& info() const { return *find_method(GetParam()); }
};

TEST_P(AbsentTasksTest, GivesFiniteWeightsBetweenFullSteps) {
  const auto method = info().make();
  Rng rng(kAbsentSeed);
  std::vector<double> d;
  int turn = 0;
  for (const Step& step : some_steps(9)) {
    const bool full = turn++ % 2 == 0;
    const Result result =
        full ? take(*method, step, rng, d)
             : take(*method, part_of(step, without_the_second()), rng, d, without_the_second());
    EXPECT_EQ(result.weights.size(), full ? kAll : 2u);
    for (const double w : result.weights) EXPECT_TRUE(std::isfinite(w));
    for (const double x : d) EXPECT_TRUE(std::isfinite(x));
  }
}

TEST_P(AbsentTasksTest, GivesWhatTheSmallerProblemGivesWithoutState) {
  if (info().stateful) GTEST_SKIP() << "the state tells the tasks apart";
  std::vector<double> d, alone;
  for (const Step& step : some_steps(5)) {
    const Step part = part_of(step, without_the_second());
    Rng a(kAbsentSeed);
    Rng b(kAbsentSeed);
    const auto method = info().make();
    EXPECT_EQ(take(*method, part, a, d, without_the_second()).weights,
              take(*info().make(), part, b, alone).weights);
    EXPECT_EQ(d, alone);
  }
}

// The entries of task 1 in lists with one entry per task or per pair of tasks.
void entries_of_the_second(const Json& state, std::vector<Json>& entries) {
  if (state.is_object()) {
    for (const auto& [key, member] : state.items()) {
      // Who was there in the last step is no state of the absent.
      if (key != "present") entries_of_the_second(member, entries);
    }
  }
  if (!state.is_array()) return;
  if (state.size() == kAll) entries.push_back(state.at(1));
  if (state.size() != kAll * kAll) return;
  for (std::size_t i = 0; i < kAll * kAll; ++i) {
    if (i % kAll == 1 || i / kAll == 1) entries.push_back(state.at(i));
  }
}

TEST_P(AbsentTasksTest, LeavesTheStateOfAnAbsentTaskAlone) {
  if (!info().stateful) GTEST_SKIP() << "there is no state";
  const auto method = info().make();
  Rng rng(kAbsentSeed);
  std::vector<double> d;
  const auto steps = some_steps(60);
  for (const Step& step : steps) take(*method, step, rng, d);
  for (const Step& step : steps) {
    std::vector<Json> before, after;
    const Json old = method->state();
    entries_of_the_second(old, before);
    take(*method, part_of(step, without_the_second()), rng, d, without_the_second());
    entries_of_the_second(method->state(), after);
    EXPECT_EQ(before, after) << old.dump() << "\n" << method->state().dump();
  }
}

INSTANTIATE_TEST_SUITE_P(Registry,
                         AbsentTasksTest,
                         testing::ValuesIn(method_names()),
                         [](const auto& name) { return name.param; });

TEST(AbsentTasks, DoNotCountForTheirOwnWeights) {
  // Where each task's weight follows its own losses alone, steps without it might not have been.
  for (const std::string name : {"uw", "imtl_l"}) {
    SCOPED_TRACE(name);
    const auto interrupted = make_with(name);
    const auto whole = make_with(name);
    Rng rng(kAbsentSeed);
    std::vector<double> d;
    for (const Step& step : some_steps(40)) {
      take(*interrupted, part_of(step, without_the_second()), rng, d, without_the_second());
      const double with = take(*interrupted, step, rng, d).weights[1];
      EXPECT_EQ(with, take(*whole, step, rng, d).weights[1]);
    }
  }
}

TEST(AbsentTasks, TakeTheirOptionsAlong) {
  const auto weights = [](const std::string& name, const Settings& settings) {
    const auto method = make_with(name, settings);
    Rng rng(kAbsentSeed);
    std::vector<double> d;
    const Step part = {matrix_of({{1, 0}, {0, 1}}), {0.5, 0.5}};
    return take(*method, part, rng, d, without_the_second()).weights;
  };
  EXPECT_EQ(weights("constant", {{"weights", "[5, 6, 7]"}}), (std::vector<double>{5, 7}));
  EXPECT_EQ(weights("uw", {{"kind", "[gaussian, laplace, classification]"}}),
            (std::vector<double>{0.5, 1}));
  for (const std::string name : {"upgrad", "dualproj"}) {
    const auto w = weights(name, {{"preference", "[3, 4, 5]"}});
    EXPECT_NEAR(w[0], 3, kRounding) << name;
    EXPECT_NEAR(w[1], 5, kRounding) << name;
  }
  const auto aligned = weights("aligned_mtl", {{"preference", "[3, 4, 5]"}});
  EXPECT_NEAR(aligned[0] / aligned[1], 3.0 / 5, kRounding);
  // Preferences are shares of those present.
  const auto stch = weights("stch", {{"preference", "[1, 6, 3]"}, {"mu", "1e9"}});
  EXPECT_NEAR(stch[0], 0.25 / 2, kReference);
  EXPECT_NEAR(stch[1], 0.75 / 2, kReference);
  EXPECT_EQ(weights("stch", {{"preference", "[0, 1, 0]"}}), std::vector<double>(2, 0.0));
  EXPECT_THROW(weights("constant", {{"weights", "[5, 7]"}}), Error);
}

TEST(AbsentTasks, MakeNoWindowsInDwa) {
  // Task 1 is away in every other step; its windows are the steps it was there.
  const auto interrupted = make_with("dwa", {{"window", "2"}});
  const auto whole = make_with("dwa", {{"window", "2"}});
  Rng rng(kAbsentSeed);
  std::vector<double> d;
  for (const Step& step : some_steps(20)) {
    take(*interrupted, part_of(step, {1}), rng, d, {1});
    take(*whole, step, rng, d);
    const Json a = interrupted->state();
    const Json b = whole->state();
    for (const char* key : {"sum", "steps", "windows", "last", "before"}) {
      EXPECT_EQ(a.at(key).at(1), b.at(key).at(1)) << key;
    }
    take(*interrupted, part_of(step, without_the_second()), rng, d, without_the_second());
  }
  EXPECT_EQ(interrupted->state(), whole->state());
}

}  // namespace

}  // namespace detente::balance

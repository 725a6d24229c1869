// SPDX-License-Identifier: Apache-2.0
// What may be said of whole runs. Inside a log valley trajectories are chaotic, and along the
// Pareto set MGDA and PCGrad drift on rounding noise that Adam amplifies, so their ends are
// asserted by region only.
#include <detente/balance/negative_losses.h>
#include <detente/core/error.h>
#include <detente/toy/run.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

namespace detente::toy {
namespace {

using ::testing::HasSubstr;

constexpr double kMinimum = -15.0916;
const std::vector<Vec2> kCodeStarts = {{-8.5, 7.5}, {-8.5, -5}, {9, 9}};

void set(balance::Method& method, const char* option, const std::string& value) {
  set_field([&](FieldVisitor& v) { method.describe(v); }, option, value, "[test]");
}

RunResult run_toy(const char* problem_name,
                  const char* method_name,
                  Vec2 start,
                  std::int64_t steps) {
  const ToyProblem& problem = find_problem(problem_name);
  const auto method = make_toy_method(problem, method_name);
  RunOptions options;
  options.steps = steps;
  return run(problem, *method, start, options);
}

TEST(ToyRun, CagradReachesTheMinimumOfTheMeanFromEveryStart) {
  const ToyProblem& problem = find_problem("cagrad");
  auto starts = problem.starts;
  starts.insert(starts.end(), kCodeStarts.begin(), kCodeStarts.end());
  for (const Vec2 start : starts) {
    for (const char* c : {"0.2", "0.5", "0.8"}) {
      const auto method = make_toy_method(problem, "cagrad");
      set(*method, "c", c);
      const RunResult end = run(problem, *method, start, {});
      const double tolerance = std::string(c) == "0.2" ? 1e-2 : 1e-3;
      EXPECT_NEAR(end.mean_loss, kMinimum, tolerance)
          << c << " from " << start.x1 << ", " << start.x2;
      EXPECT_LT(std::abs(end.final.x1), 0.1);
    }
  }
}

TEST(ToyRun, EqualWeightsStayInTheValleys) {
  for (const Vec2 start : {Vec2{9, 9}, Vec2{-8.5, 7.5}}) {
    EXPECT_GT(run_toy("cagrad", "ew", start, 100'000).mean_loss, 0);
  }
  for (const Vec2 start : {Vec2{0, 0}, Vec2{10, -8}, Vec2{-8.5, -5}}) {
    EXPECT_NEAR(run_toy("cagrad", "ew", start, 100'000).mean_loss, kMinimum, 1e-3);
  }
}

// From (9, 9) the code's sign of tanh ends at x1 = 5.05, the printed one at 8.98.
TEST(ToyRun, EqualWeightsEndInTheValleyOfTheCode) {
  const RunResult end = run_toy("cagrad", "ew", {9, 9}, 100'000);
  EXPECT_NEAR(end.final.x1, 5.05, 0.1);
}

TEST(ToyRun, MgdaAndPcgradStopOnTheParetoSetAwayFromTheMinimum) {
  for (const char* method : {"mgda", "pcgrad"}) {
    for (const Vec2 start : {Vec2{-8.5, 7.5}, Vec2{9, 9}}) {
      const RunResult end = run_toy("cagrad", method, start, 100'000);
      EXPECT_LT(end.min_norm, 1e-3) << method;
      EXPECT_LE(std::abs(end.final.x1), 7.05) << method;
      EXPECT_GE(end.final.x2, -8.45) << method;
      EXPECT_LE(end.final.x2, -8.35) << method;
      EXPECT_GT(end.mean_loss, -15.05) << method;
    }
  }
}

TEST(ToyRun, CagradWithZeroRadiusIsEqualWeightsToTheBit) {
  const ToyProblem& problem = find_problem("cagrad");
  for (const Vec2 start : problem.starts) {
    const auto cagrad = make_toy_method(problem, "cagrad");
    set(*cagrad, "c", "0");
    const auto ew = make_toy_method(problem, "ew");
    RunOptions options;
    options.steps = 20'000;
    EXPECT_EQ(run(problem, *cagrad, start, options).trajectory,
              run(problem, *ew, start, options).trajectory);
  }
}

TEST(ToyRun, OnlyPcgradCrossesItsPapersValley) {
  const Vec2 start = find_problem("pcgrad").starts.at(0);
  const RunResult plain = run_toy("pcgrad", "ew", start, 300'000);
  EXPECT_GT(plain.final.x1, 1.5);
  EXPECT_GT(plain.losses[1], 30);
  const RunResult projected = run_toy("pcgrad", "pcgrad", start, 300'000);
  EXPECT_LT(projected.final.x1, -1.9);
  EXPECT_LT(projected.losses[1], -100);
}

TEST(ToyRun, SumsForThePcgradProblemAndAveragesForTheOther) {
  const auto weight = [](const char* problem, const char* name) {
    const auto method = make_toy_method(find_problem(problem), name);
    Matrix gram(2, 2);
    gram(0, 0) = gram(1, 1) = 1;
    balance::Result result;
    method->solve({.tasks = 2, .gram = gram.view()}, result);
    return result.weights[0];
  };
  for (const char* method : {"ew", "pcgrad"}) {
    EXPECT_DOUBLE_EQ(weight("cagrad", method), 0.5) << method;
    EXPECT_DOUBLE_EQ(weight("pcgrad", method), 1.0) << method;
  }
}

TEST(ToyRun, RecordsAThinnedTrajectory) {
  const ToyProblem& problem = find_problem("cagrad");
  const auto method = make_toy_method(problem, "ew");
  RunOptions options;
  options.steps = 1003;
  options.samples = 10;
  std::vector<double> progress;
  options.progress = [&](double share) { progress.push_back(share); };
  const RunResult out = run(problem, *method, {9, 9}, options);
  EXPECT_EQ(out.trajectory.size(), 12U);
  EXPECT_EQ(out.trajectory.front(), out.start);
  EXPECT_EQ(out.trajectory.back(), out.final);
  EXPECT_EQ(progress.size(), 11U);
  EXPECT_EQ(progress.back(), 1.0);
  EXPECT_EQ(out.mean_loss, 0.5 * (out.losses[0] + out.losses[1]));
  EXPECT_EQ(out.min_norm, min_norm(problem.evaluate(out.final)));
}

TEST(ToyRun, WithoutStepsEndsWhereItStarts) {
  const RunResult out = run_toy("cagrad", "ew", {1, 2}, 0);
  EXPECT_EQ(out.final, (Vec2{1, 2}));
  EXPECT_EQ(out.trajectory.size(), 1U);
}

TEST(ToyRun, RefusesBadOptions) {
  const ToyProblem& problem = find_problem("cagrad");
  const auto method = make_toy_method(problem, "ew");
  const auto message = [&](Vec2 start, const RunOptions& options) -> std::string {
    try {
      run(problem, *method, start, options);
      return "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      return error.what();
    }
  };
  EXPECT_THAT(message({std::numeric_limits<double>::quiet_NaN(), 0}, {}),
              HasSubstr("start must be finite"));
  EXPECT_THAT(message({0, 0}, {.steps = -1}), HasSubstr("steps must be >= 0, got -1"));
  EXPECT_THAT(message({0, 0}, {.lr = 0}), HasSubstr("lr must be > 0, got 0"));
  EXPECT_THROW(make_toy_method(problem, "nope"), Error);
}

// Looks at what it is given; goes along the first axis.
class Spy : public balance::Method {
 public:
  explicit Spy(balance::MethodClass method_class) : class_(method_class) {}
  balance::MethodClass method_class() const override { return class_; }
  const char* name() const override { return "spy"; }
  bool uses_losses() const override { return true; }
  bool wants_losses_after_step() const override { return true; }

  std::vector<double> before;  // loss 1 as shown to each step, and after it
  std::vector<double> after;
  std::vector<double> rows;

 protected:
  void compute(const balance::Problem& problem, balance::Result& result) override {
    before.push_back(problem.losses[0]);
    result.weights.assign(2, 0.5);
  }
  void compute_direction(const balance::Problem& problem,
                         const balance::Rows<double>& given,
                         std::span<double> d,
                         balance::Result& result) override {
    before.push_back(problem.losses[0]);
    rows.assign(given.data, given.data + 4);
    d[0] = 1;
    d[1] = 0;
    result.weights.assign(2, 1.0);
  }
  void compute_after_step(const balance::Problem& problem) override {
    after.push_back(problem.losses[0]);
  }

 private:
  balance::MethodClass class_;
};

TEST(ToyRun, ShowsTheLossesOfEachPointBeforeAndAfterTheStep) {
  const ToyProblem& problem = find_problem("cagrad");
  Spy spy(balance::MethodClass::kGramLoss);
  const RunResult end = run(problem, spy, {0, -8}, {.steps = 3, .shift_losses = true});
  ASSERT_EQ(spy.before.size(), 3U);
  ASSERT_EQ(spy.after.size(), 3U);
  EXPECT_EQ(spy.before[0], problem.evaluate({0, -8}).losses[0] + 21.0);
  EXPECT_EQ(spy.after[0], spy.before[1]);
  EXPECT_EQ(spy.after[2], end.losses[0] + 21.0);
  EXPECT_EQ(end.shift, (std::array<double, 2>{21.0, 21.0}));
}

TEST(ToyRun, GoesWhereAMethodOfClassJPoints) {
  const ToyProblem& problem = find_problem("cagrad");
  Spy spy(balance::MethodClass::kCoordinates);
  const RunResult end = run(problem, spy, {1, -8}, {.steps = 1, .lr = 0.5});
  EXPECT_NEAR(end.final.x1, 0.5, 1e-6);
  EXPECT_EQ(end.final.x2, -8);
  const auto [a, b] = problem.evaluate({1, -8}).gradients;
  EXPECT_EQ(spy.rows, (std::vector<double>{a.x1, a.x2, b.x1, b.x2}));
}

TEST(ToyRun, KnowsWhichMethodsRefuseNegativeLosses) {
  const ToyProblem& problem = find_problem("cagrad");
  for (const char* name : {"uw", "si", "gls", "famo"}) {
    EXPECT_TRUE(balance::refuses_negative_losses(*make_toy_method(problem, name))) << name;
  }
  for (const char* name : {"ew", "cagrad", "stch", "graddrop"}) {
    EXPECT_FALSE(balance::refuses_negative_losses(*make_toy_method(problem, name))) << name;
  }
}

TEST(ToyRun, SaysWhenAMethodDoesNotFitTheProblem) {
  try {
    run_toy("cagrad", "uw", {0, -8}, 10);  // its losses are negative
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNumeric);
  }
}

}  // namespace
}  // namespace detente::toy

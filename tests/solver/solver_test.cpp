// SPDX-License-Identifier: Apache-2.0
// From Gram matrices to weights: scales, groups, absent tasks, the quality of estimates.
#include <detente/balance/registry.h>
#include <detente/core/error.h>
#include <detente/solver/solver.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

namespace detente::solver {
namespace {

using balance::MethodClass;
using testing::ElementsAre;
using testing::HasSubstr;

// A method that does what a test says, and remembers what it was shown.
class Told : public balance::Method {
 public:
  using Compute = std::function<void(const balance::Problem&, balance::Result&)>;

  explicit Told(Compute compute, MethodClass its_class = MethodClass::kGram)
      : compute_(std::move(compute)), class_(its_class) {}
  MethodClass method_class() const override { return class_; }
  const char* name() const override { return name_.c_str(); }
  Json state() const override { return state_; }

  int asked = 0;
  std::vector<std::size_t> ids;
  std::vector<std::string> names;
  std::string name_ = "told";
  Json state_;

 protected:
  void compute(const balance::Problem& problem, balance::Result& result) override {
    ++asked;
    ids.assign(problem.ids.begin(), problem.ids.end());
    names.assign(problem.names.begin(), problem.names.end());
    compute_(problem, result);
  }

 private:
  Compute compute_;
  MethodClass class_;
};

std::shared_ptr<Told> gives(std::vector<double> weights,
                            MethodClass its_class = MethodClass::kGram) {
  return std::make_shared<Told>(
      [weights](const balance::Problem&, balance::Result& result) { result.weights = weights; },
      its_class);
}

Matrix gram2(double a, double b, double c) {
  Matrix gram(2, 2);
  gram(0, 0) = a;
  gram(0, 1) = gram(1, 0) = b;
  gram(1, 1) = c;
  return gram;
}

std::string message_of(const std::function<void()>& call, ErrorCode code) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code);
    return error.what();
  }
  ADD_FAILURE() << "accepted";
  return "";
}

TEST(ScaleFactor, GivesTheSumOrTheLengthThatIsAsked) {
  const std::vector<double> w = {0.5, 1.5};
  const Matrix gram = gram2(4, 1, 9);
  EXPECT_EQ(scale_factor(Scale::kNative, w, gram), 1.0);
  EXPECT_DOUBLE_EQ(scale_factor(Scale::kSumToOne, w, gram), 0.5);
  EXPECT_DOUBLE_EQ(scale_factor(Scale::kSumToTasks, w, gram), 1.0);
  const double factor = scale_factor(Scale::kMeanNorm, w, gram);
  const std::vector<double> scaled = {factor * w[0], factor * w[1]};
  const std::vector<double> mean = {0.5, 0.5};
  EXPECT_NEAR(squared_length(scaled, gram), squared_length(mean, gram), 1e-12);
}

TEST(ScaleFactor, LeavesWhatVanishesAsItIs) {
  const std::vector<double> opposite = {1.0, -1.0};
  EXPECT_EQ(scale_factor(Scale::kSumToOne, opposite, {}), 1.0);
  const Matrix equal = gram2(1, 1, 1);  // the same gradient twice
  EXPECT_EQ(scale_factor(Scale::kMeanNorm, opposite, equal), 1.0);
  const std::vector<double> w = {1.0, 2.0};
  EXPECT_EQ(scale_factor(Scale::kMeanNorm, w, {}), 1.0);
  EXPECT_EQ(scale_factor(Scale::kMeanNorm, w, gram2(0, 0, 0)), 1.0);
}

TEST(SquaredLength, IsNeverNegative) {
  const std::vector<double> w = {1.0, -1.0};
  EXPECT_EQ(squared_length(w, gram2(1, 1 + 1e-16, 1 - 1e-15)), 0.0);
}

TEST(Solver, ShowsTheMethodTheTasksThatArePresent) {
  const auto method = gives({1, 2});
  Solver solver(method, {"a", "b", "c"}, Scale::kNative);
  Rng rng(1);
  solver.begin({0, 2}, {0.5, 0.25});
  EXPECT_THAT(solver.solve(gram2(1, 0, 1), {}, rng).weights, ElementsAre(1, 2));
  EXPECT_THAT(method->ids, ElementsAre(0, 2));
  EXPECT_THAT(method->names, ElementsAre("a", "c"));
  const balance::Problem problem = solver.problem({}, nullptr);
  EXPECT_EQ(problem.total(), 3U);
  EXPECT_THAT(std::vector<double>(problem.losses.begin(), problem.losses.end()),
              ElementsAre(0.5, 0.25));
}

TEST(Solver, ScalesTheWeightsOfMethodsButNotThoseOfADirection) {
  Solver solver(gives({1, 3}), {"a", "b"}, Scale::kSumToOne);
  Rng rng(1);
  solver.begin({0, 1}, {1, 1});
  EXPECT_THAT(solver.solve(gram2(1, 0, 1), {}, rng).weights, ElementsAre(0.25, 0.75));
  balance::Result direct;
  direct.weights = {1, 1};
  EXPECT_THAT(solver.take(direct).weights, ElementsAre(1, 1));
}

TEST(Solver, AClassLMethodSeesNoGramMatrix) {
  bool seen = true;
  const auto method = std::make_shared<Told>(
      [&](const balance::Problem& problem, balance::Result& result) {
        seen = !problem.gram.empty();
        result.weights = {1, 1};
      },
      MethodClass::kLoss);
  Solver solver(method, {"a", "b"}, Scale::kMeanNorm);
  Rng rng(1);
  solver.begin({0, 1}, {1, 1});
  const Matrix gram = gram2(4, 0, 4);
  solver.solve(gram, {}, rng);
  EXPECT_FALSE(seen);
  EXPECT_FALSE(solver.sees_gram_alone());
}

TEST(Solver, NamesTheTaskWhoseWeightIsNotFinite) {
  Solver solver(gives({1, std::nan("")}), {"a", "b", "c"}, Scale::kNative);
  Rng rng(1);
  solver.begin({0, 2}, {1, 1});
  const Matrix gram = gram2(1, 0, 1);
  EXPECT_THAT(message_of([&] { solver.solve(gram, {}, rng); }, ErrorCode::kNumeric),
              HasSubstr("'c'"));
}

TEST(Solver, GroupsAskTheirOwnMethodsAndNotTheFirst) {
  const auto first = gives({9, 9}, MethodClass::kLoss);
  const auto one = gives({1, 0});
  const auto two = gives({0, 1});
  Solver solver(first, {"a", "b"}, Scale::kNative);
  EXPECT_EQ(&solver.method(), first.get());
  EXPECT_EQ(solver.needs(), MethodClass::kLoss);
  solver.balance_by_group({one, two});
  EXPECT_EQ(&solver.method(), one.get());
  EXPECT_EQ(solver.needs(), MethodClass::kGram);
  Rng rng(1);
  solver.begin({0, 1}, {1, 1});
  const std::vector<Matrix> grams = {gram2(1, 0, 4), gram2(1, 0, 4)};
  const std::vector<double> sizes = {3, 1};
  const Solution& solution = solver.solve_groups(grams, sizes, rng);
  ASSERT_EQ(solution.by_group.size(), 2U);
  EXPECT_THAT(solution.by_group[0], ElementsAre(1, 0));
  EXPECT_THAT(solution.by_group[1], ElementsAre(0, 1));
  EXPECT_THAT(solution.weights, ElementsAre(0.75, 0.25));
  EXPECT_EQ(solver.direction_squared(gram2(0, 0, 0), grams), 1.0 + 4.0);
  EXPECT_EQ(first->asked, 0);
  EXPECT_EQ(one->asked, 1);
  solver.balance_by_group({});
  EXPECT_EQ(&solver.method(), first.get());
}

TEST(Solver, ReportsTheWorstOfSeveralSolves) {
  const auto with = [](balance::StopReason stop, double certificate, const char* message) {
    return std::make_shared<Told>([=](const balance::Problem&, balance::Result& result) {
      result = {{1, 1}, stop, 3, certificate, message};
    });
  };
  Solver solver(gives({1, 1}), {"a", "b"}, Scale::kNative);
  solver.balance_by_group({with(balance::StopReason::kMaxIterations, 1e-3, "slow"),
                           with(balance::StopReason::kConverged, 1e-2, "")});
  Rng rng(1);
  solver.begin({0, 1}, {1, 1});
  const std::vector<Matrix> grams = {gram2(1, 0, 1), gram2(1, 0, 1)};
  const std::vector<double> sizes = {1, 1};
  const Solution& solution = solver.solve_groups(grams, sizes, rng);
  EXPECT_EQ(solution.stop, balance::StopReason::kMaxIterations);
  EXPECT_EQ(solution.certificate, 1e-2);
  EXPECT_EQ(solution.message, "slow");
}

TEST(Solver, RefusesMethodsThatKnowNoGroups) {
  Solver solver(gives({1, 1}), {"a", "b"}, Scale::kNative);
  EXPECT_THAT(message_of(
                  [&] {
                    solver.balance_by_group({gives({1, 1}, MethodClass::kLoss)});
                  },
                  ErrorCode::kInvalidArgument),
              HasSubstr("class L"));
  const auto other = gives({1, 1});
  other->name_ = "other";
  EXPECT_THAT(message_of(
                  [&] {
                    solver.balance_by_group({gives({1, 1}), other});
                  },
                  ErrorCode::kInvalidArgument),
              HasSubstr("'other'"));
  EXPECT_FALSE(solver.by_group());
  message_of([&] { solver.balance_by_group({nullptr}); }, ErrorCode::kInvalidArgument);
  message_of([] { Solver({}, {"a"}, Scale::kNative); }, ErrorCode::kInvalidArgument);
  message_of([] { Solver(gives({}), {}, Scale::kNative); }, ErrorCode::kInvalidArgument);
}

TEST(Estimates, AreAsGoodAsTheirDirection) {
  Solver solver(balance::make_method("mgda"), {"a", "b"}, Scale::kSumToTasks);
  Rng rng(1);
  const Matrix exact = gram2(4, 0, 1);
  solver.begin({0, 1}, {1, 1});
  solver.solve(exact, {}, rng);
  EXPECT_NEAR(solver.estimate_cosine(exact, exact, rng), 1.0, 1e-9);
  // With the sizes exchanged the min-norm weights are 1/5, 4/5 in place of 4/5, 1/5... of the
  // gradients (2, 0) and (0, 1): directions (0.4, 0.8) and (1.6, 0.2).
  const double cosine = (0.4 * 1.6 + 0.8 * 0.2) / std::hypot(0.4, 0.8) / std::hypot(1.6, 0.2);
  EXPECT_NEAR(solver.estimate_cosine(gram2(1, 0, 4), exact, rng), cosine, 1e-6);
  EXPECT_TRUE(std::isnan(solver.estimate_cosine({}, exact, rng)));
}

TEST(Estimates, MoveNeitherTheMethodNorTheGenerator) {
  const auto draws = std::make_shared<Told>([](const balance::Problem& p, balance::Result& result) {
    result.weights = {p.rng->uniform(), 1.0};
  });
  Solver solver(draws, {"a", "b"}, Scale::kNative);
  Rng rng(5);
  const Matrix gram = gram2(1, 0, 1);
  solver.begin({0, 1}, {1, 1});
  solver.solve(gram, {}, rng);
  Rng copy = rng;
  EXPECT_TRUE(std::isfinite(solver.estimate_cosine(gram, gram, rng)));
  EXPECT_EQ(rng.uniform(), copy.uniform());
  // A method that learns is not asked twice.
  draws->state_ = Json{{"step", 1}};
  const int before = draws->asked;
  EXPECT_TRUE(std::isnan(solver.estimate_cosine(gram, gram, rng)));
  EXPECT_EQ(draws->asked, before);
}

}  // namespace
}  // namespace detente::solver

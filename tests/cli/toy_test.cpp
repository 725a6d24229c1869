// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/registry.h>
#include <detente/cli/cli.h>
#include <detente/core/file.h>
#include <detente/core/json.h>
#include <detente/toy/problems.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

namespace detente::cli {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

struct Outcome {
  int code = 0;
  std::string out;
  std::string err;
};

class ToyCommand : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) /
              (std::string("detente_toy_") +
               ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  Outcome toy(std::vector<std::string> args) {
    args.insert(args.begin(), "toy");
    args.insert(args.end(), {"--out", folder_.string()});
    std::ostringstream out;
    std::ostringstream err;
    Outcome outcome;
    outcome.code = run(args, out, err);
    outcome.out = out.str();
    outcome.err = err.str();
    return outcome;
  }

  fs::path folder_;
};

TEST_F(ToyCommand, ComparesFourMethodsFromThePapersStarts) {
  const Outcome all = toy({"--json"});
  ASSERT_EQ(all.code, 0) << all.err;
  EXPECT_EQ(all.err, "");
  const Json json = Json::parse(all.out);
  const Json& runs = json.at("runs");
  ASSERT_EQ(runs.size(), 20U);
  for (const auto& run : runs) {
    EXPECT_EQ(run.at("steps"), 100000);
    const double x1 = run.at("final").at(0);
    const double mean = run.at("mean_loss");
    EXPECT_DOUBLE_EQ(
        mean, 0.5 * (run.at("losses").at(0).get<double>() + run.at("losses").at(1).get<double>()));
    if (run.at("method") == "cagrad") {
      EXPECT_NEAR(mean, -15.0916, 1e-3);
      EXPECT_LT(std::abs(x1), 0.1);
      EXPECT_LT(run.at("min_norm"), 1e-3);
    }
    if (run.at("method") == "ew" && run.at("start") == Json({9, 9})) {
      EXPECT_GT(mean, 0);
    }
  }
  EXPECT_EQ(runs[0].at("method"), "ew");
  EXPECT_EQ(runs[0].at("start"), Json({-8.5, 7.5}));
  EXPECT_EQ(runs[19].at("start"), Json({10, -8}));
  EXPECT_EQ(read_file(folder_ / "toy.png").substr(1, 3), "PNG");
  EXPECT_THAT(read_file(folder_ / "toy.svg"), HasSubstr(">cagrad (c = 0.5)<"));
}

TEST_F(ToyCommand, TakesSeveralStartsBehindOneFlag) {
  const Outcome outcome =
      toy({"--method", "ew", "--start", "9,9", "-8.5,5", "-1,-2", "--steps", "3", "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const Json runs = Json::parse(outcome.out).at("runs");
  ASSERT_EQ(runs.size(), 3U);
  EXPECT_EQ(runs[1].at("start"), Json({-8.5, 5}));
}

TEST_F(ToyCommand, PrintsATableOfEndPoints) {
  const Outcome one = toy({"--method", "cagrad", "--start", "-8.5,-5", "--start=1e1,-8"});
  ASSERT_EQ(one.code, 0) << one.err;
  EXPECT_THAT(one.out, HasSubstr("The CAGrad toy problem, 100000 steps of Adam, lr 0.001"));
  EXPECT_THAT(one.out, HasSubstr("(-8.5, -5)"));
  EXPECT_THAT(one.out, HasSubstr("(10, -8)"));
  EXPECT_THAT(one.out, HasSubstr("-15.0916"));
  EXPECT_THAT(one.out, HasSubstr("toy.svg"));
}

TEST_F(ToyCommand, PassesOptionsOn) {
  const std::vector<std::string> common = {"--start", "9,9", "--steps", "2000", "--json"};
  const auto end = [&](std::vector<std::string> args) {
    args.insert(args.end(), common.begin(), common.end());
    const Outcome outcome = toy(args);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return Json::parse(outcome.out).at("runs");
  };
  const Json plain = end({"--method", "ew", "cagrad"});
  ASSERT_EQ(plain.size(), 2U);
  // --set c reaches cagrad and leaves ew, which has no such option, alone.
  const Json set = end({"--method", "ew,cagrad", "--set", "c=0"});
  EXPECT_EQ(set[0].at("final"), plain[0].at("final"));
  EXPECT_NE(set[1].at("final"), plain[1].at("final"));
  EXPECT_EQ(set[1].at("final"), set[0].at("final"));
  EXPECT_NE(end({"--method", "ew", "--lr", "0.01"})[0].at("final"), plain[0].at("final"));
  EXPECT_EQ(end({"--problem", "pcgrad", "--method", "pcgrad"})[0].at("steps"), 2000);
}

TEST_F(ToyCommand, ExplainsBadArguments) {
  const auto message = [&](const std::vector<std::string>& args) {
    const Outcome outcome = toy(args);
    EXPECT_EQ(outcome.code, 2) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    EXPECT_FALSE(fs::exists(folder_));
    return outcome.err;
  };
  EXPECT_THAT(message({"--problem", "pcgrat"}), HasSubstr("Did you mean 'pcgrad'?"));
  EXPECT_THAT(message({"--method", "cagard"}), HasSubstr("Did you mean 'cagrad'?"));
  EXPECT_THAT(message({"--method", "ew", "--set", "c=1"}),
              HasSubstr("none of the chosen methods has an option 'c'; expected one of: scale"));
  EXPECT_THAT(message({"--set", "c"}), HasSubstr("--set expects KEY=VALUE, got 'c'"));
  EXPECT_THAT(message({"--set", "c=-1"}), HasSubstr("method cagrad: 'c' must be in [0, "));
  EXPECT_THAT(message({"--start", "3"}), HasSubstr("--start expects two numbers X,Y, got '3'"));
  EXPECT_THAT(message({"--start", "3,x"}), HasSubstr("'x'"));
  EXPECT_THAT(message({"--start", "1,2,3"}), HasSubstr("--start"));
  EXPECT_THAT(message({"--steps", "0"}), HasSubstr("--steps"));
  EXPECT_THAT(message({"--lr", "-1"}), HasSubstr("--lr"));
  EXPECT_THAT(message({"--stepps", "5"}), HasSubstr("Did you mean '--steps'?"));
}

TEST_F(ToyCommand, SaysWhichPathCannotBeWritten) {
  write_file_atomic(folder_, "a file");
  const Outcome outcome = toy({"--steps", "10"});
  EXPECT_EQ(outcome.code, 3);
  EXPECT_THAT(outcome.err, HasSubstr(folder_.string()));
}

TEST_F(ToyCommand, RaisesLossesForMethodsThatRefuseNegativeOnes) {
  const std::vector<std::string> args = {"--method", "uw,ew", "--start", "0,-8", "--steps", "10"};
  const Outcome text = toy(args);
  ASSERT_EQ(text.code, 0) << text.err;
  EXPECT_THAT(text.out,
              HasSubstr("shown loss 1 + 21 and loss 2 + 21, which are at least 1: uw.\n"));
  std::vector<std::string> with_json = args;
  with_json.push_back("--json");
  const Json runs = Json::parse(toy(with_json).out).at("runs");
  EXPECT_EQ(runs[0].at("shift"), Json({21.0, 21.0}));
  EXPECT_EQ(runs[1].at("shift"), Json({0.0, 0.0}));
  EXPECT_LT(runs[0].at("mean_loss"), 0);  // reported as they are
}

TEST_F(ToyCommand, RunsEveryMethodOnBothProblems) {
  for (const auto& problem : toy::problems()) {
    const Outcome all =
        toy({"--problem", problem.name, "--method", "all", "--steps", "300", "--json"});
    ASSERT_EQ(all.code, 0) << all.err;
    const Json runs = Json::parse(all.out).at("runs");
    ASSERT_EQ(runs.size(), balance::registry().size() * problem.starts.size());
    for (const auto& run : runs) {
      // Adam moves by at most about lr in each coordinate and step.
      const double moved =
          std::hypot(run.at("final").at(0).get<double>() - run.at("start").at(0).get<double>(),
                     run.at("final").at(1).get<double>() - run.at("start").at(1).get<double>());
      EXPECT_GT(moved, 0) << run.at("method");
      EXPECT_LT(moved, 1) << run.at("method");
    }
  }
  EXPECT_THAT(toy({"--method", "mgda_ub,modo", "--steps", "1"}).out,
              HasSubstr("these act on the parameters: mgda_ub.\n"
                        "Without batches, the Gram matrix stands for two of them in: modo.\n"));
}

}  // namespace
}  // namespace detente::cli

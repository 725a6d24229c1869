// SPDX-License-Identifier: Apache-2.0
#include <detente/report/table.h>
#include <detente/study/live_table.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <sstream>

namespace detente::study {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

const std::vector<StudyTask> kTasks{{"income", {{"f1", true}}}, {"나이", {{"mae", false}}}};

std::vector<Variant> plan(const std::string& methods) {
  const std::vector<Baseline> baselines{{"income", "f1"}, {"나이", "mae"}};
  return plan_variants(
      parse_methods(methods), {}, baselines, [](const auto*, const auto&) { return true; });
}

RunResult result(std::size_t variant, std::int64_t seed, double f1, double mae) {
  RunResult r;
  r.variant = variant;
  r.seed = seed;
  r.dev = {{"income", {{"f1", f1}}}, {"나이", {{"mae", mae}}}};
  return r;
}

TEST(LiveLines, HaveAMethodEachAndTheProgressLast) {
  const auto variants = plan("ew,cagrad");
  RunResult bad = result(1, 1, 0, 0);
  bad.failure = "failed";
  RunResult single = result(2, 0, 0.75, 0);
  single.dev.pop_back();
  const std::vector<RunResult> results{
      result(0, 0, 0.5, 3), result(0, 1, 0.7, 5), result(1, 0, std::nan(""), 4), bad, single};
  SweepProgress progress;
  progress.ended = 5;
  progress.total = 8;
  progress.seconds_left = 61;
  progress.running = {{1, 2}, {3, 0}};
  const auto lines = live_lines(variants, kTasks, results, progress, {});
  ASSERT_EQ(lines.size(), 6U);
  EXPECT_THAT(lines[0], AllOf(HasSubstr("failed"), HasSubstr("income f1"), HasSubstr("나이 mae")));
  EXPECT_THAT(lines[2],
              AllOf(StartsWith("ew"), HasSubstr(" 2 "), HasSubstr("0.6000"), HasSubstr("4.0000")));
  EXPECT_THAT(
      lines[3],
      AllOf(StartsWith("cagrad"), HasSubstr("seed 2"), HasSubstr("4.0000"), Not(HasSubstr("nan"))));
  EXPECT_THAT(lines[4],
              AllOf(StartsWith("single tasks"), HasSubstr("seed 0"), HasSubstr("0.7500")));
  EXPECT_EQ(lines[5], "[5/8] 2 running, about 1 min 1 s left");
}

TEST(LiveLines, NeverExceedTheTerminal) {
  std::string methods = "ew";
  for (int i = 0; i < 60; ++i) methods += fmt::format(",m{}", i);
  const auto variants = plan(methods);
  SweepProgress progress;
  progress.seconds_left = std::nan("");
  for (const TerminalSize size : {TerminalSize{21, 6}, {40, 10}, {80, 24}, {300, 200}}) {
    for (const auto& results : {std::vector<RunResult>{}, {result(0, 0, 1e-9, 1e9)}}) {
      const auto lines = live_lines(variants, kTasks, results, progress, size);
      EXPECT_LT(lines.size(), size.rows);
      for (const auto& line : lines) EXPECT_LT(report::display_width(line), size.columns) << line;
    }
  }
  EXPECT_THAT(live_lines(variants, kTasks, {}, progress, {80, 24}),
              ::testing::Contains("and 43 more"));
  EXPECT_EQ(live_lines(variants, kTasks, {}, progress, {300, 200}).size(), 2U + 62U + 1U);
}

TEST(LiveTable, IsRedrawnInItsPlace) {
  std::ostringstream out;
  LiveTable table(out);
  table.draw({"a", "b"});
  table.say("failed");
  table.draw({"c"});
  table.clear();
  table.clear();
  EXPECT_EQ(out.str(), "a\nb\n\033[2F\033[Jfailed\na\nb\n\033[2F\033[Jc\n\033[1F\033[J");
}

}  // namespace
}  // namespace detente::study

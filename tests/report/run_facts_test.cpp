// SPDX-License-Identifier: Apache-2.0
#include <detente/report/run_facts.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace detente::report {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> row(const Table& table, const std::string& name) {
  for (std::size_t i = 0; i < table.rows(); ++i) {
    if (table.row(i)[0] == name) return table.row(i);
  }
  return {};
}

TEST(TimeTable, AddsUpToTheTotal) {
  std::string lines;
  for (int s = 1; s <= 3; ++s) {
    const Json line = {{"type", "step"},
                       {"step", s},
                       {"losses", {{"a", 1}}},
                       {"ms", {{"total", 10 * s}, {"forward", 4 * s}, {"backward", 5 * s}}}};
    lines += line.dump() + "\n";
  }
  const Table table = time_table(parse_run("r", "", lines, ""));
  EXPECT_THAT(row(table, "forward"), ElementsAre("forward", "8.00 ms", "8.00 ms", "40 %"));
  EXPECT_THAT(row(table, "backward"), ElementsAre("backward", "10.00 ms", "10.00 ms", "50 %"));
  EXPECT_THAT(row(table, "rest"), ElementsAre("rest", "2.00 ms", "2.00 ms", "10 %"));
  EXPECT_THAT(row(table, "total"), ElementsAre("total", "20.00 ms", "20.00 ms", "100 %"));
}

TEST(TimeTable, NeedsNoTotal) {
  EXPECT_EQ(time_table(parse_run("r", "", "", "")).rows(), 0U);
  const Table table =
      time_table(parse_run("r", "", R"({"type":"step","step":1,"ms":{"solve":0.001}})", ""));
  ASSERT_EQ(table.rows(), 1U);
  EXPECT_THAT(table.row(0), ElementsAre("solve", "0.001 ms", "0.001 ms", "–"));
  const Table broken =
      time_table(parse_run("r", "", R"({"type":"step","step":1,"ms":{"total":null}})", ""));
  EXPECT_EQ(broken.rows(), 0U);
}

TEST(Environment, SaysWhatTheSummarySays) {
  EXPECT_EQ(environment_table(parse_run("r", "", "", "")).rows(), 0U);
  const Table table = environment_table(
      parse_run("r",
                R"({"processor":"P <7>","threads":2,"seed":0,"peak_memory_mib":1234.5,"engine":3})",
                "",
                ""));
  EXPECT_THAT(row(table, "processor"), ElementsAre("processor", "P <7>"));
  EXPECT_THAT(row(table, "threads"), ElementsAre("threads", "2"));
  EXPECT_THAT(row(table, "seed"), ElementsAre("seed", "0"));
  EXPECT_THAT(row(table, "most memory held"), ElementsAre("most memory held", "1,234 MiB"));
  EXPECT_TRUE(row(table, "engine").empty());  // of another type
}

TEST(RepeatCommand, QuotesFoldersForAShell) {
  EXPECT_EQ(repeat_command(parse_run("r", "", "", "")), "");
  EXPECT_EQ(repeat_command(parse_run("bike", "", "", "seed: 0\n")),
            "detente train bike/recipe.yaml --out bike-again");
  EXPECT_EQ(repeat_command(parse_run("my run; rm x", "", "", "seed: 0\n")),
            "detente train 'my run; rm x/recipe.yaml' --out 'my run; rm x-again'");
}

}  // namespace
}  // namespace detente::report

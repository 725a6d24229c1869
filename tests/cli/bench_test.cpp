// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/registry.h>
#include <detente/core/npy.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/support/run_cli.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tolerances.h"

namespace detente::cli {
namespace {

using namespace detente::test;
using testing::HasSubstr;

TEST(BenchSolve, TimesEveryMethodOnEveryFamily) {
  const CliRun run = run_cli({"bench", "solve", "--tasks", "2", "3", "--seconds", "0", "--json"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.err, "");
  const Json rows = run.json().at("rows");
  for (const char* key : {"cpu", "simd", "l2_kb"}) EXPECT_TRUE(run.json().contains(key)) << key;
  std::set<std::string> names;
  for (const Json& row : rows) {
    names.insert(row.at("method").get<std::string>());
    EXPECT_GT(row.at("median_us").get<double>(), 0.0) << row;
    EXPECT_GE(row.at("solves").get<int>(), 3) << row;
  }
  for (const auto& name : balance::method_names()) EXPECT_EQ(names.count(name), 1U) << name;
  EXPECT_EQ(rows.size(), balance::registry().size() * 2 * 3);
}

TEST(BenchSolve, GivesTheLargestCertificateOfExactSolvers) {
  const CliRun run = run_cli({"bench",
                              "solve",
                              "--method",
                              "mgda",
                              "--method",
                              "ew",
                              "--tasks",
                              "20",
                              "--seconds",
                              "0",
                              "--json"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const Json rows = run.json().at("rows");
  ASSERT_EQ(rows.size(), 6U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(rows[i].at("method"), "mgda");
    EXPECT_LE(rows[i].at("certificate").get<double>(), kCertificate);
    EXPECT_TRUE(rows[i + 3].at("certificate").is_null());
  }
}

TEST(BenchSolve, PrintsATableForPeople) {
  const CliRun run = run_cli(
      {"bench", "solve", "--method", "cagrad", "--tasks", "3", "--seconds", "0", "--drift"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("cagrad"));
  EXPECT_THAT(run.out, HasSubstr("slightly changed"));
  EXPECT_THAT(run.out, HasSubstr("load average"));
}

TEST(BenchSolve, WritesItsProblems) {
  const TempDir dir;
  const CliRun run = run_cli({"bench",
                              "solve",
                              "--method",
                              "ew",
                              "--tasks",
                              "4",
                              "--seconds",
                              "0",
                              "--write",
                              dir.file("problems")});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  for (const char* family : {"independent", "conflicting", "collinear"}) {
    const NpyArray grams = read_npy(dir.file("problems/" + std::string(family) + "_4.npy"));
    EXPECT_EQ(grams.shape, (std::vector<std::size_t>{32, 4, 4}));
    EXPECT_GT(grams.values[0], 0.0);
    EXPECT_EQ(grams.values[1], grams.values[4]);
  }
}

TEST(BenchSolve, RefusesAnUnknownMethod) {
  const CliRun run = run_cli({"bench", "solve", "--method", "cagrd"});
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_THAT(run.err, HasSubstr("Did you mean 'cagrad'?"));
}

TEST(Bench, WantsAMember) {
  const CliRun run = run_cli({"bench"});
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_THAT(run.err, HasSubstr("bench"));
}

}  // namespace
}  // namespace detente::cli

// SPDX-License-Identifier: Apache-2.0
// What every command shares: help, version, slips of the finger.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/run_cli.h"

namespace detente::cli {
namespace {

using namespace detente::test;
using testing::HasSubstr;

TEST(Cli, SuggestsTheNearestCommand) {
  const CliRun run = run_cli({"metods"});
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_THAT(run.err, HasSubstr("'metods' is not a command. Did you mean 'methods'?"));
}

TEST(Cli, SuggestsTheNearestFlag) {
  const CliRun run = run_cli({"solve", "--metod", "ew"});
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_THAT(run.err, HasSubstr("detente solve --help"));
}

TEST(Cli, WantsACommand) {
  const CliRun run = run_cli({});
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_THAT(run.err, HasSubstr("no command given"));
}

TEST(Cli, HelpAndVersionSucceed) {
  for (const char* flag : {"--help", "--version", "--help-all"}) {
    const CliRun run = run_cli({flag});
    EXPECT_EQ(run.exit_code, 0) << flag;
    EXPECT_FALSE(run.out.empty()) << flag;
  }
}

}  // namespace
}  // namespace detente::cli

// SPDX-License-Identifier: Apache-2.0
// What every command shares: help, version, slips of the finger.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <ostream>
#include <sstream>
#include <streambuf>

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
  // Without it a flag that has to be there is missing, which is said of no one who has typed it.
  for (const char* flag : {"--metod", "--metod=ew", "--meth"}) {
    const CliRun run = run_cli({"solve", flag, "ew", "--gram", "g.npy"});
    EXPECT_EQ(run.exit_code, 2);
    EXPECT_THAT(run.err, HasSubstr("' is not known here. Did you mean '--method'?"));
    EXPECT_THAT(run.err, HasSubstr("detente solve --help"));
  }
  const CliRun run = run_cli({"solve", "--method", "ew", "--gram", "g.npy", "--jsn"});
  EXPECT_THAT(run.err, HasSubstr("'--jsn' is not known here. Did you mean '--json'?"));
  EXPECT_THAT(run_cli({"solve", "--gram", "g.npy"}).err, HasSubstr("--method is required"));
  EXPECT_THAT(run_cli({"--versoin"}).err, HasSubstr("Did you mean '--version'?"));
}

TEST(Cli, SuggestsTheNearestCommandInsideACommand) {
  EXPECT_THAT(run_cli({"bench", "sovle"}).err,
              HasSubstr("'sovle' is not a command. Did you mean 'solve'?"));
  EXPECT_THAT(run_cli({"bench", "--json", "sovle"}).err,
              HasSubstr("'sovle' is not a command. Did you mean 'solve'?"));
  EXPECT_THAT(run_cli({"bench", "solve", "--jsn"}).err,
              HasSubstr("Did you mean '--json'?\nTry 'detente bench solve --help'."));
  const CliRun run = run_cli({"bench"});
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_THAT(run.err, HasSubstr("no command given; expected one of: solve"));
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

// A stream whose file is full.
class FullBuffer : public std::streambuf {
 protected:
  int_type overflow(int_type) override { return traits_type::eof(); }
};

// A stream that notices only when it is flushed, as buffered files do.
class LateBuffer : public std::stringbuf {
 protected:
  int sync() override {
    errno = ENOSPC;
    return -1;
  }
};

TEST(Cli, LostOutputIsAnError) {
  FullBuffer full;
  LateBuffer late;
  for (std::streambuf* buffer :
       {static_cast<std::streambuf*>(&full), static_cast<std::streambuf*>(&late)}) {
    for (const char* word : {"--help", "--version", "methods"}) {
      std::ostream out(buffer);
      std::ostringstream err;
      const std::vector<std::string> args = {word};
      EXPECT_EQ(run(args, out, err), 3) << word;
      EXPECT_THAT(err.str(), HasSubstr("the output could not be written")) << word;
    }
  }
}

TEST(Cli, SaysWhyOutputWasLost) {
  LateBuffer late;
  std::ostream out(&late);
  std::ostringstream err;
  const std::vector<std::string> args = {"methods"};
  run(args, out, err);
  EXPECT_THAT(err.str(), HasSubstr("No space left on device"));
}

TEST(Cli, ShowsControlCharactersOfTheCommandLine) {
  for (const std::vector<std::string>& args :
       {std::vector<std::string>{"\x1b[31mred"},
        std::vector<std::string>{"solve", "--method", "\x1b]0;title\x07", "--gram", "none"},
        std::vector<std::string>{"solve", "--method", "ew", "--gram", "\x1b[2J.npy"},
        std::vector<std::string>{"inspect", "\u009b2J"}}) {
    const CliRun run = run_cli(args);
    EXPECT_NE(run.exit_code, 0);
    EXPECT_THAT(run.out + run.err, testing::Not(testing::ContainsRegex("\x1b|\x07|\u009b")));
    EXPECT_THAT(run.err, testing::ContainsRegex("x1b|u009b"));
  }
}

}  // namespace
}  // namespace detente::cli

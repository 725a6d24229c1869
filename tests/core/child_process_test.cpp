// SPDX-License-Identifier: Apache-2.0
#include <detente/core/child_process.h>
#include <detente/core/error.h>
#include <gmock/gmock.h>
#include <tests/support/error_of.h>

#include <csignal>

namespace detente {
namespace {

TEST(RunProgram, GivesTheExitCodeAndTheSignal) {
  EXPECT_EQ(run_program({"true"}), 0);
  EXPECT_EQ(run_program({"sh", "-c", "exit 7"}), 7);
  EXPECT_EQ(run_program({"sh", "-c", "kill -9 $$"}), 128 + SIGKILL);
}

TEST(RunProgram, HandsArgumentsOverAsTheyAre) {
  EXPECT_EQ(run_program({"sh", "-c", "[ \"$1\" = '$(exit 3) \"; *' ]", "sh", "$(exit 3) \"; *"}),
            0);
}

TEST(RunProgram, NamesAProgramThatIsNotThere) {
  const Error error = test::error_of([] { run_program({"detente-no-such-program"}); });
  EXPECT_EQ(error.code(), ErrorCode::kIo);
  EXPECT_THAT(error.what(), ::testing::HasSubstr("'detente-no-such-program'"));
}

}  // namespace
}  // namespace detente

// SPDX-License-Identifier: Apache-2.0
#include <detente/core/child_process.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <gmock/gmock.h>
#include <sys/wait.h>
#include <tests/support/error_of.h>
#include <tests/support/temp_dir.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

namespace detente {
namespace {

using ::testing::HasSubstr;

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
  EXPECT_THAT(error.what(), HasSubstr("'detente-no-such-program'"));
}

TEST(StartProgram, SetsVariablesBesideThoseThatAreThere) {
  const test::TempDir folder;
  ::setenv("DETENTE_TEST_KEPT", "kept", 1);
  ::setenv("DETENTE_TEST_CHANGED", "before", 1);
  const std::string script =
      "echo \"$DETENTE_TEST_KEPT $DETENTE_TEST_CHANGED $DETENTE_TEST_NEW\" > " +
      folder.file("said");
  const pid_t child = start_program(
      {.arguments = {"sh", "-c", script},
       .variables = {{"DETENTE_TEST_CHANGED", "after"}, {"DETENTE_TEST_NEW", "a b=c"}}});
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(read_file(folder.file("said")), "kept after a b=c\n");
  ::unsetenv("DETENTE_TEST_KEPT");
  ::unsetenv("DETENTE_TEST_CHANGED");
}

TEST(StartProgram, BlocksNoSignalsThereAndKeepsThoseThatAreBlockedHere) {
  sigset_t blocked;
  sigset_t before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &blocked, &before);
  const pid_t child = start_program({.arguments = {"sleep", "60"}});
  sigset_t now;
  pthread_sigmask(SIG_SETMASK, &before, &now);
  EXPECT_EQ(sigismember(&now, SIGTERM), 1);
  EXPECT_EQ(sigismember(&now, SIGINT), 0);
  EXPECT_EQ(::getpgid(child), child);
  ::kill(child, SIGTERM);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

TEST(ChildProcess, KeepsItsOutputAndItsErrors) {
  const test::TempDir folder;
  const std::string log = folder.write("log", "before\n");
  ChildProcess together({"sh", "-c", "echo out; echo err >&2; cat"}, log);
  EXPECT_EQ(together.wait(), 0);
  EXPECT_EQ(read_file(log), "before\nout\nerr\n");
  ChildProcess apart(
      {"sh", "-c", "echo out; echo err >&2; exit 3"}, log, folder.write("out", "long before"));
  EXPECT_EQ(apart.wait(), 3);
  EXPECT_EQ(apart.poll(), 3);
  EXPECT_EQ(read_file(folder.file("out")), "out\n");
  EXPECT_EQ(read_file(log), "before\nout\nerr\nerr\n");
}

TEST(ChildProcess, RunsBesideAndEndsWithItsObject) {
  const test::TempDir folder;
  const auto start = std::chrono::steady_clock::now();
  {
    ChildProcess child({"sleep", "60"}, folder.file("log"));
    EXPECT_FALSE(child.poll());
    ChildProcess moved(std::move(child));
    EXPECT_FALSE(moved.poll());
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30));
  ChildProcess child({"sleep", "60"}, folder.file("log"));
  child.send(SIGKILL);
  EXPECT_EQ(child.wait(), 128 + SIGKILL);
}

TEST(ChildProcess, EndsWithItsParent) {
  const test::TempDir folder;
  const std::string pid_file = folder.file("pid");
  const pid_t parent = ::fork();
  if (parent == 0) {
    ChildProcess child(
        {"sh", "-c", "echo $$ >\"$1.part\"; mv \"$1.part\" \"$1\"; exec sleep 60", "sh", pid_file},
        folder.file("log"));
    child.wait();
    ::_exit(0);
  }
  const auto eventually = [](const auto& holds) {
    for (int i = 0; i < 1000 && !holds(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return holds();
  };
  ASSERT_TRUE(eventually([&] { return std::filesystem::exists(pid_file); }));
  const pid_t child = std::stoi(read_file(pid_file));
  ::kill(parent, SIGKILL);
  ::waitpid(parent, nullptr, 0);
  EXPECT_TRUE(eventually([&] {
    // Gone, or waiting for whoever collects orphans.
    const std::string stat = "/proc/" + std::to_string(child) + "/stat";
    return !std::filesystem::exists(stat) || read_file(stat).find(") Z ") != std::string::npos;
  }));
}

// A terminal's Ctrl-C goes to the whole group: the child would get it twice, once more from its parent.
TEST(ChildProcess, HasAProcessGroupOfItsOwn) {
  const test::TempDir folder;
  ChildProcess child({"sh", "-c", "set -- $(cat /proc/$$/stat); echo $1; echo $5"},
                     folder.file("log"),
                     folder.file("out"));
  EXPECT_EQ(child.wait(), 0);
  const std::string out = read_file(folder.file("out"));
  const std::size_t half = out.size() / 2;
  EXPECT_GT(half, 1U);
  EXPECT_EQ(out.substr(0, half), out.substr(half)) << out;
}

TEST(ChildProcess, NamesWhatCannotBeStartedOrWritten) {
  const test::TempDir folder;
  Error error =
      test::error_of([&] { ChildProcess({"detente-no-such-program"}, folder.file("log")); });
  EXPECT_THAT(error.what(), HasSubstr("'detente-no-such-program'"));
  error = test::error_of([&] { ChildProcess({"true"}, folder.file("none/log")); });
  EXPECT_THAT(error.what(), HasSubstr("none/log"));
}

}  // namespace
}  // namespace detente

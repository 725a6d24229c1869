// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/launch/launch.h>
#include <detente/launch/local_workers.h>
#include <gmock/gmock.h>
#include <tests/support/error_of.h>
#include <tests/support/temp_dir.h>

#include <chrono>
#include <csignal>
#include <sstream>
#include <string>

namespace detente::launch {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::Not;

struct Ran {
  int code = 0;
  std::string err;
};

LocalWorkers shells(const std::string& script, int count = 2) {
  LocalWorkers workers;
  workers.count = count;
  workers.command = [script](int restart) {
    return std::vector<std::string>{"sh", "-c", script, "sh", std::to_string(restart)};
  };
  workers.settle = milliseconds(200);
  workers.grace = milliseconds(300);
  return workers;
}

Ran ran(const LocalWorkers& workers) {
  std::ostringstream err;
  const int code = run_local_workers(workers, err);
  return {code, err.str()};
}

TEST(LocalWorkers, TellEachWhoItIs) {
  const test::TempDir folder;
  LocalWorkers workers = shells("env > " + folder.path().string() + "/$RANK", 3);
  workers.variables = {{"OMP_NUM_THREADS", "5"}};
  workers.attempt = 7;
  EXPECT_EQ(ran(workers).code, 0);
  std::string port;
  for (int rank = 0; rank < 3; ++rank) {
    const std::string said = read_file(folder.file(std::to_string(rank)));
    const auto value = [&said](const std::string& name) -> std::optional<std::string> {
      const auto at = ("\n" + said).find("\n" + name + "=");
      if (at == std::string::npos) return std::nullopt;
      const auto start = at + name.size() + 1;
      return said.substr(start, said.find('\n', start) - start);
    };
    const Launch launch = read_launch(value);
    EXPECT_EQ(launch.by, "detente");
    EXPECT_EQ(launch.rank, rank);
    EXPECT_EQ(launch.size, 3);
    EXPECT_EQ(launch.local_rank, rank);
    EXPECT_EQ(launch.local_size, 3);
    EXPECT_EQ(launch.address, "127.0.0.1");
    EXPECT_EQ(launch.attempt, 7);
    EXPECT_EQ(launch.job.size(), 16U);
    EXPECT_EQ(value("OMP_NUM_THREADS"), "5");
    if (rank == 0) port = *value("MASTER_PORT");
    EXPECT_EQ(value("MASTER_PORT"), port);
  }
}

TEST(LocalWorkers, MarkWhatTheOthersSay) {
  const Ran run = ran(shells("if [ $RANK = 1 ]; then echo one; echo two >&2; printf 'no end'; fi"));
  EXPECT_EQ(run.code, 0);
  EXPECT_EQ(run.err, "[1] one\n[1] two\n[1] no end\n");
}

TEST(LocalWorkers, ReadNothing) { EXPECT_EQ(ran(shells("! read line")).code, 0); }

TEST(LocalWorkers, GiveTheExitCodeOfTheOneThatFailed) {
  const Ran run = ran(shells("[ $RANK = 1 ] && exit 3; sleep 0.05; exit 75", 3));
  EXPECT_EQ(run.code, 3);
  EXPECT_THAT(run.err, HasSubstr("rank 1 (process "));
  EXPECT_THAT(run.err, HasSubstr("ended with exit code 3; the others are ended."));
  EXPECT_THAT(run.err, Not(HasSubstr("rank 0")));
  EXPECT_THAT(run.err, Not(HasSubstr("again")));
}

TEST(LocalWorkers, AreToldByTheCauseNotByThoseThatLostIt) {
  // Rank 0 sees its peer's end before we do.
  const Ran run = ran(shells("[ $RANK = 0 ] && exit 75; sleep 0.05; exit 4"));
  EXPECT_EQ(run.code, 4);
  EXPECT_THAT(run.err, HasSubstr("rank 1"));
}

TEST(LocalWorkers, EndTheOthersWhenOneIsKilled) {
  const auto start = std::chrono::steady_clock::now();
  const Ran run = ran(shells("[ $RANK = 1 ] && kill -9 $$; exec sleep 60"));
  EXPECT_EQ(run.code, 128 + SIGKILL);
  EXPECT_THAT(run.err, HasSubstr("rank 1"));
  EXPECT_THAT(run.err, HasSubstr("ended by SIGKILL"));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

TEST(LocalWorkers, KillOneThatDoesNotEnd) {
  const Ran run = ran(shells("[ $RANK = 1 ] && exit 2; trap '' TERM; sleep 60 & wait; sleep 60"));
  EXPECT_EQ(run.code, 2);
  EXPECT_THAT(run.err,
              HasSubstr("rank 0 had not ended 300 ms after it was told to, and was killed"));
}

TEST(LocalWorkers, AreStartedAgainAfterASignal) {
  LocalWorkers workers =
      shells("echo at $DETENTE_ATTEMPT $1 $MASTER_PORT; [ $1 = 2 ] || kill -9 $$", 3);
  workers.max_restarts = 3;
  const Ran run = ran(workers);
  EXPECT_EQ(run.code, 0);
  EXPECT_THAT(run.err, HasSubstr("[2] at 0 0 "));
  EXPECT_THAT(run.err, HasSubstr("[2] at 2 2 "));
  EXPECT_THAT(run.err, HasSubstr("all 3 are started again, for time 2 of at most 3."));
  EXPECT_THAT(run.err, Not(HasSubstr("for time 3")));
}

TEST(LocalWorkers, AreStartedAgainAsOftenAsAllowed) {
  LocalWorkers workers = shells("exit 75");
  workers.max_restarts = 2;
  const Ran run = ran(workers);
  EXPECT_EQ(run.code, kLostOthers);
  EXPECT_THAT(run.err,
              HasSubstr("lost the others (exit code 75), and none failed by its own fault"));
  EXPECT_THAT(run.err, HasSubstr("started again 2 times, and failed each time"));
}

TEST(LocalWorkers, AreNotStartedAgainAfterAnErrorThatWouldComeAgain) {
  LocalWorkers workers = shells("[ $RANK = 1 ] && exit 2; exit 75");
  workers.max_restarts = 2;
  const Ran run = ran(workers);
  EXPECT_EQ(run.code, 2);
  EXPECT_THAT(run.err, HasSubstr("nothing is started again"));
}

TEST(LocalWorkers, NameTheOneThatDidNotAnswer) {
  const Ran run = ran(shells("[ $RANK = 0 ] && exit 75; kill -STOP $$"));
  EXPECT_EQ(run.code, kLostOthers);
  EXPECT_THAT(run.err, HasSubstr("it was rank 1 that did not answer"));
}

TEST(LocalWorkers, AreInterruptedWhereOneWas) {
  // Somebody has sent one of them a signal; all agreed to stop.
  EXPECT_EQ(ran(shells("exit 130")).code, 130);
}

TEST(LocalWorkers, RefuseWhatCannotBe) {
  std::ostringstream err;
  LocalWorkers workers = shells("true", 0);
  EXPECT_EQ(test::error_of([&] { run_local_workers(workers, err); }).code(),
            ErrorCode::kInvalidArgument);
  workers.count = kMostLocalWorkers + 1;
  EXPECT_EQ(test::error_of([&] { run_local_workers(workers, err); }).code(),
            ErrorCode::kInvalidArgument);
  workers.count = 2;
  workers.command = [](int) { return std::vector<std::string>{"detente-no-such-program"}; };
  const Error error = test::error_of([&] { run_local_workers(workers, err); });
  EXPECT_EQ(error.code(), ErrorCode::kIo);
  EXPECT_THAT(error.what(), HasSubstr("detente-no-such-program"));
}

}  // namespace
}  // namespace detente::launch

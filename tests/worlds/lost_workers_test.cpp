// SPDX-License-Identifier: Apache-2.0
// Workers that die, hang, raise or lie; and what is left of them.
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <gmock/gmock.h>
#include <sys/wait.h>
#include <tests/support/error_of.h>
#include <tests/support/temp_dir.h>
#include <tests/worlds/fake_worlds.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <ostream>
#include <thread>

namespace detente::worlds {
namespace {

using detente::test::error_of;
using test::add_faults;
using test::Fake;
using test::fake_options;
using test::fault;
using test::kTwo;
using test::some_actions;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;

bool runs(pid_t process) {
  std::string stat;
  try {
    stat = read_file("/proc/" + std::to_string(process) + "/stat");
  } catch (const Error&) {
    return false;
  }
  const char state = stat.at(stat.rfind(')') + 2);
  return state != 'Z' && state != 'X';
}

bool end_within(const std::vector<pid_t>& processes, int milliseconds) {
  for (int i = 0; i < milliseconds / 10; ++i) {
    if (std::none_of(processes.begin(), processes.end(), runs)) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

std::size_t open_descriptors() {
  const std::filesystem::directory_iterator folder("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(folder), end(folder)));
}

bool has_children() { return ::waitpid(-1, nullptr, WNOHANG) >= 0; }

std::vector<float> row(std::span<const float> rows, std::size_t k) {
  const auto one = rows.subspan(k * 3, 3);
  return {one.begin(), one.end()};
}

struct Case {
  const char* what;
  std::int64_t WorkerWorlds::Losses::*count;
  std::vector<const char*> words;

  // The name of the test.
  friend void PrintTo(const Case& one, std::ostream* out) { *out << one.what; }
};

class Faults : public ::testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(
    ,
    Faults,
    ::testing::Values(Case{"die", &WorkerWorlds::Losses::ended, {"'b'", "exit code 3"}},
                      Case{"kill", &WorkerWorlds::Losses::ended, {"'b'", "signal 9"}},
                      Case{
                          "hang", &WorkerWorlds::Losses::timed_out, {"'b'", "0.7 s", "step_limit"}},
                      Case{"raise",
                           &WorkerWorlds::Losses::raised,
                           {"'b'", "RuntimeError: the arm is <broken>", "in step"}},
                      Case{"long", &WorkerWorlds::Losses::raised, {"observation of 99 numbers"}},
                      Case{"nan", &WorkerWorlds::Losses::not_finite, {"'b'", "not finite"}},
                      Case{"inf", &WorkerWorlds::Losses::not_finite, {"'b'", "not finite"}}),
    [](const auto& info) { return std::string(info.param.what); });

// Task b fails at step 3 of its second episode; task a, of the other worker, must not notice.
TEST_P(Faults, CostTheirEpisodeAndNothingElse) {
  const detente::test::TempDir folder;
  WorkerOptions options = fake_options("two", 2);
  add_faults(options, {fault(1, 1, 3, GetParam().what)});
  options.variables.emplace_back("FAKE_CHILD", folder.file("child"));
  options.step_limit = std::string(GetParam().what) == "hang" ? 0.7 : 30;
  std::vector<std::string> said;
  options.say = [&said](const std::string& words) { said.push_back(words); };
  WorkerWorlds worlds(options);
  worlds.reset();
  std::vector<Fake> expected;
  for (std::size_t k = 0; k < 2; ++k) expected.emplace_back(kTwo[k], 7, k, 0, 6);
  bool lost = false;
  std::uint64_t episode = 1;
  int in_episode = 0;
  for (std::size_t t = 0; t < 25; ++t) {
    for (std::size_t k = 0; k < 2; ++k) {
      ASSERT_THAT(row(worlds.observations(), k), ElementsAreArray(expected[k].now())) << t;
    }
    const auto actions = some_actions(worlds.spec(), t);
    const Step& step = worlds.step(actions);
    ++in_episode;
    for (std::size_t k = 0; k < 2; ++k) {
      if (k == 1 && expected[1].next_episode() == 2 && in_episode == 3) {
        lost = true;
        EXPECT_THAT(step.lost, ElementsAre(0, 1));
        EXPECT_EQ(step.truncated[1], 1);
        EXPECT_EQ(step.ended[1], 0);
        EXPECT_EQ(step.rewards[1], 0.0F);
        expected[1].begin();
        EXPECT_THAT(row(step.observations, 1), ElementsAreArray(expected[1].now()));
        continue;
      }
      const auto result = expected[k].step(&actions[k * 2]);
      ASSERT_EQ(step.lost[k], 0);
      ASSERT_THAT(row(step.observations, k), ElementsAreArray(result.after));
      ASSERT_EQ(step.rewards[k], result.reward);
    }
    if (expected[1].next_episode() != episode) in_episode = 0;
    episode = expected[1].next_episode();
  }
  EXPECT_TRUE(lost);
  EXPECT_EQ(worlds.losses().all(), 1);
  EXPECT_EQ(worlds.losses().*GetParam().count, 1);
  ASSERT_EQ(said.size(), 1U);
  for (const char* word : GetParam().words) EXPECT_THAT(said[0], HasSubstr(word));
  if (std::filesystem::exists(folder.file("child"))) {
    // What it had started ended with it.
    EXPECT_TRUE(end_within({std::stoi(read_file(folder.file("child")))}, 5000));
  }
}

TEST(LostWorkers, AreReplacedAfterAKillBetweenSteps) {
  WorkerWorlds worlds(fake_options("five", 2));
  worlds.reset();
  worlds.step(some_actions(worlds.spec(), 0));
  const auto before = worlds.processes();
  ::kill(before[0], SIGKILL);
  end_within({before[0]}, 5000);
  const Step& step = worlds.step(some_actions(worlds.spec(), 1));
  EXPECT_THAT(step.lost, ElementsAre(1, 0, 1, 0, 1));
  EXPECT_EQ(worlds.losses().ended, 1);
  EXPECT_THAT(worlds.losses().last, HasSubstr("signal 9"));
  EXPECT_NE(worlds.processes()[0], before[0]);
  EXPECT_EQ(worlds.processes()[1], before[1]);
  EXPECT_FALSE(runs(before[0]));
  EXPECT_THAT(worlds.step(some_actions(worlds.spec(), 2)).lost, Each(0));
}

TEST(LostWorkers, MayBeStopped) {
  WorkerOptions options = fake_options("two", 2);
  options.step_limit = 0.5;
  WorkerWorlds worlds(options);
  worlds.reset();
  ::kill(worlds.processes()[1], SIGSTOP);
  EXPECT_THAT(worlds.step(some_actions(worlds.spec(), 0)).lost, ElementsAre(0, 1));
  EXPECT_EQ(worlds.losses().timed_out, 1);
}

TEST(LostWorkers, OfAnEpisodeThatBeginsBadlyGoOnWithTheNext) {
  WorkerOptions options = fake_options("two", 1);
  add_faults(options, {fault(0, 0, 0, "nan"), fault(0, 1, 0, "nan")});
  WorkerWorlds worlds(options);
  worlds.reset();
  EXPECT_EQ(worlds.losses().not_finite, 2);
  EXPECT_THAT(row(worlds.observations(), 0), ElementsAreArray(Fake(kTwo[0], 7, 0, 2, 6).now()));
}

TEST(LostWorkers, PrintWhatTheyLikeWithoutDisturbance) {
  WorkerOptions options = fake_options("two", 1);
  add_faults(options, {fault(0, 0, 1, "print"), fault(1, 0, 2, "print")});
  WorkerWorlds worlds(options);
  worlds.reset();
  for (std::size_t t = 0; t < 4; ++t)
    EXPECT_THAT(worlds.step(some_actions(worlds.spec(), t)).lost, Each(0));
  EXPECT_EQ(worlds.losses().all(), 0);
}

TEST(LostWorkers, ThatSayWhatNoWorkerSaysAreReplaced) {
  WorkerOptions options = fake_options("two", 1);
  const std::string honest = "self.answer(\"K\", text, sequence)";
  const std::size_t at = options.script.find(honest);
  ASSERT_NE(at, std::string::npos);
  options.script.replace(at, honest.size(), "self.answer(\"K\", text, sequence + (sequence == 3))");
  WorkerWorlds worlds(options);
  worlds.reset();  // 1 was the memory, 2 the reset
  EXPECT_THAT(worlds.step(some_actions(worlds.spec(), 0)).lost, Each(1));
  EXPECT_THAT(worlds.losses().last, HasSubstr("says"));
}

TEST(LostWorkers, EndItWhereThereAreTooMany) {
  WorkerOptions options = fake_options("two", 1);
  options.most_losses = 2;
  std::vector<Json> faults;
  for (std::uint64_t episode = 0; episode < 9; ++episode)
    faults.push_back(fault(0, episode, 1, "raise"));
  add_faults(options, faults);
  WorkerWorlds worlds(options);
  worlds.reset();
  EXPECT_THAT(worlds.step(some_actions(worlds.spec(), 0)).lost, Each(1));
  EXPECT_THAT(worlds.step(some_actions(worlds.spec(), 1)).lost, Each(1));
  const Error error = error_of([&] { worlds.step(some_actions(worlds.spec(), 2)); });
  EXPECT_EQ(error.code(), ErrorCode::kPeerLost);
  EXPECT_THAT(error.what(), HasSubstr("the arm is <broken>"));
  EXPECT_THAT(error.what(), HasSubstr("most_losses"));
  EXPECT_EQ(error_of([&] { worlds.reset(); }).code(), ErrorCode::kPeerLost);
}

TEST(LostWorkers, LeaveNeitherDescriptorsNorProcesses) {
  ASSERT_FALSE(has_children());
  const std::size_t before = open_descriptors();
  std::vector<pid_t> processes;
  {
    WorkerWorlds worlds(fake_options("five", 3));
    worlds.reset();
    worlds.step(some_actions(worlds.spec(), 0));
    processes = worlds.processes();
    EXPECT_GT(open_descriptors(), before);
  }
  EXPECT_TRUE(std::none_of(processes.begin(), processes.end(), runs));
  for (const char* function : {"printing", "ending", "wrong"}) {
    error_of([&] { WorkerWorlds worlds(fake_options(function, 3)); });
  }
  WorkerOptions options = fake_options("two", 1);
  options.python = "detente-no-such-python";
  error_of([&] { WorkerWorlds worlds(options); });
  EXPECT_EQ(open_descriptors(), before);
  EXPECT_FALSE(has_children());
}

TEST(LostWorkers, AreOutOfTheTerminalsReach) {
  const WorkerWorlds worlds(fake_options("two", 2));
  for (const pid_t process : worlds.processes()) EXPECT_EQ(::getpgid(process), process);
}

TEST(LostWorkers, EndWithTheProcessThatStartedThem) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t parent = ::fork();
  if (parent == 0) {
    WorkerWorlds worlds(fake_options("two", 2));
    worlds.reset();
    for (const pid_t process : worlds.processes()) {
      if (::write(ends[1], &process, sizeof process) != sizeof process) ::_exit(1);
    }
    ::sleep(60);
    ::_exit(0);
  }
  std::vector<pid_t> processes(2);
  for (pid_t& process : processes) {
    ASSERT_EQ(::read(ends[0], &process, sizeof process), static_cast<ssize_t>(sizeof process));
    EXPECT_TRUE(runs(process));
  }
  ::kill(parent, SIGKILL);
  ASSERT_EQ(::waitpid(parent, nullptr, 0), parent);
  EXPECT_TRUE(end_within(processes, 5000));
  ::close(ends[0]);
  ::close(ends[1]);
}

}  // namespace
}  // namespace detente::worlds

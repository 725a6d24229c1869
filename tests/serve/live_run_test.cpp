// SPDX-License-Identifier: Apache-2.0
#include <detente/core/json.h>
#include <detente/report/html_report.h>
#include <detente/serve/live_run.h>
#include <detente/serve/run_list.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/temp_dir.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

namespace detente::serve {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

std::string step_line(int step, int epoch, double loss) {
  return fmt::format(R"({{"type":"step","epoch":{},"step":{},"losses":{{"epoch":{}}},"loss":{}}})"
                     "\n",
                     epoch,
                     step,
                     loss,
                     loss);
}

std::string epoch_line(int epoch, int step, double f1, bool best) {
  return fmt::format(
      R"({{"type": "epoch", "epoch": {}, "step": {}, "dev": {{"epoch": {{"f1": {}}}}}, "seconds": 10, "best": {}}})"
      "\n",
      epoch,
      step,
      f1,
      best);
}

class LiveRunTest : public ::testing::Test {
 protected:
  void SetUp() override { fs::create_directories(temp_.path() / "r"); }
  void append(const std::string& text) const {
    std::ofstream(temp_.file("r/metrics.jsonl"), std::ios::app) << text;
  }
  void age() const {
    for (const auto& entry : fs::directory_iterator(temp_.path() / "r")) {
      fs::last_write_time(entry.path(), fs::file_time_type::clock::now() - std::chrono::hours(1));
    }
  }
  RunStatus status() { return run_.status(LogTail::Clock::now() + std::chrono::minutes(1)); }

  test::TempDir temp_;
  Folder folder_{temp_.path()};
  LiveRun run_{folder_, {"r"}};
};

TEST_F(LiveRunTest, FollowsEpochsStepsAndTheBest) {
  temp_.write("r/recipe.yaml", "balance:\n  method: uw\ntrain:\n  epochs: 4\n");
  EXPECT_EQ(status().step, 0);
  append(step_line(1, 1, 0.5) + step_line(2, 1, 0.25) + epoch_line(1, 2, 0.5, true));
  append(step_line(3, 2, 0.125) + epoch_line(2, 4, 0.4, false) + step_line(5, 3, 0.0625));
  const RunStatus now = status();
  EXPECT_EQ(now.state, RunState::kRunning);
  EXPECT_EQ(now.method, "uw");
  EXPECT_EQ(now.epoch, 3);
  EXPECT_EQ(now.epochs, 4);
  EXPECT_EQ(now.step, 5);
  EXPECT_EQ(now.losses.at(0).second, 0.0625);
  EXPECT_EQ(now.best.at(0).second.at(0).second, 0.5);
  EXPECT_EQ(now.progress, 2.5 / 4);
  EXPECT_EQ(now.seconds_left, 15);
}

TEST_F(LiveRunTest, IsInterruptedWhenNothingGrowsAndNobodyTrains) {
  append(step_line(1, 1, 0.5));
  age();
  EXPECT_EQ(status().state, RunState::kInterrupted);
  temp_.write("r/summary.json", R"({"status": "interrupted"})");
  EXPECT_EQ(status().state, RunState::kInterrupted);
  temp_.write("r/summary.json", R"({"status": "finished", "seconds": 7, "steps": 1})");
  EXPECT_EQ(status().state, RunState::kFinished);
  EXPECT_EQ(status().seconds, 7);
}

TEST_F(LiveRunTest, ProcessThatHasEndedDoesNotTrain) {
  std::string host(256, '\0');
  ASSERT_EQ(gethostname(host.data(), host.size()), 0);
  host.resize(host.find('\0'));
  append(step_line(1, 1, 0.5));
  const Json mark{{"pid", 999'999'999}, {"host", host}};
  temp_.write("r/.detente-run", mark.dump());
  EXPECT_EQ(status().state, RunState::kInterrupted);
  temp_.write("r/.detente-run", Json{{"pid", 1}, {"host", "another"}}.dump());
  EXPECT_EQ(status().state, RunState::kRunning);  // its log has just grown
  age();
  EXPECT_EQ(status().state, RunState::kInterrupted);
  for (const char* damaged : {"", "{", "[]", R"({"pid": "x", "host": 3})", R"({"pid": -1})"}) {
    temp_.write("r/.detente-run", damaged);
    append(step_line(2, 1, 0.5));
    EXPECT_EQ(status().state, RunState::kRunning) << damaged;
  }
}

TEST_F(LiveRunTest, SaysWhatAStudyWroteDownOfAFailure) {
  append(step_line(1, 1, 0.5));
  age();
  temp_.write("r.json", R"({"variant": 0, "seed": 0, "failure": "failed (exit code 4): NaN"})");
  EXPECT_EQ(status().state, RunState::kFailed);
  EXPECT_EQ(status().failure, "failed (exit code 4): NaN");
}

TEST_F(LiveRunTest, TakesDamagedFilesForWhatTheyAre) {
  append("\x01\n{\"type\":\"epoch\"}\n[]\n{\"type\":\"step\",\"step\":\"x\"}\n");
  temp_.write("r/summary.json", "[1");
  temp_.write("r/recipe.yaml", "a: [");
  EXPECT_EQ(status().step, 0);
  ASSERT_NE(run_.page(), nullptr);
  EXPECT_THAT(run_.page()->html, HasSubstr("could not be read"));
}

TEST_F(LiveRunTest, ThePageIsTheReportOfTheSameFiles) {
  temp_.write("r/recipe.yaml", "name: n\n");
  append(step_line(1, 1, 0.5) + epoch_line(1, 1, 0.5, true));
  ASSERT_NE(run_.page(), nullptr);
  EXPECT_THAT(run_.page()->html, HasSubstr("running"));
  append(step_line(2, 2, 0.25) + epoch_line(2, 2, 0.75, true));
  temp_.write("r/summary.json",
              R"({"name": "n", "status": "finished", "tasks": {"epoch": {"f1": 0.75}}})");
  std::this_thread::sleep_for(
      std::chrono::milliseconds(1100 + static_cast<int>(200'000 * run_.page()->seconds)));
  EXPECT_EQ(run_.page()->html, report::html_report(report::read_run(temp_.path() / "r")));
}

TEST_F(LiveRunTest, VersionChangesWithTheFilesAlone) {
  append(step_line(1, 1, 0.5));
  const std::string first = run_.version();
  EXPECT_EQ(run_.version(), first);
  append(step_line(2, 1, 0.5));
  EXPECT_NE(run_.version(), first);
}

TEST_F(LiveRunTest, AFolderThatHasGoneIsNoRun) {
  append(step_line(1, 1, 0.5));
  ASSERT_NE(run_.page(), nullptr);
  fs::remove_all(temp_.path() / "r");
  EXPECT_EQ(run_.page(), nullptr);
  EXPECT_EQ(RunList(folder_).find({"r"}), nullptr);
}

// A study once kept its lock, which looks like a run's mark, in the folder of its runs.
TEST_F(LiveRunTest, RunsOfAStudyAreFound) {
  for (const char* made : {"s/runs/.study", "s/runs/ew/seed-0"}) {
    fs::create_directories(temp_.path() / made);
  }
  temp_.write("s/study.json", "{}");
  temp_.write("s/runs/.detente-run", "{}");
  temp_.write("s/runs/.study/.detente-run", "{}");
  temp_.write("s/runs/ew/seed-0/metrics.jsonl", step_line(1, 1, 0.5));
  std::vector<std::string> names;
  for (const auto& run : RunList(folder_).runs()) names.push_back(joined(run->segments()));
  EXPECT_EQ(std::count(names.begin(), names.end(), "s/runs/ew/seed-0"), 1);
  for (const std::string& name : names)
    EXPECT_FALSE(name.ends_with("runs") || name.ends_with(".study"));
}

TEST_F(LiveRunTest, RunsAreFoundInFoldersButNotInRunsOrBehindLinks) {
  append(step_line(1, 1, 0.5));
  fs::create_directories(temp_.path() / "r/inner");
  temp_.write("r/inner/metrics.jsonl", "");
  fs::create_directories(temp_.path() / "s/deep er");
  temp_.write("s/deep er/summary.json", "{}");
  fs::create_directory_symlink(temp_.path() / "s", temp_.path() / "t");
  RunList list(folder_);
  std::vector<std::string> names;
  for (const auto& run : list.runs()) names.push_back(joined(run->segments()));
  EXPECT_THAT(names, ::testing::ElementsAre("r", "s/deep er"));
  EXPECT_NE(list.find({"t", "deep er"}), nullptr);
  EXPECT_FALSE(list.cut());
}

}  // namespace
}  // namespace detente::serve

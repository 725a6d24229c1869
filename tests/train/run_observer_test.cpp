// SPDX-License-Identifier: Apache-2.0
// Observers that a user of the library adds to a run.
#include <gmock/gmock.h>
#include <tests/train/tiny_run.h>

#include <memory>
#include <string>
#include <vector>

namespace detente::train {
namespace {

using ::testing::HasSubstr;

// Writes down what it is told, in short.
class Diary : public RunObserver {
 public:
  explicit Diary(std::int64_t last_step = 0) : last_step_(last_step) {}

  void on_start(const RunInfo& info) override {
    said.push_back("start after " + std::to_string(info.step) + " of " +
                   std::to_string(info.total_steps) + (info.resumed ? ", resumed" : ""));
    log_ = info.run.metrics();
    EXPECT_EQ(info.steps_per_epoch, 6);
    EXPECT_EQ(info.train_rows, 96);
    EXPECT_EQ(info.recipe.method, "cagrad");
  }
  void on_step(const report::StepRecord& record) override {
    said.push_back("step " + std::to_string(record.step));
    // The run's own observers come first: the line is in the file already.
    EXPECT_EQ(read_lines(log_).back(), record.to_json());
    step_ = record.step;
  }
  void on_epoch(const report::EpochRecord& record) override {
    said.push_back("epoch " + std::to_string(record.epoch));
    EXPECT_EQ(read_lines(log_).back(), record.to_json());
  }
  void on_message(const std::string& text) override { messages += text + "\n"; }
  void on_finish(const Json& summary) override {
    said.push_back(summary["status"].get<std::string>());
  }
  bool stop() override { return step_ == last_step_; }

  std::vector<std::string> said;
  std::string messages;

 private:
  std::int64_t last_step_;
  std::int64_t step_ = 0;
  std::filesystem::path log_;
};

class RunObserverTest : public TinyRunTest {
 protected:
  TrainOutcome watch(const std::string& out,
                     std::vector<std::shared_ptr<RunObserver>> observers,
                     ExistingRun existing = ExistingRun::kRefuse) {
    std::ostream silent(nullptr);
    TrainOptions options{folder_ / out, existing, Progress::Style::kNone};
    options.observers = std::move(observers);
    return train(recipe(), options, silent);
  }
};

TEST_F(RunObserverTest, IsToldEverythingInOrder) {
  const auto diary = std::make_shared<Diary>(-1);
  watch("run", {diary});
  std::vector<std::string> expected = {"start after 0 of 18"};
  for (int step = 1; step <= 18; ++step) {
    expected.push_back("step " + std::to_string(step));
    if (step % 6 == 0) expected.push_back("epoch " + std::to_string(step / 6));
  }
  expected.emplace_back("finished");
  EXPECT_EQ(diary->said, expected);
  EXPECT_THAT(diary->messages, HasSubstr("96 training rows, 40 validation rows, 2 tasks"));
}

TEST_F(RunObserverTest, WatchingChangesNothing) {
  run("alone");
  watch("watched", {std::make_shared<Diary>(-1), std::make_shared<RunObserver>()});
  EXPECT_EQ(timeless(read_lines(folder_ / "alone/metrics.jsonl")),
            timeless(read_lines(folder_ / "watched/metrics.jsonl")));
  EXPECT_EQ(read_file(folder_ / "alone/model.safetensors"),
            read_file(folder_ / "watched/model.safetensors"));
}

TEST_F(RunObserverTest, AnyOneStopsTheRunWhichThenGoesOn) {
  run("whole");
  const auto patient = std::make_shared<Diary>(-1);
  const auto hasty = std::make_shared<Diary>(8);
  const TrainOutcome stopped = watch("parted", {hasty, patient});
  EXPECT_TRUE(stopped.interrupted);
  EXPECT_EQ(stopped.summary["status"], "interrupted");
  EXPECT_EQ(stopped.summary["steps"], 8);
  EXPECT_EQ(patient->said.back(), "interrupted");
  EXPECT_EQ(patient->said, hasty->said);
  const auto later = std::make_shared<Diary>(-1);
  watch("parted", {later}, ExistingRun::kResume);
  EXPECT_EQ(later->said.front(), "start after 8 of 18, resumed");
  EXPECT_EQ(later->said[1], "step 9");
  EXPECT_THAT(later->messages, HasSubstr("Resuming after step 8."));
  EXPECT_EQ(timeless(read_lines(folder_ / "whole/metrics.jsonl")),
            timeless(read_lines(folder_ / "parted/metrics.jsonl")));
  EXPECT_EQ(read_file(folder_ / "whole/model.safetensors"),
            read_file(folder_ / "parted/model.safetensors"));
}

TEST_F(RunObserverTest, AnExceptionEndsTheRunAndTheLastSnapshotStays) {
  struct Breaks : RunObserver {
    void on_step(const report::StepRecord& record) override {
      if (record.step == 9) throw Error(ErrorCode::kIo, "the screen broke");
    }
  };
  const Error error = error_of([&] { watch("run", {std::make_shared<Breaks>()}); });
  EXPECT_THAT(error.what(), HasSubstr("the screen broke"));
  const auto later = std::make_shared<Diary>(-1);
  watch("run", {later}, ExistingRun::kResume);
  EXPECT_EQ(later->said.front(), "start after 6 of 18, resumed");
  EXPECT_EQ(later->said.back(), "finished");
}

}  // namespace
}  // namespace detente::train

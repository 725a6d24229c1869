// SPDX-License-Identifier: Apache-2.0
#include <detente/train/run_lock.h>
#include <detente/train/snapshot.h>
#include <gmock/gmock.h>
#include <tests/train/tiny_run.h>
#include <torch/types.h>

#include <csignal>
#include <fstream>
#include <set>
#include <sstream>
#include <string_view>

namespace detente::train {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class SnapshotTest : public TinyRunTest {
 protected:
  std::vector<std::string> names(const std::string& out) const {
    std::vector<std::string> found;
    for (const auto& path : snapshot_paths(folder_ / out)) found.push_back(path.filename());
    return found;
  }

  void flip(const std::filesystem::path& path, std::size_t byte) const {
    std::string content = read_file(path);
    content.at(byte) = static_cast<char>(content[byte] ^ 1);
    std::ofstream(path, std::ios::binary) << content;
  }

  void stop_in_second_epoch(const std::string& out) {
    run_with_trigger(out, "epoch 1/3 in", [] { std::raise(SIGINT); });
  }

  std::string resume_and_log(const std::string& out, const std::vector<std::string>& set = {}) {
    std::ostringstream log;
    train(recipe(set), {folder_ / out, ExistingRun::kResume, Progress::Style::kLines}, log);
    return log.str();
  }

  void expect_equal_runs(const std::string& a, const std::string& b) const {
    EXPECT_EQ(timeless(read_lines(folder_ / a / "metrics.jsonl")),
              timeless(read_lines(folder_ / b / "metrics.jsonl")));
    EXPECT_EQ(read_file(folder_ / a / "model.safetensors"),
              read_file(folder_ / b / "model.safetensors"));
  }
};

TEST_F(SnapshotTest, KeepsTheTwoNewestUnlessToldOtherwise) {
  run("two");
  EXPECT_THAT(names("two"), ElementsAre("step-18", "step-12"));
  run("one", {"train.keep=1"});
  EXPECT_THAT(names("one"), ElementsAre("step-18"));
  run("all", {"train.keep=all"});
  EXPECT_THAT(names("all"), ElementsAre("step-18", "step-12", "step-6"));
  for (const char* keep : {"0", "-1", "none", "2x", "''"}) {
    EXPECT_THAT(error_of([&] { recipe({std::string("train.keep=") + keep}); }).what(),
                HasSubstr("keep"))
        << keep;
  }
}

TEST_F(SnapshotTest, EachOfAllIsAPlaceToGoOnFrom) {
  run("whole", {"train.keep=all"});
  for (const char* last : {"step-6", "step-12"}) {
    std::filesystem::copy(
        folder_ / "whole", folder_ / last, std::filesystem::copy_options::recursive);
    for (const auto& path : snapshot_paths(folder_ / last)) {
      if (path.filename() == last) break;
      std::filesystem::remove_all(path);
    }
    resume_and_log(last, {"train.keep=all"});
    expect_equal_runs("whole", last);
  }
}

TEST_F(SnapshotTest, AChangedByteAnywhereIsNamedAndTheEarlierOneTaken) {
  run("whole");
  const auto newest = snapshot_paths(folder_ / "whole").at(0);
  std::set<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(newest)) {
    files.insert(entry.path().filename());
  }
  EXPECT_EQ(files,
            (std::set<std::string>{"manifest.json",
                                   "model.safetensors",
                                   "optimizer.safetensors",
                                   "recipe.yaml",
                                   "state.json"}));
  for (const std::string& file : files) {
    const std::string out = "damaged_" + file;
    std::filesystem::copy(
        folder_ / "whole", folder_ / out, std::filesystem::copy_options::recursive);
    const auto path = folder_ / out / "snapshots/step-18" / file;
    flip(path, std::filesystem::file_size(path) / 2);
    const std::string damaged = read_file(path);
    const std::string log = resume_and_log(out);
    EXPECT_THAT(log, HasSubstr("damaged-step-18")) << file;
    EXPECT_THAT(log, HasSubstr("Resuming after step 12.")) << file;
    EXPECT_EQ(read_file(folder_ / out / "snapshots/damaged-step-18" / file), damaged);
    expect_equal_runs("whole", out);
  }
}

TEST_F(SnapshotTest, WhereAllAreDamagedNothingIsTouched) {
  run("run", {"train.keep=1"});
  const auto path = folder_ / "run/snapshots/step-18/model.safetensors";
  std::filesystem::resize_file(path, std::filesystem::file_size(path) / 2);
  const std::string cut = read_file(path);
  const Error error = error_of([&] { run("run", {"train.keep=1"}, ExistingRun::kResume); });
  EXPECT_EQ(error.code(), ErrorCode::kData);
  EXPECT_THAT(error.what(), HasSubstr("model.safetensors"));
  EXPECT_EQ(read_file(path), cut);
}

TEST_F(SnapshotTest, TheLogIsCutToTheSnapshot) {
  // Stopped by the last step of an epoch: the snapshot is older than the epoch's line.
  struct StopsAfterSix : RunObserver {
    void on_step(const report::StepRecord& record) override { step = record.step; }
    bool stop() override { return step == 6; }
    std::int64_t step = 0;
  };
  run("whole");
  std::ostream silent(nullptr);
  TrainOptions options{folder_ / "parted", ExistingRun::kRefuse, Progress::Style::kNone};
  options.observers = {std::make_shared<StopsAfterSix>()};
  train(recipe(), options, silent);
  // As a process leaves it that is killed between the line and the snapshot.
  const auto lines = read_lines(folder_ / "whole/metrics.jsonl");
  ASSERT_EQ(lines[6]["type"], "epoch");
  std::ofstream(folder_ / "parted/metrics.jsonl", std::ios::app) << lines[6].dump() << "\n{\"cut";
  resume_and_log("parted");
  expect_equal_runs("whole", "parted");
}

TEST_F(SnapshotTest, WhatAKilledProcessLeftIsRemoved) {
  stop_in_second_epoch("run");
  const auto left = folder_ / "run/snapshots/unfinished-step-12";
  std::filesystem::create_directories(left);
  std::ofstream(left / "model.safetensors") << "half";
  resume_and_log("run");
  EXPECT_FALSE(std::filesystem::exists(left));
}

TEST_F(SnapshotTest, AFinishedRunGoesOnWhereMoreEpochsAreAsked) {
  run("run");
  const std::string log = resume_and_log("run", {"train.epochs=5"});
  EXPECT_THAT(log, HasSubstr("goes on to 5"));
  EXPECT_EQ(read_lines(folder_ / "run/metrics.jsonl").size(), 35U);
  EXPECT_EQ(Json::parse(read_file(folder_ / "run/summary.json"))["epochs"], 5);
  EXPECT_THAT(resume_and_log("run", {"train.epochs=5"}), HasSubstr("nothing is left to do"));
  const Error error = error_of([&] { run("run", {"train.epochs=4"}, ExistingRun::kResume); });
  EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(error.what(), HasSubstr("5 epochs"));
}

TEST_F(SnapshotTest, OtherRowsAreNoticedThoughTheyTeachTheSameEncoding) {
  stop_in_second_epoch("run");
  for (const char* file : {"train.tsv", "dev.tsv"}) {
    const std::string before = read_file(folder_ / file);
    std::string inverted = before;
    for (std::size_t at = 0; (at = inverted.find('\n', at + 1)) != std::string::npos;) {
      char& label = inverted[at - 1];
      if (label == '0' || label == '1') label = label == '0' ? '1' : '0';
    }
    write_file_atomic(folder_ / file, inverted);
    const Error error = error_of([&] { run("run", {}, ExistingRun::kResume); });
    EXPECT_EQ(error.code(), ErrorCode::kData);
    EXPECT_THAT(error.what(), HasSubstr("--accept-changed"));
    write_file_atomic(folder_ / file, before);
  }
  write_file_atomic(folder_ / "dev.tsv", rows(40, 3));
  std::ostream silent(nullptr);
  TrainOptions options{folder_ / "run", ExistingRun::kResume, Progress::Style::kNone};
  options.accept_changed = true;
  EXPECT_FALSE(train(recipe(), options, silent).interrupted);
}

TEST_F(SnapshotTest, OnePlaceOneProcess) {
  stop_in_second_epoch("run");
  {
    const RunLock held = RunLock::take(folder_ / "run");
    for (const auto existing : {ExistingRun::kResume, ExistingRun::kForce}) {
      const Error error = error_of([&] { run("run", {}, existing); });
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      EXPECT_THAT(error.what(), HasSubstr(std::to_string(::getpid())));
    }
  }
  resume_and_log("run");
}

TEST_F(SnapshotTest, AFolderIsARunFromItsFirstFileOn) {
  std::filesystem::create_directories(folder_ / "begun/tokenizer");
  { const RunLock mark = RunLock::take(folder_ / "begun"); }
  std::ofstream(folder_ / "begun/tokenizer/vocab.txt") << "half";
  run("whole");
  for (const auto existing : {ExistingRun::kRefuse, ExistingRun::kForce, ExistingRun::kResume}) {
    const std::string out = "begun" + std::to_string(static_cast<int>(existing));
    std::filesystem::copy(
        folder_ / "begun", folder_ / out, std::filesystem::copy_options::recursive);
    run(out, {}, existing);
    expect_equal_runs("whole", out);
  }
  // Nothing of others is touched in it.
  std::ofstream(folder_ / "begun/thesis.txt") << "mine";
  EXPECT_EQ(error_of([&] { run("begun"); }).code(), ErrorCode::kInvalidArgument);
  run("begun", {}, ExistingRun::kForce);
  EXPECT_EQ(read_file(folder_ / "begun/thesis.txt"), "mine");
}

TEST_F(SnapshotTest, ARunThatIsNotWhatItWroteIsNamed) {
  run("run");
  for (const char* file : {"recipe.yaml", "tokenizer/vocab.txt", "model.safetensors"}) {
    const auto path = folder_ / "run" / file;
    const std::string before = read_file(path);
    flip(path, before.size() - 2);
    const Error error = error_of([&] { load_run(folder_ / "run", {}); });
    EXPECT_EQ(error.code(), ErrorCode::kData) << file;
    EXPECT_THAT(error.what(), HasSubstr(std::filesystem::path(file).filename().string()));
    // A recipe that cannot be read is of no use as it is: it has to be written again.
    const bool unreadable = std::string_view(file) == "recipe.yaml";
    EXPECT_THAT(error.what(),
                HasSubstr(unreadable ? "detente recipe show RECIPE >" : "--accept-changed"));
    write_file_atomic(path, before);
  }
  // One that was changed on purpose is.
  const std::string recipe = read_file(folder_ / "run/recipe.yaml");
  write_file_atomic(folder_ / "run/recipe.yaml", recipe + "# mine\n");
  const Error changed = error_of([&] { load_run(folder_ / "run", {}); });
  EXPECT_THAT(changed.what(), HasSubstr("recipe.yaml"));
  EXPECT_THAT(changed.what(), HasSubstr("--accept-changed"));
  write_file_atomic(folder_ / "run/recipe.yaml", recipe);
  flip(folder_ / "run/model.safetensors",
       std::filesystem::file_size(folder_ / "run/model.safetensors") - 2);
  EXPECT_NO_THROW(load_run(folder_ / "run", {}, /*accept_changed=*/true));
}

// What a snapshot holds of tensors that training changes as soon as it may.
TEST(SnapshotWriter, CopiesBeforeTrainingGoesOn) {
  const auto folder = std::filesystem::temp_directory_path() /
                      ("detente_snapshot_writer_" + std::to_string(::getpid()));
  std::filesystem::remove_all(folder);
  at::Tensor weight = at::ones({1000, 100}).set_requires_grad(true);
  at::Tensor running = at::ones({1000, 100});
  at::Tensor moment = at::ones({1000, 100});
  at::Tensor own = at::ones({1000, 100});
  const auto part = [](const char* prefix, NamedTensors tensors, StateChanges changes) {
    return StatePart{prefix, [tensors = std::move(tensors)] { return tensors; }, {}, changes};
  };
  RunState state;
  state.step = 5;
  std::promise<void> go;
  {
    SnapshotWriter writer(folder / "snapshots", 2);
    EXPECT_NO_THROW(writer.wait_for_copy());  // of none
    writer.write(state,
                 {part("model.",
                       {{"weight", weight}, {"running", running}},
                       StateChanges::kParametersInUpdate),
                  part("optimizer.", {{"m", moment}}, StateChanges::kInUpdate),
                  part("method.", {{"own", own}}, StateChanges::kAnyTime)},
                 "name: x\n",
                 [ready = go.get_future().share()] { ready.wait(); });
    running.zero_();
    own.zero_();
    state.step = 6;
    writer.wait_for_copy();
    writer.wait_for_copy();
    weight.detach().zero_();
    moment.zero_();
    go.set_value();
  }
  const Snapshot read = read_snapshot(folder / "snapshots/step-5");
  EXPECT_EQ(read.state.step, 5);
  EXPECT_EQ(read.tensors.size(), 4u);
  for (const auto& [name, tensor] : read.tensors) {
    EXPECT_TRUE(at::equal(tensor, at::ones({1000, 100}))) << name;
  }
  std::filesystem::remove_all(folder);
}

TEST(SnapshotWriter, HandsOnWhatWentWrong) {
  const auto folder = std::filesystem::temp_directory_path() /
                      ("detente_snapshot_error_" + std::to_string(::getpid()));
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "snapshots") << "a file where a folder is needed";
  RunState state;
  SnapshotWriter writer(folder / "snapshots", 2);
  writer.write(state, {}, "name: x\n");
  EXPECT_THROW(writer.wait(), Error);
  EXPECT_NO_THROW(writer.wait());
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace detente::train

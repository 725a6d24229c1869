// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/train/metrics_log.h>
#include <detente/train/run_directory.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace detente::train {
namespace {

using ::testing::HasSubstr;

class RunDirectoryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = std::filesystem::temp_directory_path() /
            ("detente_run_directory_" + std::to_string(::getpid()));
    std::filesystem::remove_all(root_);
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  ErrorCode code_of(ExistingRun policy) {
    try {
      open_run_directory(root_, policy);
    } catch (const Error& error) {
      message_ = error.what();
      return error.code();
    }
    ADD_FAILURE() << "no error";
    return ErrorCode::kInternal;
  }

  std::filesystem::path root_;
  std::string message_;
};

TEST_F(RunDirectoryTest, MakesANewFolder) {
  const RunDirectory run = open_run_directory(root_, ExistingRun::kRefuse);
  EXPECT_TRUE(std::filesystem::is_directory(root_));
  EXPECT_FALSE(run.is_run());
}

TEST_F(RunDirectoryTest, RefusesAFolderInUse) {
  write_file_atomic(open_run_directory(root_, ExistingRun::kRefuse).recipe(), "seed: 1\n");
  EXPECT_EQ(code_of(ExistingRun::kRefuse), ErrorCode::kInvalidArgument);
  EXPECT_THAT(message_, HasSubstr("--resume"));
  EXPECT_THAT(message_, HasSubstr("--force"));
}

TEST_F(RunDirectoryTest, ForceRemovesTheRunAndNothingElse) {
  const RunDirectory run = open_run_directory(root_, ExistingRun::kRefuse);
  write_file_atomic(run.recipe(), "seed: 1\n");
  write_file_atomic(run.metrics(), "{}\n");
  write_file_atomic(root_ / "notes.txt", "mine");
  open_run_directory(root_, ExistingRun::kForce);
  EXPECT_FALSE(std::filesystem::exists(run.metrics()));
  EXPECT_EQ(read_file(root_ / "notes.txt"), "mine");
}

// Names that hold ".tmp" were all removed once, folders with what was in them.
TEST_F(RunDirectoryTest, ForceTakesOwnNamesAndRegularFilesOnly) {
  const RunDirectory run = open_run_directory(root_, ExistingRun::kRefuse);
  const std::vector<std::filesystem::path> own = {
      run.recipe(),
      run.model(),
      root_ / "events.out.tfevents.1700000000.host.name.12.0",
      root_ / ".detente-abcdef.tmp",
      root_ / "tokenizer/vocab.txt",
      root_ / "cache/.detente-abcdef.tmp",
      root_ / ".detente-fitted.tmp/tokenizer/idf.json"};
  const std::vector<std::filesystem::path> others = {root_ / "notes.tmp",
                                                     root_ / "my.tmp.folder/thesis.txt",
                                                     root_ / "model.safetensors.tmp",
                                                     root_ / "events.out.tfevents.backup",
                                                     root_ / "tokenizer/mine.txt",
                                                     root_ / "cache/0123456789abcdef.ids",
                                                     root_ / "outside"};
  for (const auto* files : {&own, &others}) {
    for (const auto& file : *files) {
      make_directories(file.parent_path());
      write_file_atomic(file, "x");
    }
  }
  std::filesystem::create_symlink("outside", root_ / ".detente-linked.tmp");
  open_run_directory(root_, ExistingRun::kForce);
  for (const auto& file : own) EXPECT_FALSE(std::filesystem::exists(file)) << file;
  for (const auto& file : others) EXPECT_TRUE(std::filesystem::exists(file)) << file;
  EXPECT_TRUE(std::filesystem::is_symlink(root_ / ".detente-linked.tmp"));
  EXPECT_FALSE(std::filesystem::exists(root_ / ".detente-fitted.tmp"));
}

TEST_F(RunDirectoryTest, ForceRefusesWhatNoRunHasMade) {
  for (const char* name : {"model.safetensors", "snapshot.safetensors", "tokenizer"}) {
    const RunDirectory run = open_run_directory(root_, ExistingRun::kRefuse);
    write_file_atomic(run.recipe(), "seed: 1\n");
    make_directories(root_ / "elsewhere");
    std::filesystem::create_directory_symlink("elsewhere", root_ / name);
    EXPECT_EQ(code_of(ExistingRun::kForce), ErrorCode::kInvalidArgument);
    EXPECT_THAT(message_, HasSubstr(name));
    EXPECT_TRUE(run.is_run());  // nothing was touched
    std::filesystem::remove_all(root_);
  }
}

TEST_F(RunDirectoryTest, NothingIsWrittenThroughALinkInTheRun) {
  for (const char* name : {"tokenizer", "snapshots", "cache"}) {
    for (const ExistingRun policy :
         {ExistingRun::kRefuse, ExistingRun::kResume, ExistingRun::kForce}) {
      make_directories(root_ / "run");
      make_directories(root_ / "elsewhere");
      if (policy != ExistingRun::kRefuse) write_file_atomic(root_ / "run/recipe.yaml", "seed: 1\n");
      std::filesystem::create_directory_symlink("../elsewhere", root_ / "run" / name);
      try {
        open_run_directory(root_ / "run", policy);
        ADD_FAILURE() << name;
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
        EXPECT_THAT(error.what(), HasSubstr(name));
        EXPECT_THAT(error.what(), HasSubstr("--out"));
      }
      EXPECT_TRUE(std::filesystem::is_empty(root_ / "elsewhere"));
      EXPECT_TRUE(std::filesystem::is_symlink(root_ / "run" / name));
      std::filesystem::remove_all(root_);
    }
  }
}

TEST_F(RunDirectoryTest, LeftoversOfAKilledRunGoWhenItIsOpened) {
  const RunDirectory run = open_run_directory(root_, ExistingRun::kRefuse);
  // Killed before the first file was whole: a new run may begin there.
  write_file_atomic(root_ / ".detente-abcdef.tmp", "half");
  open_run_directory(root_, ExistingRun::kRefuse);
  EXPECT_TRUE(std::filesystem::is_empty(root_));
  write_file_atomic(run.recipe(), "seed: 1\n");
  write_file_atomic(root_ / ".detente-abcdef.tmp", "half");
  open_run_directory(root_, ExistingRun::kResume);
  EXPECT_FALSE(std::filesystem::exists(root_ / ".detente-abcdef.tmp"));
  EXPECT_TRUE(run.is_run());
}

TEST_F(RunDirectoryTest, NeverTouchesAFolderThatIsNoRun) {
  std::filesystem::create_directories(root_);
  write_file_atomic(root_ / "summary.json", "mine");
  EXPECT_EQ(code_of(ExistingRun::kForce), ErrorCode::kInvalidArgument);
  EXPECT_EQ(read_file(root_ / "summary.json"), "mine");
}

TEST_F(RunDirectoryTest, SaysWhatIsMissingOfARun) {
  try {
    existing_run(root_);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kIo);
    EXPECT_THAT(error.what(), HasSubstr("there is no folder"));
  }
}

TEST_F(RunDirectoryTest, ResumedLogDropsLaterAndBrokenLines) {
  const RunDirectory run = open_run_directory(root_, ExistingRun::kRefuse);
  {
    MetricsLog log(run.metrics(), -1, -1);
    for (int step = 1; step <= 5; ++step) log.write({{"type", "step"}, {"step", step}});
  }
  write_file_atomic(run.metrics(), read_file(run.metrics()) + "{\"type\":\"st");
  MetricsLog log(run.metrics(), 3, -1);
  EXPECT_THAT(log.left_out(), ::testing::ElementsAre(6));
  log.write({{"type", "step"}, {"step", 4}, {"again", true}});
  EXPECT_EQ(read_file(run.metrics()),
            "{\"type\":\"step\",\"step\":1}\n{\"type\":\"step\",\"step\":2}\n"
            "{\"type\":\"step\",\"step\":3}\n{\"type\":\"step\",\"step\":4,\"again\":true}\n");
}

TEST_F(RunDirectoryTest, AResumedLogKnowsWhenItsLinesAreGone) {
  const RunDirectory run = open_run_directory(root_, ExistingRun::kRefuse);
  std::int64_t bytes = 0;
  {
    MetricsLog log(run.metrics(), -1, -1);
    for (int step = 1; step <= 5; ++step) {
      log.write({{"type", "step"}, {"step", step}});
      if (step == 3) bytes = log.bytes();
    }
    EXPECT_FALSE(log.changed());
  }
  const std::string whole = read_file(run.metrics());
  EXPECT_FALSE(MetricsLog(run.metrics(), 3, bytes).changed()) << "later lines are cut off as ever";
  const std::size_t line = whole.find('\n') + 1;
  for (const std::string& now : {std::string(), whole.substr(0, 2 * line), whole.substr(line)}) {
    write_file_atomic(run.metrics(), now);
    EXPECT_TRUE(MetricsLog(run.metrics(), 3, bytes).changed()) << now;
  }
  std::filesystem::remove(run.metrics());
  EXPECT_TRUE(MetricsLog(run.metrics(), 3, bytes).changed());
}

}  // namespace
}  // namespace detente::train

// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
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
  log.write({{"type", "step"}, {"step", 4}, {"again", true}});
  EXPECT_EQ(read_file(run.metrics()),
            "{\"type\":\"step\",\"step\":1}\n{\"type\":\"step\",\"step\":2}\n"
            "{\"type\":\"step\",\"step\":3}\n{\"type\":\"step\",\"step\":4,\"again\":true}\n");
}

}  // namespace
}  // namespace detente::train

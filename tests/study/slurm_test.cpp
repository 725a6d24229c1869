// SPDX-License-Identifier: Apache-2.0
// The words; tests/cli/submit.py and slurm.py have the jobs.
#include <detente/core/error.h>
#include <detente/study/slurm.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/error_of.h>
#include <tests/support/temp_dir.h>

namespace detente::study {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(SplitWords, SplitsAsAShellDoesAndExpandsNothing) {
  EXPECT_THAT(split_words(""), IsEmpty());
  EXPECT_THAT(split_words("  a \t b  "), ElementsAre("a", "b"));
  EXPECT_THAT(split_words("--comment='two words' x\\ y"),
              ElementsAre("--comment=two words", "x y"));
  EXPECT_THAT(split_words(R"("a'b" 'c"d\' "\"" '')"), ElementsAre("a'b", "c\"d\\", "\"", ""));
  EXPECT_THAT(split_words("$HOME `ls` $(ls) a;b * ~"),
              ElementsAre("$HOME", "`ls`", "$(ls)", "a;b", "*", "~"));
  for (const char* text : {"'", "a \"b", "\"\\\"", "a\nb"}) {
    EXPECT_EQ(test::error_of([&] { split_words(text); }).code(), ErrorCode::kInvalidArgument)
        << text;
  }
  EXPECT_EQ(test::error_of([&] { split_words(std::string_view("a\0b", 3)); }).code(),
            ErrorCode::kInvalidArgument);
}

TEST(SbatchOptions, LeavesTheClustersOptionsAndRefusesOnesOfItsOwn) {
  EXPECT_THAT(
      sbatch_options("-p gpu --time 2:00:00 --account=me -A x --exclusive -c4"),
      ElementsAre(
          "-p", "gpu", "--time", "2:00:00", "--account=me", "-A", "x", "--exclusive", "-c4"));
  for (const char* text : {"gpu",
                           "-p gpu other",
                           "--time=1 x",
                           "--array=1-2",
                           "--arr 1",
                           "-a1",
                           "-a 1",
                           "-J name",
                           "--job-name=x",
                           "--job x",
                           "-D /tmp",
                           "--chdir=/",
                           "--wrap=ls",
                           "--parsable",
                           "--",
                           "-",
                           "''"}) {
    EXPECT_EQ(test::error_of([&] { sbatch_options(text); }).code(), ErrorCode::kInvalidArgument)
        << text;
  }
}

TEST(TrainListed, NamesAListThatIsNone) {
  const test::TempDir folder;
  const std::string none = folder.write("none.json", R"({"format": "other"})");
  const std::string empty =
      folder.write("empty.json", R"({"format": "detente-slurm-1", "tasks": []})");
  const std::string half =
      folder.write("half.json", R"({"format": "detente-slurm-1", "tasks": [{"seed": 1}]})");
  for (const auto& file : {none, empty, half}) {
    const Error error = test::error_of([&] { train_listed(file, 0, "detente", {}); });
    EXPECT_EQ(error.code(), ErrorCode::kData);
    EXPECT_NE(std::string(error.what()).find(file), std::string::npos);
  }
}

TEST(CheckNoJob, SaysNothingWhereNothingWasSubmitted) {
  const test::TempDir folder;
  EXPECT_NO_THROW(check_no_job(folder.path()));
}

}  // namespace
}  // namespace detente::study

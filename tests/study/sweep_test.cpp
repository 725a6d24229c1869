// SPDX-License-Identifier: Apache-2.0
// The pool of runs, with a script in place of the program: it writes a run's folder as training does.
#include <detente/core/file.h>
#include <detente/study/study_page.h>
#include <detente/study/sweep.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/temp_dir.h>

#include <filesystem>

namespace detente::study {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

const std::vector<StudyTask> kOneTask{{"t", {{"f1", true}}}};

class SweepTest : public ::testing::Test {
 protected:
  void SetUp() override {
    // train RECIPE --quiet --out RUN --set ...; eval RUN --part test --json
    program(R"sh(
if [ "$1" = eval ]; then echo '{"tasks": {"t": {"f1": 0.25}}, "rows": 3}'; exit 0; fi
run=$5; bad=; for word in "$@"; do [ "$word" = balance.method=bad ] && bad=1; last=$word; done
echo "$*" >>"$(dirname "$0")/calls"
[ -n "$bad" ] && [ ! -e "$(dirname "$0")/mended" ] && { echo 'error: the loss is NaN' >&2; exit 4; }
mkdir -p "$run"
echo '{"method": "m", "seconds": 2, "steps": 10, "tasks": {"t": {"f1": 0.5}}}' >"$run/summary.json"
echo '{"type": "epoch", "epoch": 1, "step": 10, "dev": {"t": {"f1": 0.5}}}' >"$run/metrics.jsonl"
)sh");
    options_.program = folder_.file("program");
    options_.recipe = "recipe.yaml";
    options_.out = folder_.file("out put");
    options_.seeds = {0, 1};
    options_.jobs = 2;
    fs::create_directories(options_.out);
    variants_ = plan_variants(
        parse_methods("ew,bad"), {}, {}, [](const MethodSpec*, const GridAxis&) { return true; });
  }
  void program(const std::string& commands) {
    folder_.write("program", "#!/bin/sh\n" + commands);
    fs::permissions(folder_.file("program"), fs::perms::owner_all);
  }
  std::size_t calls() const {
    if (!fs::exists(folder_.file("calls"))) return 0;
    const std::string text = read_file(folder_.file("calls"));
    return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
  }

  test::TempDir folder_;
  SweepOptions options_;
  std::vector<Variant> variants_;
};

TEST_F(SweepTest, OneThatFailsTakesNoOtherWithIt) {
  std::vector<std::string> said;
  SweepHooks hooks;
  hooks.on_change = [&](const SweepProgress& progress) {
    if (!progress.text.empty()) said.push_back(progress.text);
  };
  const auto results = train_all(variants_, options_, hooks);
  ASSERT_EQ(results.size(), 4U);
  EXPECT_EQ(said.size(), 4U);
  EXPECT_EQ(results[0].failure, "");
  EXPECT_EQ(results[0].ms_per_step, 200);
  EXPECT_EQ(results[0].dev[0].second[0].second, 0.5);
  EXPECT_EQ(results[2].failure,
            "failed: exit code 4; last line of its log: error: the loss is NaN");
}

// What a killed process said last is no cause, and what an earlier one said is not its own.
TEST_F(SweepTest, AKilledRunIsSaidToBeKilled) {
  program("[ -e \"$(dirname \"$0\")/mended\" ] || echo 'notice: all is well' >&2\nkill -9 $$\n");
  options_.seeds = {0};
  std::vector<bool> failed;
  SweepHooks hooks;
  hooks.on_change = [&](const SweepProgress& progress) {
    if (!progress.text.empty()) failed.push_back(progress.failed);
  };
  EXPECT_EQ(
      train_all(variants_, options_, hooks)[0].failure,
      "failed: ended by signal 9 (SIGKILL, which the system also sends where memory is short); "
      "last line of its log: notice: all is well");
  EXPECT_EQ(failed, (std::vector<bool>{true, true}));
  folder_.write("mended", "");
  EXPECT_THAT(train_all(variants_, options_, {})[0].failure,
              ::testing::EndsWith("; its log says nothing"));
}

TEST_F(SweepTest, GoesOnAndNeverRepeatsWhatHasFinished) {
  train_all(variants_, options_, {});
  EXPECT_EQ(calls(), 4U);
  folder_.write("mended", "");
  const auto results = train_all(variants_, options_, {});
  EXPECT_EQ(calls(), 6U);  // the failed ones again
  EXPECT_EQ(results[2].failure, "");
  train_all(variants_, options_, {});
  EXPECT_EQ(calls(), 6U);
  options_.seeds.push_back(2);
  EXPECT_EQ(train_all(variants_, options_, {}).size(), 6U);
  EXPECT_EQ(calls(), 8U);
}

TEST_F(SweepTest, StopsWhenAskedAndGoesOnFromThere) {
  int asked = 0;
  SweepHooks hooks;
  hooks.stop = [&] { return ++asked > 2; };
  program(
      "[ -e \"$(dirname \"$0\")/mended\" ] || { mkdir -p \"$5\"; trap 'exit 130' TERM; "
      "i=0; while [ $i -lt 600 ]; do sleep 0.1; i=$((i + 1)); done; }\n"
      "for word in \"$@\"; do last=$word; done; echo \"$last\" >>\"$(dirname \"$0\")/lasts\"\n"
      "echo '{\"seconds\": 2, \"steps\": 10, \"tasks\": {\"t\": {\"f1\": 0.5}}}' "
      ">\"$5/summary.json\"\n");
  EXPECT_TRUE(train_all(variants_, options_, hooks).empty());
  folder_.write("mended", "");
  for (const auto& variant : variants_) {
    for (const int seed : {0, 1}) {
      fs::create_directories(options_.out / "runs" / variant.folder / fmt::format("seed-{}", seed));
    }
  }
  EXPECT_EQ(train_all(variants_, options_, {}).size(), 4U);
  EXPECT_EQ(read_file(folder_.file("lasts")), "--resume\n--resume\n--resume\n--resume\n");
}

TEST_F(SweepTest, HalvingTrainsRoundByRoundAndGoesOn) {
  const std::vector<std::string> grid{"c=1,2,3"};
  variants_ = plan_variants(
      parse_methods("ew,bad"), parse_grid(grid), {}, [](const auto*, const auto&) { return true; });
  options_.seeds = {0, 1, 2};
  std::vector<std::pair<std::size_t, std::size_t>> counts;
  SweepHooks hooks;
  hooks.on_change = [&](const SweepProgress& progress) {
    if (!progress.text.empty()) counts.emplace_back(progress.ended, progress.total);
  };
  // Of each method 3 runs with the first seed, 2 with the second, 1 with the third.
  EXPECT_EQ(train_by_halving(variants_, kOneTask, options_, hooks).size(), 12U);
  ASSERT_EQ(counts.size(), 12U);
  EXPECT_EQ(counts.front(), (std::pair<std::size_t, std::size_t>(1, 12)));
  EXPECT_EQ(counts.back(), (std::pair<std::size_t, std::size_t>(12, 12)));
  EXPECT_EQ(calls(), 12U);
  // Again: what failed is tried again, nothing else.
  train_by_halving(variants_, kOneTask, options_, {});
  EXPECT_EQ(calls(), 18U);
  folder_.write("mended", "");
  train_by_halving(variants_, kOneTask, options_, {});
  EXPECT_EQ(calls(), 24U);
  train_by_halving(variants_, kOneTask, options_, {});
  EXPECT_EQ(calls(), 24U);
}

TEST_F(SweepTest, HalvingEndsWhereRunsAreInterruptedByOthers) {
  program("echo >>\"$(dirname \"$0\")/calls\"\nexit 130\n");
  EXPECT_TRUE(train_by_halving(variants_, kOneTask, options_, {}).empty());
  EXPECT_EQ(calls(), 2U);
}

TEST_F(SweepTest, TestsTheChosenOnceAndWritesAPage) {
  train_all(variants_, options_, {});
  const std::vector<std::size_t> chosen{0, 1};
  const auto results = test_chosen(variants_, chosen, options_, {});
  EXPECT_EQ(results[0].test[0].second[0].second, 0.25);
  EXPECT_TRUE(results[2].test.empty());
  program("exit 1\n");
  EXPECT_EQ(test_chosen(variants_, chosen, options_, {})[0].test, results[0].test);
  const Analysis analysis = analyse(variants_, chosen, kOneTask, options_.seeds, results);
  EXPECT_EQ(analysis.measured, Measured::kTest);
  const std::string page = study_page({"<study>", "detente compare", "tasks: []"},
                                      analysis,
                                      variants_,
                                      chosen,
                                      kOneTask,
                                      options_.seeds,
                                      runs_in(options_.out));
  EXPECT_THAT(page, HasSubstr("&lt;study&gt;"));
  EXPECT_THAT(page, HasSubstr("bad, seed 0: failed"));
  EXPECT_THAT(page, HasSubstr("0.2500"));
}

TEST_F(SweepTest, AResultFileThatIsNoneIsMadeAnew) {
  train_all(variants_, options_, {});
  const fs::path file = options_.out / "runs/ew/seed-0.json";
  for (const char* text : {"", "{", "[]", "\xff\xfe"}) {
    write_file_atomic(file, text);
    EXPECT_EQ(train_all(variants_, options_, {})[0].dev[0].second[0].second, 0.5);
  }
}

}  // namespace
}  // namespace detente::study

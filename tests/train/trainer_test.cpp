// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/registry.h>
#include <detente/report/answers.h>
#include <detente/report/html_report.h>
#include <detente/report/tensorboard.h>
#include <detente/train/snapshot.h>
#include <detente/train/trainer.h>
#include <gmock/gmock.h>
#include <sys/resource.h>
#include <tests/train/tiny_run.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <map>
#include <memory>
#include <sstream>
#include <utility>

namespace detente::train {
namespace {

using ::testing::HasSubstr;

using TrainerTest = TinyRunTest;

TEST_F(TrainerTest, LearnsAndWritesEveryFileOfARun) {
  const TrainOutcome outcome = run("run");
  const RunDirectory& files = outcome.run;
  for (const auto& path : {files.recipe(),
                           files.metrics(),
                           files.summary(),
                           files.model(),
                           files.answers(),
                           files.snapshots() / "step-18/manifest.json",
                           files.report(),
                           files.tokenizer() / "vocab.txt"}) {
    EXPECT_TRUE(std::filesystem::exists(path)) << path;
  }
  EXPECT_GT(outcome.summary["tasks"]["score"]["pearson"].get<double>(), 0.4);
  EXPECT_EQ(outcome.summary["status"], "finished");
  EXPECT_EQ(Json::parse(read_file(files.summary())), outcome.summary);
  const auto lines = read_lines(files.metrics());
  // 96 rows in batches of 16: six steps and one line for each of three epochs.
  EXPECT_EQ(lines.size(), 21U);
  EXPECT_TRUE(lines.front()["cosines"].contains("score|same"));
  EXPECT_TRUE(lines.back()["dev"]["same"].contains("f1"));
}

TEST_F(TrainerTest, TheKeptModelGivesTheMetricsOfTheSummary) {
  const TrainOutcome outcome = run("run");
  const LoadedRun loaded = load_run(outcome.run.root, {});
  EXPECT_EQ(loaded.recipe.to_yaml(), recipe().to_yaml());
  EXPECT_EQ(loaded.model->heads().size(), 2U);
}

// What is kept of the answers agrees with the metrics of the epoch that is kept.
TEST_F(TrainerTest, TheKeptAnswersAreThoseOfTheBestEpoch) {
  const TrainOutcome outcome =
      run("run", {"tasks.same.metrics=[accuracy, ece]", "tasks.score.metrics=[r2]"});
  const auto answers = report::parse_answers(read_file(outcome.run.answers()));
  ASSERT_TRUE(answers);
  EXPECT_EQ(answers->epoch, outcome.summary["best_epoch"]);
  EXPECT_EQ(answers->rows, 40U);
  ASSERT_EQ(answers->tasks.size(), 2U);
  const Json& metrics = outcome.summary["tasks"];
  EXPECT_DOUBLE_EQ(answers->tasks[0].outputs[0].r2, metrics["score"]["r2"].get<double>());
  EXPECT_EQ(answers->tasks[0].outputs[0].points.size(), 40U);
  EXPECT_EQ(answers->tasks[1].confusion->total(), 40U);
  EXPECT_DOUBLE_EQ(static_cast<double>(answers->tasks[1].confusion->right) / 40,
                   metrics["same"]["accuracy"].get<double>());
  EXPECT_DOUBLE_EQ(answers->tasks[1].reliability->error, metrics["same"]["ece"].get<double>());
}

// Of files alone, and the same.
TEST_F(TrainerTest, ThePageIsMadeAgainWithoutTheModel) {
  const TrainOutcome outcome = run("run");
  const std::string page = read_file(outcome.run.report());
  EXPECT_THAT(page, HasSubstr("What the model answered"));
  std::filesystem::remove(outcome.run.model());
  std::filesystem::remove_all(outcome.run.snapshots());
  report::write_html_report(outcome.run.root);
  EXPECT_EQ(read_file(outcome.run.report()), page);
  std::filesystem::remove(outcome.run.answers());
  report::write_html_report(outcome.run.root);
  EXPECT_THAT(read_file(outcome.run.report()),
              ::testing::Not(HasSubstr("What the model answered")));
}

TEST_F(TrainerTest, SameSeedSameRun) {
  run("a");
  run("b");
  EXPECT_EQ(timeless(read_lines(folder_ / "a/metrics.jsonl")),
            timeless(read_lines(folder_ / "b/metrics.jsonl")));
  EXPECT_EQ(read_file(folder_ / "a/model.safetensors"), read_file(folder_ / "b/model.safetensors"));
}

TEST_F(TrainerTest, AnotherSeedIsAnotherRun) {
  run("a");
  run("b", {"seed=1"});
  EXPECT_NE(read_file(folder_ / "a/model.safetensors"), read_file(folder_ / "b/model.safetensors"));
}

// A link in the place of a run's file leads to a file of someone else's.
TEST_F(TrainerTest, NeverWritesThroughALink) {
  run("run", {"train.epochs=1"});
  namespace fs = std::filesystem;
  const fs::path root = folder_ / "run";
  const fs::path others = folder_ / "others";
  fs::create_directory(others);
  std::vector<std::pair<fs::path, fs::path>> planted;  // the link, and what it leads to
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    if (!entry.is_regular_file() || entry.path().filename() == ".detente-run") continue;
    if (entry.path().parent_path().parent_path().filename() == "snapshots") continue;
    planted.emplace_back(entry.path(), others / std::to_string(planted.size()));
  }
  EXPECT_GE(planted.size(), 9U);
  for (const auto& [link, target] : planted) {
    fs::copy_file(link, target);
    fs::remove(link);
    // A cache is read and then left alone, unless it is damaged.
    if (link.parent_path().filename() == "cache") write_file_atomic(target, "damaged");
    fs::create_symlink(target, link);
  }
  const fs::path unfinished = root / "snapshots/unfinished-step-12";
  fs::create_directory(unfinished);
  write_file_atomic(others / "state", "theirs");
  for (const char* name : {"state.json", "model.safetensors", "manifest.json"}) {
    fs::create_symlink(others / "state", unfinished / name);
  }
  std::map<std::string, std::string> before;
  for (const auto& entry : fs::directory_iterator(others)) {
    before[entry.path().string()] = read_file(entry.path());
  }
  std::ostream silent(nullptr);
  TrainOptions options{root, ExistingRun::kResume, Progress::Style::kNone};
  options.accept_changed = true;
  train(recipe({"train.epochs=3"}), options, silent);
  for (const auto& [path, content] : before) EXPECT_EQ(read_file(path), content) << path;
  for (const auto& [link, target] : planted) {
    if (report::is_event_file_name(link.filename().string()))
      continue;  // the next has another name
    EXPECT_FALSE(fs::is_symlink(link)) << link;
  }
  EXPECT_EQ(fs::file_size(root / "metrics.jsonl"), read_file(root / "metrics.jsonl").size());
  EXPECT_EQ(read_lines(root / "metrics.jsonl").size(), 21U);
}

struct ResumeCase {
  std::string name;
  std::vector<std::string> overrides;
};

ResumeCase method_case(const std::string& method) { return {method, {"balance.method=" + method}}; }

class ResumeTest : public TinyRunTest, public ::testing::WithParamInterface<ResumeCase> {};

TEST_P(ResumeTest, InterruptedAndResumedEqualsNeverStopped) {
  const std::vector<std::string>& overrides = GetParam().overrides;
  const auto [stopped, resumed] = expect_resumed_equals_whole("whole", "stopped", overrides);
  EXPECT_EQ(stopped.summary["status"], "interrupted");
  EXPECT_EQ(stopped.summary["steps"], 7);  // one step into the second epoch
  EXPECT_FALSE(resumed.interrupted);
  Json whole = Json::parse(read_file(folder_ / "whole/summary.json"));
  Json again = resumed.summary;
  for (const char* measured : {"seconds", "peak_memory_mib"}) {
    whole.erase(measured);
    again.erase(measured);
  }
  EXPECT_EQ(whole, again);
}

INSTANTIATE_TEST_SUITE_P(
    Methods,
    ResumeTest,
    ::testing::Values(
        method_case("ew"),
        method_case("uw"),
        method_case("mgda"),
        method_case("pcgrad"),
        method_case("cagrad"),
        method_case("famo"),
        method_case("cr_mogm"),
        method_case("moco"),
        method_case("excess_mtl"),
        ResumeCase{"every_n", {"balance.method=every_n", "engine.diagnose_every=0"}},
        ResumeCase{"sdmgrad", {"balance.method=sdmgrad", "engine.diagnose_every=0"}},
        ResumeCase{
            "estimate",
            {"engine.gram_rows=0.5", "engine.diagnose_every=4", "engine.estimate_floor=0.9"}},
        ResumeCase{"layers", {"balance.method=gradvac", "engine.granularity=layers"}},
        ResumeCase{"groups",
                   {"balance.method=cr_mogm",
                    "engine.granularity=groups",
                    "engine.groups=[embedding, layers.0]"}},
        ResumeCase{"micro_batches", {"balance.method=gradvac", "train.micro_batches=3"}},
        ResumeCase{"autocast", {"autocast=bf16"}},
        ResumeCase{"gram_precision", {"engine.gram_precision=bf16", "engine.diagnose_every=4"}},
        ResumeCase{"notice", {"engine.strategy=segmented"}}),
    [](const auto& info) { return info.param.name; });

class EveryMethodTest : public TinyRunTest, public ::testing::WithParamInterface<std::string> {};

TEST_P(EveryMethodTest, TrainsWithFiniteLossesAndWeights) {
  write_file_atomic(folder_ / "train.tsv", rows(12, 1));
  write_file_atomic(folder_ / "dev.tsv", rows(12, 2));
  const TrainOutcome outcome = run("run",
                                   {"balance.method=" + GetParam(),
                                    "tasks.score.loss={name: mse}",
                                    "engine.diagnose_every=0",
                                    "train.batch_size=4",
                                    "train.min_batch=1",
                                    "train.epochs=1",
                                    "output.tensorboard=false"});
  EXPECT_EQ(outcome.summary["status"], "finished");
  std::size_t steps = 0;
  for (const Json& line : read_lines(outcome.run.metrics())) {
    if (line["type"] != "step") continue;
    ++steps;
    for (const char* task : {"score", "same"}) {
      EXPECT_TRUE(line["losses"][task].is_number()) << line;
      EXPECT_TRUE(line["weights"][task].is_number()) << line;
    }
  }
  EXPECT_EQ(steps, 3U);
}

INSTANTIATE_TEST_SUITE_P(Methods,
                         EveryMethodTest,
                         ::testing::ValuesIn(balance::method_names()),
                         [](const auto& info) { return info.param; });

// famo's weights times the losses are its softmax, up to a common factor: equal until it has
// learned something from the losses after a step.
double famo_ratio(const Json& line) {
  return line["weights"]["score"].get<double>() * line["losses"]["score"].get<double>() /
         line["weights"]["same"].get<double>() / line["losses"]["same"].get<double>();
}

TEST_F(TrainerTest, TellsFamoWhatTheStepDidToTheSameRowsWithTheSameDropout) {
  const std::vector<std::string> famo = {
      "balance.method=famo", "engine.diagnose_every=0", "model.dropout=0.5", "balance.lr=1"};
  run("moving", famo);
  auto still = famo;
  still.push_back("optimizer.lr=1e-30");
  run("still", still);
  double moved = 0;
  for (const Json& line : read_lines(folder_ / "moving/metrics.jsonl")) {
    if (line["type"] == "step") moved = std::max(moved, std::abs(famo_ratio(line) - 1.0));
  }
  EXPECT_GT(moved, 0.01);
  // Parameters that stay give the very same losses again.
  for (const Json& line : read_lines(folder_ / "still/metrics.jsonl")) {
    if (line["type"] != "step") continue;
    EXPECT_NEAR(famo_ratio(line), 1.0, 1e-12);
  }
}

TEST_F(TrainerTest, TakesTwoOtherBatchesForMethodsThatWantThem) {
  const std::vector<std::string> sdmgrad = {
      "balance.method=sdmgrad", "engine.diagnose_every=0", "train.epochs=1"};
  run("six", sdmgrad);
  auto large = sdmgrad;
  large.push_back("train.batch_size=48");
  run("two", large);
  // The step's own gradients are formed only where there are too few other batches.
  for (const Json& line : read_lines(folder_ / "six/metrics.jsonl")) {
    EXPECT_FALSE(line.contains("grad_norms")) << line;
  }
  for (const Json& line : read_lines(folder_ / "two/metrics.jsonl")) {
    if (line["type"] != "step") continue;
    EXPECT_TRUE(line.contains("grad_norms")) << line;
  }
}

TEST_F(TrainerTest, EstimatesTheGramMatrixFromAShareOfTheRows) {
  run("run",
      {"engine.gram_rows=0.5",
       "engine.diagnose_every=3",
       "engine.estimate_floor=-1",
       "train.epochs=1"});
  std::size_t measured = 0;
  std::size_t estimated = 0;
  for (const Json& line : read_lines(folder_ / "run/metrics.jsonl")) {
    if (line["type"] != "step") continue;
    const bool due = (line["step"].get<int>() - 1) % 3 == 0;
    EXPECT_EQ(line.contains("grad_norms"), due) << line;
    EXPECT_EQ(line.contains("estimate_cosine"), due) << line;
    EXPECT_EQ(line.contains("estimated"), !due) << line;
    measured += due ? 1 : 0;
    estimated += due ? 0 : 1;
  }
  EXPECT_EQ(measured, 2U);
  EXPECT_EQ(estimated, 4U);
}

TEST_F(TrainerTest, AnEstimateFromNearlyAllRowsIsExact) {
  // 0.99 of 16 rows are 16; without chance in the model both passes are the same.
  run("run",
      {"engine.gram_rows=0.99",
       "model.dropout=0",
       "model.embedding_dropout=0",
       "model.token_dropout=0",
       "model.symmetric=false",
       "train.epochs=1"});
  for (const Json& line : read_lines(folder_ / "run/metrics.jsonl")) {
    if (line["type"] != "step") continue;
    EXPECT_NEAR(line["estimate_cosine"].get<double>(), 1.0, 1e-5);
  }
}

TEST_F(TrainerTest, ShowsANoticeOfTheEngineOnceAndLogsIt) {
  std::ostringstream log;
  train(recipe({"engine.strategy=segmented", "train.epochs=1"}),
        {folder_ / "run", ExistingRun::kRefuse, Progress::Style::kLines},
        log);
  const std::string shown = log.str();
  const std::size_t at = shown.find("notice: Strategy segmented is not possible here");
  ASSERT_NE(at, std::string::npos) << shown;
  EXPECT_EQ(shown.find("notice:", at + 1), std::string::npos) << shown;
  const auto lines = read_lines(folder_ / "run/metrics.jsonl");
  EXPECT_THAT(lines.front()["notice"].get<std::string>(), HasSubstr("segmented"));
  EXPECT_EQ(
      std::count_if(
          lines.begin(), lines.end(), [](const Json& line) { return line.contains("notice"); }),
      1);
}

TEST_F(TrainerTest, ResumingAFinishedRunChangesNothing) {
  const TrainOutcome first = run("run");
  const std::string model = read_file(first.run.model());
  const TrainOutcome second = run("run", {}, ExistingRun::kResume);
  EXPECT_EQ(second.summary["steps"], first.summary["steps"]);
  EXPECT_EQ(read_file(first.run.model()), model);
}

TEST_F(TrainerTest, GoesOnWhereTheSelectedMetricIsUndefined) {
  // Of equal targets there is no correlation.
  std::string text = "sentence1\tsentence2\tscore\tsame\n";
  for (int i = 0; i < 12; ++i) text += "붉은 산이\t푸른 산이\t3\t" + std::to_string(i % 2) + "\n";
  write_file_atomic(folder_ / "dev.tsv", text);
  run("whole");
  std::ostringstream log;
  struct StopsAfterSeven : RunObserver {
    void on_step(const report::StepRecord& record) override { step = record.step; }
    bool stop() override { return step == 7; }
    std::int64_t step = 0;
  };
  TrainOptions options{folder_ / "parted", ExistingRun::kRefuse, Progress::Style::kLines};
  options.observers = {std::make_shared<StopsAfterSeven>()};
  train(recipe(), options, log);
  const TrainOutcome resumed = run("parted", {}, ExistingRun::kResume);
  EXPECT_EQ(timeless(read_lines(folder_ / "whole/metrics.jsonl")),
            timeless(read_lines(folder_ / "parted/metrics.jsonl")));
  EXPECT_EQ(resumed.summary["best_epoch"], 1);
  EXPECT_TRUE(resumed.summary["tasks"]["score"]["pearson"].is_null());
  EXPECT_THAT(log.str(), HasSubstr("score.pearson chooses the epoch"));
}

TEST(RunState, TakesTheFirstEpochThenWhatIsDefinedThenWhatIsBetter) {
  const double undefined = std::nan("");
  RunState state;
  EXPECT_TRUE(state.is_best(undefined));
  state.best_epoch = 1;
  state = RunState::from_json(Json::parse(state.to_json().dump()));
  EXPECT_TRUE(std::isnan(state.best_value));
  EXPECT_FALSE(state.is_best(undefined));
  EXPECT_TRUE(state.is_best(-5));
  state.best_value = -5;
  state = RunState::from_json(Json::parse(state.to_json().dump()));
  EXPECT_FALSE(state.is_best(undefined));
  EXPECT_FALSE(state.is_best(-5));
  EXPECT_TRUE(state.is_best(-4));
}

TEST_F(TrainerTest, KeepsTheEpochWithTheLowestError) {
  const TrainOutcome outcome = run("run", {"train.select=score.mae", "train.epochs=5"});
  double lowest = HUGE_VAL;
  std::int64_t best = 0;
  for (const Json& line : read_lines(outcome.run.metrics())) {
    if (line["type"] != "epoch") continue;
    const double mae = line["dev"]["score"]["mae"].get<double>();
    EXPECT_EQ(line["best"].get<bool>(), mae < lowest);
    if (mae < lowest) best = line["epoch"].get<std::int64_t>();
    lowest = std::min(lowest, mae);
  }
  EXPECT_EQ(outcome.summary["best_epoch"], best);
  EXPECT_EQ(outcome.summary["tasks"]["score"]["mae"], lowest);
}

TEST_F(TrainerTest, RefusesToResumeWithAnotherRecipe) {
  run("run");
  const Error error = error_of([&] { run("run", {"optimizer.lr=0.5"}, ExistingRun::kResume); });
  EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(error.what(), HasSubstr("optimizer.lr: 0.01 -> 0.5"));
}

TEST_F(TrainerTest, NamesTaskAndStepOfALossThatOverflows) {
  write_file_atomic(
      folder_ / "train.tsv",
      "sentence1\tsentence2\tscore\tsame\n붉은\t푸른\t1e30\t1\n산이\t높다\t-1e30\t0\n");
  const Error error = error_of([&] { run("run", {"tasks.score.loss={name: mse}"}); });
  EXPECT_EQ(error.code(), ErrorCode::kNumeric);
  EXPECT_THAT(error.what(), HasSubstr("step 1"));
  EXPECT_THAT(error.what(), HasSubstr("'score'"));
}

TEST_F(TrainerTest, MasksMissingTargetsAndSkipsATaskThatHasNone) {
  // Only the first rows have a score, so later batches of a small size lack the task.
  std::string text = "sentence1\tsentence2\tscore\tsame\n";
  for (int i = 0; i < 24; ++i) {
    text += "붉은 산이\t푸른 산이\t" + std::string(i < 4 ? std::to_string(i) : "") + "\t" +
            std::to_string(i % 2) + "\n";
  }
  write_file_atomic(folder_ / "train.tsv", text);
  run("run", {"train.batch_size=4", "train.min_batch=1"});
  std::size_t absent = 0;
  for (const Json& line : read_lines(folder_ / "run/metrics.jsonl")) {
    if (line["type"] != "step" || !line["losses"]["score"].is_null()) continue;
    ++absent;
    EXPECT_EQ(line["weights"]["score"], 0.0);
    EXPECT_TRUE(line["losses"]["same"].is_number());
  }
  EXPECT_GT(absent, 0U);
}

TEST_F(TrainerTest, TrainsOneTaskAlone) {
  const TrainOutcome outcome = run("run", {"train.tasks=[same]"});
  EXPECT_FALSE(outcome.summary["tasks"].contains("score"));
  EXPECT_TRUE(outcome.summary["tasks"]["same"]["f1"].is_number());
  EXPECT_EQ(outcome.summary["conflict_share"], 0.0);
  EXPECT_TRUE(outcome.summary["mean_cosine"].is_null());
}

TEST_F(TrainerTest, ADataErrorLeavesNothingBehind) {
  write_file_atomic(folder_ / "dev.tsv", "sentence1\tsentence2\tscore\n가\t나\t1\n");
  const Error error = error_of([&] { run("run"); });
  EXPECT_EQ(error.code(), ErrorCode::kData);
  EXPECT_THAT(error.what(), HasSubstr("same"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "run"));
}

TEST_F(TrainerTest, ForceWithBrokenDataKeepsTheEarlierRun) {
  const TrainOutcome outcome = run("run");
  const std::string summary = read_file(outcome.run.summary());
  write_file_atomic(folder_ / "train.tsv", "sentence1\tsentence2\tscore\tsame\n");
  error_of([&] { run("run", {}, ExistingRun::kForce); });
  EXPECT_EQ(read_file(outcome.run.summary()), summary);
}

// The limit on file sizes makes write() fail as a full disk does.
TEST_F(TrainerTest, AFullDiskIsAnErrorAndTheRunGoesOnAfterwards) {
  run("whole");
  rlimit old{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old), 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  const Error error = error_of([&] {
    run_with_trigger("run", "epoch 1/3 in", [&] {
      const auto size = std::filesystem::file_size(folder_ / "run/metrics.jsonl");
      const rlimit small{size + 100, old.rlim_max};
      setrlimit(RLIMIT_FSIZE, &small);
    });
  });
  setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_EQ(error.code(), ErrorCode::kIo);
  const TrainOutcome resumed = run("run", {}, ExistingRun::kResume);
  EXPECT_EQ(resumed.summary["status"], "finished");
  EXPECT_EQ(timeless(read_lines(folder_ / "whole/metrics.jsonl")),
            timeless(read_lines(folder_ / "run/metrics.jsonl")));
}

TEST_F(TrainerTest, TrainsInFloat64AndAsCrossEncoder) {
  EXPECT_EQ(run("double", {"precision=float64"}).summary["status"], "finished");
  EXPECT_EQ(run("cross", {"model.mode=cross"}).summary["status"], "finished");
}

TEST_F(TrainerTest, UsesLexicalFeaturesAndCorpusEmbeddings) {
  const TrainOutcome outcome = run("run",
                                   {"model.lexical_features=true",
                                    "model.embedding_init=ppmi",
                                    "model.pooling=idf",
                                    "model.alignment=both",
                                    "tokenizer.kind=syllable_pairs"});
  EXPECT_GT(outcome.summary["tasks"]["score"]["pearson"].get<double>(), 0.8);
  load_run(outcome.run.root, {});
}

}  // namespace
}  // namespace detente::train

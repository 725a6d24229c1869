// SPDX-License-Identifier: Apache-2.0
#include <detente/core/file.h>
#include <detente/core/nan.h>
#include <detente/study/study_figures.h>
#include <detente/study/study_page.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/temp_dir.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

namespace detente::study {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

const StudyTask kA{"a", {{"r2", true}}};
const StudyTask kB{"b", {{"mae", false}}};

Variant variant(const std::string& method, const std::string& task = "") {
  Variant one;
  one.method = method;
  one.task = task;
  one.folder = task.empty() ? method : "single-" + task;
  return one;
}

// Means of a (r2) and b (mae) by method, one seed.
Analysis analysis_of(const std::vector<std::tuple<std::string, double, double>>& methods) {
  std::vector<Variant> variants;
  std::vector<std::size_t> chosen;
  std::vector<RunResult> results;
  for (const auto& [method, a, b] : methods) {
    chosen.push_back(variants.size());
    RunResult result;
    result.variant = variants.size();
    result.dev = {{"a", {{"r2", a}}}, {"b", {{"mae", b}}}};
    results.push_back(result);
    variants.push_back(variant(method));
  }
  const std::vector<StudyTask> tasks = {kA, kB};
  const std::vector<std::int64_t> seeds = {0};
  return analyse(variants, chosen, tasks, seeds, results);
}

TEST(Undominated, KnowsWhichWayIsBetter) {
  // Higher a and lower b are better.
  const Analysis analysis = analysis_of(
      {{"ew", 0.5, 1.0}, {"worse", 0.4, 1.1}, {"a_best", 0.9, 2.0}, {"b_best", 0.1, 0.2}});
  EXPECT_THAT(undominated(analysis, kA, kB), UnorderedElementsAre("ew", "a_best", "b_best"));
}

TEST(Undominated, KeepsEqualsAndLeavesOutWhatHasNoValue) {
  EXPECT_THAT(
      undominated(analysis_of({{"ew", 0.5, 1.0}, {"same", 0.5, 1.0}, {"lost", kNan, 0.1}}), kA, kB),
      UnorderedElementsAre("ew", "same"));
  EXPECT_THAT(undominated(analysis_of({{"ew", 0.5, 1.0}, {"tie", 0.5, 0.9}}), kA, kB),
              UnorderedElementsAre("tie"));
  EXPECT_THAT(undominated(analysis_of({{"ew", kNan, kNan}}), kA, kB), IsEmpty());
}

TEST(TradeOffs, ChooseThePairsWithMostToChooseFrom) {
  const Analysis analysis = analysis_of({{"ew", 0.5, 1.0}, {"other", 0.9, 2.0}});
  const std::vector<StudyTask> tasks = {kA, kA, kB};
  using Pairs = std::vector<std::pair<std::size_t, std::size_t>>;
  EXPECT_EQ(trade_offs(analysis, tasks, 9), (Pairs{{0, 1}, {0, 2}, {1, 2}}));
  EXPECT_EQ(trade_offs(analysis, tasks, 1), (Pairs{{0, 2}}));
  EXPECT_THAT(trade_offs(analysis, {}, 9), IsEmpty());
}

TEST(ChangeMap, IsPositiveWhereAMethodIsBetter) {
  const std::vector<StudyTask> tasks = {kA, kB};
  const auto map = change_map(analysis_of({{"ew", 0.5, 1.0}, {"m", 0.6, 1.5}}), tasks);
  ASSERT_TRUE(map);
  EXPECT_THAT(map->rows, ElementsAre("ew", "m"));
  EXPECT_EQ(map->at(0, 0), 0);
  EXPECT_NEAR(map->at(1, 0), 20, 1e-9);
  EXPECT_NEAR(map->at(1, 1), -50, 1e-9);
  EXPECT_FALSE(change_map(analysis_of({{"ew", kNan, kNan}}), tasks));
  EXPECT_FALSE(change_map(analysis_of({{"ew", 1, 1}}), std::span(tasks).first(1)));
  // From zero no percentage is defined.
  EXPECT_TRUE(
      std::isnan(change_map(analysis_of({{"ew", 0.0, 1.0}, {"m", 0.6, 1.5}}), tasks)->at(1, 0)));
}

// Three seeds: the change of a over the reference by seed.
report::HeatMap changes_of(const std::vector<double>& by_seed) {
  const std::vector<Variant> variants = {variant("ew"), variant("m")};
  std::vector<RunResult> results;
  std::vector<std::int64_t> seeds;
  for (std::size_t i = 0; i < by_seed.size(); ++i) {
    seeds.push_back(static_cast<std::int64_t>(i));
    for (std::size_t v = 0; v < 2; ++v) {
      RunResult result;
      result.variant = v;
      result.seed = seeds.back();
      result.dev = {{"a", {{"r2", 1 + (v == 1 ? by_seed[i] : 0)}}}, {"b", {{"mae", 1.0}}}};
      results.push_back(result);
    }
  }
  const std::vector<StudyTask> tasks = {kA, kB};
  const auto analysis = analyse(variants, std::vector<std::size_t>{0, 1}, tasks, seeds, results);
  return *change_map(analysis, tasks);
}

TEST(ChangeMap, ColoursOnlyWhatIsToldApart) {
  using ::testing::EndsWith;
  // A large mean within a larger spread has no colour, a small one beyond its spread has one.
  const auto wide = changes_of({0.6, -0.3, 0.1});
  EXPECT_NEAR(wide.at(1, 0), 100 * 0.4 / 3, 1e-9);
  EXPECT_EQ(wide.shade(2), 0);
  EXPECT_THAT(wide.words[2], EndsWith("not told apart from 0"));
  const auto narrow = changes_of({0.2, 0.21, 0.19});
  // t_2(0.975) * 0.01 / sqrt(3) = 2.484 %.
  EXPECT_NEAR(narrow.shade(2), 20 - 2.484, 1e-3);
  EXPECT_EQ(narrow.words[2], "20.0 ± 2.5");
  // With one seed there is no interval to go by.
  EXPECT_NEAR(changes_of({0.2}).shade(2), 20, 1e-9);
}

TEST(ChangeMap, WhatIsNearlyNothingIsPale) {
  const auto map = changes_of({0.0003, 0.0003, 0.0003});
  report::HeatFrame frame;
  draw_heat_map(map, 460, &frame);
  EXPECT_EQ(frame.high, 1);
  EXPECT_EQ(report::heat_level(map.shade(2), frame.low, frame.high), report::kHeatLevels / 2);
}

TEST(TradeOffFigure, NamesOfManyNearMethodsDoNotOverlap) {
  // In a heap; the name of each begins with its number, so that it is found in the picture.
  std::vector<std::tuple<std::string, double, double>> methods;
  for (int i = 0; i < 18; ++i) {
    methods.emplace_back(
        std::to_string(i) + "_a_method", 0.7 + 0.0007 * (i * 7 % 18), 1 + 0.0008 * (i * 5 % 18));
  }
  methods.emplace_back("far", 0.5, 1.4);
  const Figure figure = trade_off_figure(analysis_of(methods), kA, kB);
  EXPECT_THAT(figure.unnamed, IsEmpty());
  struct Box {
    std::string name;
    report::Rect at;
  };
  std::vector<Box> boxes;
  for (const auto& item : figure.canvas.primitives()) {
    const auto* text = std::get_if<report::Text>(&item);
    if (text == nullptr || text->text.find("_a_method") == std::string::npos) continue;
    EXPECT_EQ(text->style.anchor, report::Anchor::kStart);
    const double width = report::text_width(text->text, text->style.size);
    boxes.push_back({text->text, {text->at.x, text->at.y - 10, width, 12}});
  }
  EXPECT_EQ(boxes.size(), 18U);
  for (std::size_t i = 0; i < boxes.size(); ++i) {
    const report::Rect& a = boxes[i].at;
    for (std::size_t j = i + 1; j < boxes.size(); ++j) {
      const report::Rect& b = boxes[j].at;
      EXPECT_FALSE(a.x < b.right() && b.x < a.right() && a.y < b.bottom() && b.y < a.bottom())
          << boxes[i].name << " over " << boxes[j].name;
    }
    for (const auto& mark : figure.marks) {
      EXPECT_FALSE(mark.at.x > a.x && mark.at.x < a.right() && mark.at.y > a.y &&
                   mark.at.y < a.bottom())
          << boxes[i].name << " over the point of " << mark.name;
    }
  }
}

TEST(Figures, SayTheirValuesInWords) {
  const Analysis analysis = analysis_of({{"ew", 0.5, 1.0}, {"worse", 0.4, 1.25}});
  const Figure points = trade_off_figure(analysis, kA, kB);
  ASSERT_EQ(points.marks.size(), 2U);
  EXPECT_EQ(points.marks[0].name, "ew");
  EXPECT_EQ(points.marks[0].text, "a 0.5; b 1");
  EXPECT_EQ(points.marks[1].name, "worse (dominated)");
  // Further right in a, and higher up where mae is greater.
  EXPECT_GT(points.marks[0].at.x, points.marks[1].at.x);
  EXPECT_GT(points.marks[0].at.y, points.marks[1].at.y);

  const Figure intervals = interval_figure(analysis, kA);
  ASSERT_EQ(intervals.marks.size(), 2U);
  EXPECT_EQ(intervals.marks[1].text, "0.4; runs: 0.4");
  const std::vector<Cost> costs = {{"ew", 2.0}, {"worse", 4.0}, {"lost", kNan}};
  const Figure bars = cost_figure(analysis, costs, "ms");
  ASSERT_EQ(bars.marks.size(), 2U);
  EXPECT_EQ(bars.marks[1].text, "4 ms");
}

TEST(Figures, AreSoundForAnyNumbers) {
  for (const double value : {0.0, kNan, -1e300, 1e300, 1e-300, 5.0}) {
    for (const double other : {value, 5.0, -value}) {
      const Analysis analysis = analysis_of({{"ew", value, other}, {"m", other, value}});
      const std::vector<Cost> costs = {{"ew", value}, {"m", other}};
      for (const Figure& figure : {interval_figure(analysis, kA),
                                   trade_off_figure(analysis, kA, kB),
                                   cost_figure(analysis, costs, "ms")}) {
        const std::string svg = report::to_svg(figure.canvas);
        EXPECT_THAT(svg, Not(HasSubstr("nan"))) << value << " " << other;
        EXPECT_THAT(svg, Not(HasSubstr("\"inf"))) << value << " " << other;
        EXPECT_THAT(svg, Not(HasSubstr("-inf"))) << value << " " << other;
      }
    }
  }
}

TEST(LearningSeries, IsTheMeanWithTheRangeOfTheSeeds) {
  std::vector<report::RunData> runs(3);
  for (int seed = 0; seed < 3; ++seed) {
    // The last run ended after its first epoch.
    for (int epoch = 1; epoch <= (seed == 2 ? 1 : 2); ++epoch) {
      report::EpochRecord record;
      record.epoch = epoch;
      record.dev = {{"a", {{"r2", epoch + 0.1 * seed}}}};
      runs[static_cast<std::size_t>(seed)].epochs.push_back(record);
    }
  }
  const auto series = learning_series(runs, "a", "r2", "ew", report::line_color(0));
  EXPECT_THAT(series.x, ElementsAre(1, 2));
  EXPECT_THAT(series.y,
              ElementsAre(::testing::DoubleNear(1.1, 1e-12), ::testing::DoubleNear(2.05, 1e-12)));
  EXPECT_THAT(series.low, ElementsAre(1, 2));
  EXPECT_THAT(series.high, ElementsAre(1.2, 2.1));
  EXPECT_TRUE(learning_series(std::span(runs).first(1), "a", "r2", "ew", {}).low.empty());
  EXPECT_TRUE(learning_series(runs, "b", "r2", "ew", {}).x.empty());
}

class StudyPageTest : public ::testing::Test {
 protected:
  void add_run(const std::string& folder, int seed, const std::string& summary) {
    const fs::path run = folder_.path() / "runs" / folder / ("seed-" + std::to_string(seed));
    fs::create_directories(run);
    write_file_atomic(run / "metrics.jsonl",
                      "{\"type\":\"step\",\"step\":1,\"loss\":1}\nnot json\n"
                      "{\"type\":\"epoch\",\"epoch\":1,\"step\":1,\"dev\":{\"a\":{\"r2\":0.5}}}\n");
    write_file_atomic(run / "summary.json", summary);
  }

  std::string page(const std::vector<Variant>& variants, const std::vector<RunResult>& results) {
    const std::vector<StudyTask> tasks = {kA, kB};
    const auto chosen = chosen_variants(variants, tasks, results);
    const auto analysis = analyse(variants, chosen, tasks, seeds_, results);
    return study_page({"t", "detente compare", "seed: 0", test_rows_},
                      analysis,
                      variants,
                      chosen,
                      tasks,
                      seeds_,
                      runs_in(folder_.path()));
  }

  test::TempDir folder_;
  std::vector<std::int64_t> seeds_ = {0, 1};
  bool test_rows_ = false;
};

TEST_F(StudyPageTest, SaysWhatRanWhereAndWhatItCost) {
  add_run("ew", 0, R"({"processor":"one","train_rows":1200,"peak_memory_mib":100})");
  add_run("ew", 1, R"({"processor":"two","train_rows":1200,"peak_memory_mib":200})");
  RunResult first;
  first.dev = {{"a", {{"r2", 0.5}}}, {"b", {{"mae", 1.0}}}};
  first.ms_per_step = 2.5;
  RunResult second = first;
  second.seed = 1;
  const std::string html = page({variant("ew")}, {first, second});
  EXPECT_THAT(html, HasSubstr("Training rows (1,200)"));
  EXPECT_THAT(html, HasSubstr("one; two"));
  EXPECT_THAT(html, HasSubstr("Runs differ in: processor."));
  EXPECT_THAT(html, HasSubstr("150 MiB"));
  EXPECT_THAT(html, HasSubstr("2.5 ms"));
  EXPECT_THAT(html, HasSubstr("all of them are a little too good"));
  // What of a log could not be read is never dropped in silence.
  EXPECT_THAT(html, HasSubstr("ew, seed 1: line 2 of metrics.jsonl could not be read"));
}

TEST_F(StudyPageTest, CountsTheSettingsThatValidationChoseFrom) {
  Variant low = variant("ew");
  low.setting = "optimizer.lr=1";
  Variant high = variant("ew");
  high.setting = "optimizer.lr=2";
  high.folder = "ew-2";
  RunResult result;
  result.dev = {{"a", {{"r2", 0.5}}}, {"b", {{"mae", 1.0}}}};
  result.test = result.dev;
  RunResult better = result;
  better.variant = 1;
  better.dev[0].second[0].second = 0.75;
  const std::string html = page({low, high}, {result, better});
  EXPECT_THAT(html, HasSubstr("one of up to 2 settings"));
  EXPECT_THAT(html, HasSubstr("optimizer.lr=2"));
  EXPECT_THAT(html, HasSubstr("measured on test rows"));
}

TEST_F(StudyPageTest, SaysThatTestRowsAreMeasuredInTheEnd) {
  EXPECT_THAT(page({variant("ew")}, {}), HasSubstr("there are none: data.split.test"));
  test_rows_ = true;
  EXPECT_THAT(page({variant("ew")}, {}), HasSubstr("measured when all has been trained"));
}

TEST_F(StudyPageTest, NeedsNoRun) {
  const std::string html = page({variant("ew"), variant("uw"), variant("single", "a")}, {});
  EXPECT_THAT(html, HasSubstr("Which data decided what"));
  EXPECT_THAT(html, HasSubstr("no data"));
  EXPECT_THAT(html, Not(HasSubstr("Trade-offs")));
}

}  // namespace
}  // namespace detente::study

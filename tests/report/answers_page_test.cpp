// SPDX-License-Identifier: Apache-2.0
// The part of a run's page that shows what the model answered.
#include <detente/core/error.h>
#include <detente/core/nan.h>
#include <detente/report/answer_charts.h>
#include <detente/report/answer_pictures.h>
#include <detente/report/answer_summary.h>
#include <detente/report/html_report.h>
#include <detente/report/run_data.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/temp_dir.h>

#include <cmath>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

namespace detente::report {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using List = std::vector<double>;

constexpr const char* kSummary = R"({"name": "demo", "tasks": {"a": {"accuracy": 0.5}}})";

TaskAnswers binary_task(const std::string& name, const List& predictions, const List& targets) {
  metrics::Answers answers;
  answers.predictions = predictions;
  answers.targets = targets;
  return summarize(name, TaskKind::kBinary, answers, {});
}

TaskAnswers number_task(const std::string& name, const List& predictions, const List& targets) {
  metrics::Answers answers;
  answers.predictions = predictions;
  answers.targets = targets;
  return summarize(name, TaskKind::kRegression, answers, {});
}

RunAnswers answers_of(std::vector<TaskAnswers> tasks) {
  RunAnswers run;
  run.epoch = 2;
  run.rows = 4;
  run.all_tasks = tasks.size();
  run.tasks = std::move(tasks);
  return run;
}

std::string page_of(const RunAnswers& answers) {
  return html_report(parse_run("demo", kSummary, "", "", RunParts::kAll, answers_text(answers)));
}

TEST(AnswersPage, ShowsMatrixReliabilityAndScatter) {
  const std::string html =
      page_of(answers_of({binary_task("won", {0.9, 0.2, 0.7, 0.1}, {1, 0, 0, 0}),
                          number_task("price", {1, 2, 3.5, 4}, {1, 2, 3, 4})}));
  EXPECT_THAT(html,
              AllOf(HasSubstr("What the model answered"),
                    HasSubstr("Of the 4 validation rows, at epoch 2"),
                    HasSubstr("won: confusion matrix"),
                    HasSubstr("3 of 4 rows are right (75\u00A0%)"),
                    HasSubstr("2 · 67 %"),
                    HasSubstr("Expected calibration error"),
                    HasSubstr("price: predicted against true"),
                    HasSubstr("Residuals, predicted − true")));
  EXPECT_THAT(html, Not(HasSubstr("nan")));
}

TEST(AnswersPage, IsAbsentWithoutTheFile) {
  const std::string html = html_report(parse_run("demo", kSummary, "", ""));
  EXPECT_THAT(html,
              AllOf(Not(HasSubstr("What the model answered")), Not(HasSubstr("answers.json"))));
}

TEST(AnswersPage, DamageIsTold) {
  for (const char* text : {"{", "[]", "null", "{\"format\": \"detente-answers-9\"}", "\xff\xfe"}) {
    const RunData run = parse_run("demo", kSummary, "", "", RunParts::kAll, text);
    EXPECT_THAT(
        html_report(run),
        AllOf(HasSubstr("answers.json is damaged"), Not(HasSubstr("What the model answered"))));
  }
}

TEST(AnswersPage, IsReadFromTheFolder) {
  const test::TempDir dir;
  dir.write("summary.json", kSummary);
  EXPECT_FALSE(read_run(dir.path()).answers);
  dir.write("answers.json", answers_text(answers_of({binary_task("won", {0.9, 0.2}, {1, 0})})));
  EXPECT_TRUE(read_run(dir.path()).answers);
  EXPECT_TRUE(read_run(dir.path()).warnings().empty());
  dir.write("answers.json", "");
  EXPECT_EQ(read_run(dir.path()).warnings().size(), 1U);
  std::filesystem::resize_file(dir.file("answers.json"), 40U << 20U);
  EXPECT_EQ(read_run(dir.path()).warnings().size(), 1U);
  std::filesystem::remove(dir.file("answers.json"));
  std::filesystem::create_directory(dir.file("answers.json"));
  EXPECT_EQ(read_run(dir.path()).warnings().size(), 1U);
}

// Alone it is no run's folder.
TEST(AnswersPage, AnswersAloneAreNoRun) {
  const test::TempDir dir;
  dir.write("answers.json", answers_text(answers_of({})));
  EXPECT_THROW(read_run(dir.path()), Error);
}

TEST(AnswersPage, EscapesNames) {
  metrics::Answers answers;
  const List predictions = {0, 1};
  const List targets = {0, 0};
  const List confidence = {0.5, 0.75};
  answers.predictions = predictions;
  answers.targets = targets;
  answers.confidence = confidence;
  answers.classes = 2;
  const std::string evil = "</script><b a=\"'";
  const std::string html =
      page_of(answers_of({summarize(evil, TaskKind::kClasses, answers, {evil, "강아지 & כלב"})}));
  EXPECT_THAT(html,
              AllOf(Not(HasSubstr("<b a=")),
                    HasSubstr("&lt;/script&gt;&lt;b a=&quot;"),
                    HasSubstr("강아지 &amp; כלב")));
}

TEST(AnswersPage, SurvivesTheEndsOfEverything) {
  const double huge = std::numeric_limits<double>::max();
  const std::string html = page_of(answers_of({binary_task("none", {0.5, 0.5}, {kNan, kNan}),
                                               binary_task("odd", {kNan, 0.5}, {1, 0}),
                                               binary_task("one", {1}, {1}),
                                               number_task("single", {2}, {3}),
                                               number_task("constant", {2, 2, 2}, {2, 2, 2}),
                                               number_task("huge", {huge, -huge}, {-huge, huge}),
                                               number_task("tiny", {1e-300, 0}, {0, 1e-310}),
                                               number_task("empty", {}, {})}));
  EXPECT_THAT(html,
              AllOf(HasSubstr("none: no row has a target."),
                    HasSubstr("odd: 1 of 2 answers are NaN or infinite and are left out."),
                    HasSubstr("single: predicted against true"),
                    HasSubstr("empty: no row has a target.")));
  for (const char* broken : {"\"nan", "nan\"", ",nan", "inf,", "\"inf"}) {
    EXPECT_THAT(html, Not(HasSubstr(broken)));
  }
}

TEST(AnswersPage, ShowsPicturesAndTheirColors) {
  RunAnswers run = answers_of({});
  run.tasks.resize(2);
  run.tasks[0].task = "things";
  run.tasks[0].kind = TaskKind::kSegmentation;
  run.tasks[0].rows = 1;
  run.tasks[1].task = "far";
  run.tasks[1].kind = TaskKind::kDepth;
  run.tasks[1].rows = 1;
  run.all_tasks = 2;
  const std::vector<ShownInput> inputs = {{12, {1, 2, {1, 2, 3, 4, 5, 6}}}};
  add_pictures(run,
               inputs,
               std::vector<MapExamples>{{0, 1, 2, {{{0, 1}, {1, 1}}}, {"sky", "<tree>"}},
                                        {1, 1, 2, {{{0.5, 2}, {1, 1}}}, {}}});
  const std::string html = page_of(run);
  EXPECT_THAT(html,
              AllOf(HasSubstr("alt=\"row 12: things, predicted\""),
                    HasSubstr("src=\"data:image/png;base64,iVBOR"),
                    HasSubstr("&lt;tree&gt;"),
                    HasSubstr("</em>≤ 0.5</span>"),
                    HasSubstr("nothing known there")));
}

// Answers that lie on slides: classes and numbers, over a picture, by the slide's name.
TEST(AnswersPage, ShowsSlidesByTheirNames) {
  RunAnswers run = answers_of({});
  run.tasks.resize(2);
  run.tasks[0].task = "tissue";
  run.tasks[0].kind = TaskKind::kClasses;
  run.tasks[1].task = "blur";
  run.tasks[1].kind = TaskKind::kRegression;
  run.all_tasks = 2;
  const Pixels under{1, 2, {10, 20, 30, 200, 100, 50}};
  const std::vector<ShownInput> inputs = {{12, under, "<b>.svs"}};
  MapExample seen{{0, kNan}, {kNan, kNan}, {}};
  seen.under = under;
  MapExample numbers{{0.5, 2}, {1, 1}, {}};
  numbers.under = under;
  add_pictures(
      run,
      inputs,
      std::vector<MapExamples>{{0, 1, 2, {seen}, {"fat", "gland"}}, {1, 1, 2, {numbers}, {}}});
  const std::string html = page_of(run);
  EXPECT_THAT(html,
              AllOf(HasSubstr("&lt;b&gt;.svs: tissue, predicted"),
                    HasSubstr("fat"),
                    HasSubstr("</em>≤ 0.5</span>"),
                    Not(HasSubstr("row 12")),
                    Not(HasSubstr("nothing known there"))));
  // Nothing known: the slide as it is. Something: half of its colour.
  EXPECT_EQ(run.tasks[0].maps->pairs[0].answer, base64(png_bytes(under)));
  const Color tint = class_color(0);
  Pixels half = under;
  half.rgb[0] = static_cast<std::uint8_t>((10 + tint.r + 1) / 2);
  half.rgb[1] = static_cast<std::uint8_t>((20 + tint.g + 1) / 2);
  half.rgb[2] = static_cast<std::uint8_t>((30 + tint.b + 1) / 2);
  EXPECT_EQ(run.tasks[0].maps->pairs[0].truth, base64(png_bytes(half)));
  const auto read = parse_answers(answers_text(run));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->examples[0].name, "<b>.svs");
}

TEST(AnswersPage, OfOtherRowsIsAPageOfItsOwn) {
  const std::string html = answers_page("demo <1>",
                                        "test \"rows\"",
                                        {{"won", {{"accuracy", 0.75}, {"f1", kNan}}}},
                                        answers_of({binary_task("won", {0.9, 0.2}, {1, 0})}));
  EXPECT_THAT(html,
              AllOf(HasSubstr("<h1>demo &lt;1&gt;</h1>"),
                    HasSubstr("test &quot;rows&quot;"),
                    HasSubstr("0.7500"),
                    HasSubstr("won: confusion matrix"),
                    Not(HasSubstr("at epoch"))));
}

TEST(AnswersPage, ManyTasksMakeAPageOfBoundedSize) {
  List predictions;
  List targets;
  for (int i = 0; i < 2000; ++i) {
    predictions.push_back(std::sin(i));
    targets.push_back(std::cos(1.3 * i));
  }
  metrics::Answers answers;
  answers.predictions = predictions;
  answers.targets = targets;
  std::vector<TaskAnswers> tasks;
  for (std::size_t i = 0; i < kMostAnswerTasks; ++i) {
    tasks.push_back(summarize("task" + std::to_string(i),
                              TaskKind::kRegression,
                              answers,
                              {},
                              points_of_each(kMostAnswerTasks)));
  }
  RunAnswers run = answers_of(std::move(tasks));
  run.all_tasks = 50;
  const std::string html = page_of(run);
  EXPECT_LT(html.size(), 1000000U);
  EXPECT_THAT(html, HasSubstr("The first 24 of 50 tasks."));
}

}  // namespace
}  // namespace detente::report

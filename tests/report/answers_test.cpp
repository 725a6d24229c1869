// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/nan.h>
#include <detente/core/rng.h>
#include <detente/report/answer_charts.h>
#include <detente/report/answer_pictures.h>
#include <detente/report/answers.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/report/made_answers.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace detente::report {
namespace {

using testing::ElementsAre;
using List = std::vector<double>;

TEST(ShortName, CutsBetweenLettersAndStaysUtf8) {
  EXPECT_EQ(short_name("sky"), "sky");
  std::string hangul;
  for (int i = 0; i < 60; ++i) hangul += "강";
  const std::string cut = short_name(hangul);
  EXPECT_LE(cut.size(), kMostName);
  EXPECT_TRUE(cut.ends_with("강…"));
  EXPECT_EQ(short_name("a\xff"
                       "b"),
            "a\uFFFD"
            "b");
  EXPECT_LE(short_name(std::string(1000, '\xff')).size(), kMostName);
}

RunAnswers made_answers(std::size_t points = kMostPoints) {
  RunAnswers run;
  run.epoch = 3;
  run.rows = 900;
  run.tasks.push_back(classes_of(made_classes(900, 3, 1), {"a\"<b>", "강", "c"}));
  run.tasks.push_back(
      summarize("n", TaskKind::kRegression, made_numbers(900, 3, 1).view(), {}, points));
  Made labels = made_numbers(200, 4, 3);
  for (double& target : labels.targets) target = std::isnan(target) ? kNan : target > 6 ? 1 : 0;
  run.tasks.push_back(summarize("l", TaskKind::kLabels, labels.view(), {}));
  TaskAnswers maps;
  maps.task = "depth";
  maps.kind = TaskKind::kDepth;
  run.tasks.push_back(maps);
  maps.task = "seg";
  maps.kind = TaskKind::kSegmentation;
  maps.confusion = pixel_confusion(std::vector<std::size_t>{5, 1, 0, 2}, {"sky", "tree"});
  run.tasks.push_back(maps);
  run.all_tasks = 5;
  const Pixels grey{2, 3, std::vector<std::uint8_t>(18, 99)};
  const std::vector<ShownInput> inputs = {{1, grey}, {7, {}}};
  const MapExample one{{1, 2, kNan, 4, 5, 6}, {1, 2, 3, 4, 5, 9}};
  const MapExample two{{0, 1, kNan, 0, 1, 0}, {0, 1, 1, 0, 1, 0}};
  add_pictures(run,
               inputs,
               std::vector<MapExamples>{{3, 2, 3, {one, one}, {}}, {4, 2, 3, {two, two}, {"sky"}}});
  return run;
}

TEST(AnswersFile, IsReadBackAsItWasWritten) {
  const std::string text = answers_text(made_answers());
  const auto read = parse_answers(text);
  ASSERT_TRUE(read);
  EXPECT_EQ(answers_text(*read), text);
  EXPECT_EQ(read->tasks[3].maps->low, 1);
  EXPECT_EQ(read->tasks[3].maps->high, 6);
  EXPECT_EQ(read->tasks[4].maps->classes[1].name, "1");
  EXPECT_EQ(read->examples[1].input, "");
}

TEST(AnswersFile, EveryCutIsDamage) {
  const std::string text = answers_text(made_answers());
  Rng rng(5);
  for (int i = 0; i < 200; ++i) {
    EXPECT_FALSE(parse_answers(text.substr(0, rng.below(text.size() - 1))));
  }
  EXPECT_FALSE(parse_answers(""));
  EXPECT_FALSE(parse_answers("[]"));
  EXPECT_FALSE(parse_answers("{}"));
}

// Each value of the file, one after the other, replaced by others: either damage, or numbers that a page
// can show.
TEST(AnswersFile, ChangedValuesAreDamageOrHarmless) {
  const Json whole = made_answers(8).to_json();
  const Json flat = whole.flatten();
  std::size_t damaged = 0;
  for (const auto& [path, value] : flat.items()) {
    for (const Json& other : {Json(nullptr),
                              Json(-1),
                              Json(1e300),
                              Json("\"><script>"),
                              Json(std::string(100, 'x')),
                              Json::array(),
                              Json::object()}) {
      Json changed = whole;
      changed[Json::json_pointer(path)] = other;
      const auto read = RunAnswers::from_json(changed);
      if (read) {
        EXPECT_TRUE(parse_answers(answers_text(*read))) << path;
        HtmlPage page("p");
        add_answers(page, *read);
        const std::string html = page.finish("");
        for (const char* broken : {"\"nan", "nan\"", ",nan", "inf,", "\"inf", "\"><script>"}) {
          EXPECT_EQ(html.find(broken), std::string::npos) << path << " = " << other.dump();
        }
      } else {
        ++damaged;
      }
    }
  }
  EXPECT_GT(damaged, 3 * flat.size());
}

TEST(AnswersFile, RefusesMoreThanItMayHold) {
  Json json = made_answers().to_json();
  for (std::size_t i = json["tasks"].size(); i <= kMostAnswerTasks; ++i) {
    json["tasks"].push_back(json["tasks"][0]);
  }
  EXPECT_FALSE(RunAnswers::from_json(json));
}

TEST(AnswersFile, StaysSmall) {
  RunAnswers run;
  const AnswerNames names(1000, std::string(500, 'n'));
  for (std::size_t i = 0; i < kMostAnswerTasks; ++i) {
    run.tasks.push_back(classes_of(made_classes(3000, 1000, i), names));
  }
  run.all_tasks = run.tasks.size();
  EXPECT_LT(answers_text(run).size(), 200000U);
  run.tasks.clear();
  for (std::size_t i = 0; i < kMostAnswerTasks; ++i) {
    run.tasks.push_back(summarize("t",
                                  TaskKind::kRegression,
                                  made_numbers(1000, 30, i).view(),
                                  names,
                                  points_of_each(kMostScatters * kMostAnswerTasks)));
  }
  EXPECT_LT(answers_text(run).size(), 500000U);
}

TEST(AnswerPictures, ShowsRowsThatMostTasksKnow) {
  EXPECT_THAT(shown_rows({}), ElementsAre());
  EXPECT_THAT(shown_rows({{}, {}}), ElementsAre());
  EXPECT_THAT(shown_rows({{false, false}}), ElementsAre());
  EXPECT_THAT(shown_rows({{true, true}}), ElementsAre(0, 1));
  EXPECT_THAT(shown_rows({{true, false, true, true}, {true, true, false, true}}),
              ElementsAre(0, 3));
  EXPECT_THAT(shown_rows({std::vector<bool>(60, true)}), ElementsAre(10, 30, 50));
}

// However large and many the maps are.
TEST(AnswerPictures, FitTheirBudget) {
  Rng rng(3);
  for (const std::size_t tasks : {1U, 24U}) {
    RunAnswers run;
    std::vector<MapExamples> maps;
    std::vector<ShownInput> inputs;
    const std::size_t height = 90;
    const std::size_t width = 200;
    const auto noise = [&](std::size_t size) {
      List values(size);
      for (double& value : values) value = rng.uniform() - 0.5;
      return values;
    };
    const List planes = noise(3 * height * width);
    for (std::size_t i = 0; i < tasks; ++i) {
      TaskAnswers& task = run.tasks.emplace_back();
      task.task = "n";
      task.kind = TaskKind::kNormals;
      maps.push_back({i, height, width, {}, {}});
      for (std::size_t j = 0; j < kMostExamples; ++j) maps[i].examples.push_back({planes, planes});
    }
    Pixels input{height, width, {}};
    for (std::size_t i = 0; i < 3 * height * width; ++i) {
      input.rgb.push_back(static_cast<std::uint8_t>(rng.below(256)));
    }
    for (std::size_t j = 0; j < kMostExamples; ++j) inputs.push_back({j + 1, input});
    run.all_tasks = tasks;
    add_pictures(run, inputs, maps);
    ASSERT_EQ(run.examples.size(), kMostExamples) << tasks;
    const std::string text = answers_text(run);
    EXPECT_LT(text.size(), kMostPictures + 20000) << tasks;
    EXPECT_TRUE(parse_answers(text));
  }
}

TEST(AnswerPictures, RefusesMapsOfAnotherSize) {
  RunAnswers run;
  run.tasks.resize(1);
  run.tasks[0].kind = TaskKind::kDepth;
  const std::vector<ShownInput> inputs = {{1, {}}};
  EXPECT_THROW(add_pictures(run, inputs, std::vector<MapExamples>{{0, 2, 2, {{{1}, {1}}}, {}}}),
               Error);
}

}  // namespace
}  // namespace detente::report

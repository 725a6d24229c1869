// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/nan.h>
#include <detente/core/rng.h>
#include <detente/report/answer_summary.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/report/made_answers.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace detente::report {
namespace {

using testing::ElementsAre;
using List = std::vector<double>;

TEST(AnswerSummary, ConfusionAgreesWithTheAccuracy) {
  for (const std::size_t classes : {2U, 3U, 20U, 21U, 1000U}) {
    const Made made = made_classes(3000, classes, classes);
    const TaskAnswers task = classes_of(made);
    ASSERT_TRUE(task.confusion);
    const metrics::Score accuracy = metrics::class_accuracy(made.predictions, made.targets);
    EXPECT_EQ(task.confusion->total(), accuracy.rows);
    EXPECT_EQ(task.rows, accuracy.rows);
    EXPECT_DOUBLE_EQ(
        static_cast<double>(task.confusion->right) / static_cast<double>(accuracy.rows),
        accuracy.value);
    EXPECT_EQ(task.confusion->names.size(), std::min(classes, kMostClasses));
    EXPECT_EQ(task.confusion->classes, classes);
  }
}

TEST(AnswerSummary, ConfusionCountsWhatTheDefinitionSays) {
  const Made made = made_classes(500, 5, 9);
  const TaskAnswers task = classes_of(made, {"a", "", "c"});
  EXPECT_THAT(task.confusion->names, ElementsAre("a", "1", "c", "3", "4"));
  for (std::size_t truth = 0; truth < 5; ++truth) {
    for (std::size_t answer = 0; answer < 5; ++answer) {
      std::uint64_t count = 0;
      for (std::size_t i = 0; i < made.targets.size(); ++i) {
        count += made.targets[i] == static_cast<double>(truth) &&
                 made.predictions[i] == static_cast<double>(answer);
      }
      EXPECT_EQ(task.confusion->counts[truth * 5 + answer], count);
    }
  }
}

// Of many classes those in the most mistakes have a row of their own, all else is one.
TEST(AnswerSummary, OfManyClassesTheMostConfusedAreShown) {
  Made made;
  made.classes = 1000;
  for (std::size_t i = 0; i < 1000; ++i) {  // every class once, right
    made.targets.push_back(static_cast<double>(i));
    made.predictions.push_back(static_cast<double>(i));
  }
  for (int i = 0; i < 7; ++i) {  // 700 taken for 800 seven times, 3 for 4 once
    made.targets.push_back(700);
    made.predictions.push_back(800);
  }
  made.targets.push_back(3);
  made.predictions.push_back(4);
  made.confidence.assign(made.targets.size(), 0.5);
  const ConfusionAnswers found = *classes_of(made).confusion;
  ASSERT_EQ(found.names.size(), kMostClasses);
  EXPECT_EQ(found.names.back(), "981 others");
  const auto place = [&](const std::string& name) {
    const auto at = std::find(found.names.begin(), found.names.end(), name);
    EXPECT_NE(at, found.names.end()) << name;
    return static_cast<std::size_t>(at - found.names.begin());
  };
  EXPECT_EQ(found.counts[place("700") * kMostClasses + place("800")], 7U);
  EXPECT_EQ(found.counts[place("3") * kMostClasses + place("4")], 1U);
  EXPECT_EQ(found.right, 1000U);
  EXPECT_EQ(found.counts.back(), 981U);
}

TEST(AnswerSummary, ReliabilityAgreesWithTheMetric) {
  for (const TaskKind kind : {TaskKind::kClasses, TaskKind::kOrdinal, TaskKind::kBinary}) {
    Made made = made_classes(800, 2, 4);
    if (kind == TaskKind::kBinary) made.predictions = made.confidence;
    const TaskAnswers task = summarize("t", kind, made.view(), {});
    ASSERT_TRUE(task.reliability);
    double gap = 0;
    std::uint64_t rows = 0;
    for (const auto& bin : task.reliability->bins) {
      rows += bin.rows;
      gap += static_cast<double>(bin.rows) * std::abs(bin.probability - bin.share);
    }
    EXPECT_EQ(rows, task.rows);
    const double ece = metrics::get_metric("ece", kind).compute(made.view()).value;
    EXPECT_NEAR(gap / static_cast<double>(rows), ece, 1e-12);
    EXPECT_DOUBLE_EQ(task.reliability->error, ece);
  }
}

TEST(AnswerSummary, BinaryAnswersAreThoseOfTheAccuracy) {
  Made made = made_classes(400, 2, 8);
  made.predictions = made.confidence;
  made.predictions[3] = 0.5;  // counts as 1, as it does for the metric
  const TaskAnswers task = summarize("t", TaskKind::kBinary, made.view(), {"no", "yes"});
  EXPECT_THAT(task.confusion->names, ElementsAre("no", "yes"));
  EXPECT_DOUBLE_EQ(static_cast<double>(task.confusion->right) / static_cast<double>(task.rows),
                   metrics::binary_accuracy(made.predictions, made.targets).value);
}

TEST(AnswerSummary, ResidualsAreQuantilesOfTheDifferences) {
  Made made;
  for (int i = 0; i <= 100; ++i) {
    made.targets.push_back(5);
    made.predictions.push_back(5 + (i * 37) % 101);  // residuals 0 to 100, in no order
  }
  const TaskAnswers task = summarize("t", TaskKind::kRegression, made.view(), {});
  ASSERT_EQ(task.outputs.size(), 1U);
  EXPECT_THAT(task.outputs[0].residuals, ElementsAre(0, 5, 25, 50, 75, 95, 100));
  EXPECT_NEAR(task.outputs[0].mean_residual, 50, 1e-9);
  EXPECT_TRUE(std::isnan(task.outputs[0].r2));  // constant targets
  EXPECT_EQ(task.outputs[0].points.size(), 101U);
}

TEST(AnswerSummary, PointsAreRowsFromEndToEnd) {
  const Made made = made_numbers(5000, 1, 3);
  for (const std::size_t most : {1U, 2U, 60U, 400U, 100000U}) {
    const TaskAnswers task = summarize("t", TaskKind::kRegression, made.view(), {}, most);
    const auto& points = task.outputs[0].points;
    EXPECT_EQ(points.size(), std::min<std::size_t>(most, kMostPoints));
    for (const auto& [truth, answer] : points) {
      bool found = false;
      for (std::size_t i = 0; i < made.targets.size() && !found; ++i) {
        found = made.targets[i] == truth && made.predictions[i] == answer;
      }
      EXPECT_TRUE(found);
    }
    if (most < 2) continue;
    double least = HUGE_VAL;
    double largest = -HUGE_VAL;
    for (const double target : made.targets) {
      if (std::isnan(target)) continue;
      least = std::min(least, target);
      largest = std::max(largest, target);
    }
    EXPECT_EQ(points.front().first, least);
    EXPECT_EQ(points.back().first, largest);
  }
}

TEST(AnswerSummary, OfSeveralOutputsTheWorstComeFirst) {
  Made made = made_numbers(300, 40, 6);
  for (std::size_t i = 7; i < made.targets.size(); i += 40) made.targets[i] = 1;  // no R²
  const TaskAnswers task = summarize("t", TaskKind::kRegression, made.view(), {});
  EXPECT_EQ(task.all_outputs, 40U);
  ASSERT_EQ(task.outputs.size(), kMostOutputs);
  for (std::size_t i = 1; i < task.outputs.size(); ++i) {
    EXPECT_LE(task.outputs[i - 1].r2, task.outputs[i].r2);
    EXPECT_NE(task.outputs[i].name, "7");
    EXPECT_EQ(task.outputs[i].points.empty(), i >= kMostScatters);
  }
}

TEST(AnswerSummary, LabelsAgreeWithTheMetrics) {
  Rng rng(12);
  Made made;
  made.columns = 3;
  for (int i = 0; i < 900; ++i) {
    made.targets.push_back(rng.uniform() < 0.1 ? kNan : rng.uniform() < 0.3 ? 1 : 0);
    made.predictions.push_back(rng.uniform());
  }
  const TaskAnswers task = summarize("t", TaskKind::kLabels, made.view(), {"x", "y", "z"});
  ASSERT_EQ(task.labels.size(), 3U);
  for (std::size_t c = 0; c < 3; ++c) {
    List p;
    List t;
    for (std::size_t i = c; i < made.targets.size(); i += 3) {
      p.push_back(made.predictions[i]);
      t.push_back(made.targets[i]);
    }
    const std::string name(1, static_cast<char>('x' + c));
    const auto found = std::find_if(task.labels.begin(), task.labels.end(), [&](const auto& label) {
      return label.name == name;
    });
    ASSERT_NE(found, task.labels.end());
    EXPECT_DOUBLE_EQ(found->f1(), metrics::f1(p, t).value);
    EXPECT_EQ(found->rows, metrics::f1(p, t).rows);
    EXPECT_DOUBLE_EQ(found->f1(), 2 / (1 / found->precision() + 1 / found->recall()));
  }
  EXPECT_LE(task.labels[0].f1(), task.labels[1].f1());
}

TEST(AnswerSummary, TheOrderOfRowsChangesNothing) {
  Rng rng(77);
  struct Case {
    TaskKind kind;
    Made made;
  };
  Made binary = made_classes(300, 2, 2);
  binary.predictions = binary.confidence;
  Made labels = made_numbers(200, 4, 3);
  for (double& target : labels.targets) target = std::isnan(target) ? kNan : target > 6 ? 1 : 0;
  const Case cases[] = {{TaskKind::kClasses, made_classes(900, 40, 1)},
                        {TaskKind::kOrdinal, made_classes(300, 5, 1)},
                        {TaskKind::kBinary, binary},
                        {TaskKind::kLabels, labels},
                        {TaskKind::kRegression, made_numbers(1000, 3, 4)}};
  for (const auto& [kind, made] : cases) {
    const auto text = [&, kind = kind](const Made& one) {
      RunAnswers run;
      run.tasks.push_back(summarize("t", kind, one.view(), {}));
      run.all_tasks = 1;
      return answers_text(run);
    };
    const std::string whole = text(made);
    for (int i = 0; i < 5; ++i) EXPECT_EQ(text(made.permuted(rng)), whole) << name_of(kind);
  }
}

TEST(AnswerSummary, LeavesOutWhatIsMissingOrNotFinite) {
  // No target anywhere: a task of other rows.
  for (const TaskKind kind :
       {TaskKind::kRegression, TaskKind::kBinary, TaskKind::kClasses, TaskKind::kLabels}) {
    const Made none{{0, 0}, {kNan, kNan}, {0.5, 0.5}, 1, 3};
    const TaskAnswers task = summarize("t", kind, none.view(), {});
    EXPECT_EQ(task.rows, 0U);
    EXPECT_FALSE(task.confusion);
    EXPECT_FALSE(task.reliability);
  }
  const Made nan_class{{0, 1}, {0, 1}, {kNan, 0.5}, 1, 2};
  const TaskAnswers classes = classes_of(nan_class);
  EXPECT_EQ(classes.not_finite, 1U);
  EXPECT_EQ(classes.confusion->total(), 1U);
  const Made nan_number{{kNan, HUGE_VAL, 3}, {1, 2, 3}, {}, 1, 0};
  const TaskAnswers numbers = summarize("t", TaskKind::kRegression, nan_number.view(), {});
  EXPECT_EQ(numbers.not_finite, 2U);
  EXPECT_EQ(numbers.outputs[0].rows, 1U);
  EXPECT_THAT(numbers.outputs[0].residuals, testing::Each(0.0));
  const Made nothing{{}, {}, {}, 1, 2};
  EXPECT_EQ(classes_of(nothing).rows, 0U);
}

TEST(AnswerSummary, TakesHugeNumbers) {
  constexpr double kHuge = std::numeric_limits<double>::max();
  const Made made{{-kHuge, kHuge, 0}, {kHuge, -kHuge, 0}, {}, 1, 0};
  RunAnswers run;
  run.tasks.push_back(summarize("t", TaskKind::kRegression, made.view(), {}));
  run.all_tasks = 1;
  EXPECT_TRUE(parse_answers(answers_text(run)));
}

TEST(AnswerSummary, RefusesWhatDoesNotFit) {
  const Made sizes{{0, 1}, {0}, {0.5}, 1, 2};
  EXPECT_THROW(classes_of(sizes), Error);
  const Made id{{2}, {0}, {0.5}, 1, 2};
  EXPECT_THROW(classes_of(id), Error);
  const Made good{{1}, {0}, {0.5}, 1, 2};
  EXPECT_THROW(summarize("t", TaskKind::kDepth, good.view(), {}), Error);
  EXPECT_THROW(pixel_confusion(std::vector<std::size_t>{1, 2, 3}, {}), Error);
}

TEST(AnswerSummary, PixelsAreCountedAsRowsAre) {
  const ConfusionAnswers found =
      pixel_confusion(std::vector<std::size_t>{5, 1, 0, 2}, {"sky", "tree"});
  EXPECT_THAT(found.names, ElementsAre("sky", "tree"));
  EXPECT_THAT(found.counts, ElementsAre(5, 1, 0, 2));
  EXPECT_EQ(found.right, 7U);
}

TEST(AnswerSummary, ManyScattersShareThePoints) {
  EXPECT_EQ(points_of_each(0), kMostPoints);
  EXPECT_EQ(points_of_each(1), kMostPoints);
  EXPECT_LE(40 * points_of_each(40), 4000U);
  EXPECT_GE(points_of_each(100000), 60U);
}

}  // namespace
}  // namespace detente::report

// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/json.h>
#include <detente/core/nan.h>
#include <detente/core/rng.h>
#include <detente/metrics/agreement.h>
#include <detente/metrics/calibration.h>
#include <detente/metrics/columns.h>
#include <detente/metrics/ranking.h>
#include <detente/metrics/registry.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace detente::metrics {
namespace {

using testing::HasSubstr;
using List = std::vector<double>;

constexpr double kNear = 1e-12;

const Json& reference() {
  static const Json json =
      Json::parse(read_file(DETENTE_SOURCE_DIR "/tests/golden/metrics/ranking.json"));
  return json;
}

// Scores with ties, about a third of them positive.
void draw_scores(Rng& rng, std::size_t n, List& p, List& t) {
  p.resize(n);
  t.resize(n);
  for (std::size_t i = 0; i < n; ++i) {
    t[i] = i == 0 || (i > 1 && rng.uniform() < 0.3) ? 1.0 : 0.0;
    p[i] = std::round(10 * rng.uniform() + 2 * t[i]) / 12;
  }
}

TEST(Ranking, AgreesWithScikitLearn) {
  for (const auto& entry : reference().at("binary")) {
    SCOPED_TRACE(entry.at("name").get<std::string>());
    const auto p = entry.at("predictions").get<List>();
    const auto t = entry.at("targets").get<List>();
    EXPECT_NEAR(auroc(p, t).value, entry.at("auroc").get<double>(), kNear);
    EXPECT_NEAR(average_precision(p, t).value, entry.at("average_precision").get<double>(), kNear);
    EXPECT_NEAR(expected_calibration_error(p, t).value, entry.at("ece").get<double>(), kNear);
  }
}

// The definition: pairs won, ties counting half.
TEST(Auroc, IsTheShareOfPairsInOrder) {
  Rng rng(1);
  List p;
  List t;
  for (int round = 0; round < 20; ++round) {
    draw_scores(rng, 40, p, t);
    double won = 0;
    double pairs = 0;
    for (std::size_t i = 0; i < p.size(); ++i) {
      for (std::size_t j = 0; j < p.size(); ++j) {
        if (t[i] != 1.0 || t[j] != 0.0) continue;
        ++pairs;
        won += p[i] > p[j] ? 1.0 : p[i] == p[j] ? 0.5 : 0.0;
      }
    }
    EXPECT_NEAR(auroc(p, t).value, won / pairs, kNear);
  }
}

TEST(Ranking, StaysTheSameUnderMonotoneTransformations) {
  Rng rng(2);
  List p;
  List t;
  draw_scores(rng, 60, p, t);
  List other(p.size());
  std::transform(p.begin(), p.end(), other.begin(), [](double x) { return std::exp(5 * x) - 1e6; });
  EXPECT_EQ(auroc(p, t).value, auroc(other, t).value);
  EXPECT_EQ(average_precision(p, t).value, average_precision(other, t).value);
}

TEST(Ranking, DoesNotDependOnTheOrderOfRows) {
  Rng rng(3);
  List p;
  List t;
  draw_scores(rng, 50, p, t);
  List p2(p.rbegin(), p.rend());
  List t2(t.rbegin(), t.rend());
  EXPECT_EQ(auroc(p, t).value, auroc(p2, t2).value);
  EXPECT_EQ(average_precision(p, t).value, average_precision(p2, t2).value);
  EXPECT_NEAR(
      expected_calibration_error(p, t).value, expected_calibration_error(p2, t2).value, kNear);
}

TEST(Auroc, TurnsRoundWithTheScoresOrTheTargets) {
  Rng rng(4);
  List p;
  List t;
  draw_scores(rng, 50, p, t);
  List minus = p;
  List other = t;
  for (double& x : minus) x = -x;
  for (double& x : other) x = 1 - x;
  EXPECT_NEAR(auroc(minus, t).value, 1 - auroc(p, t).value, kNear);
  EXPECT_NEAR(auroc(p, other).value, 1 - auroc(p, t).value, kNear);
}

TEST(Ranking, SaysWhichClassIsAbsent) {
  EXPECT_THAT(auroc(List{1, 2}, List{0, 0}).reason, HasSubstr("no target is positive"));
  EXPECT_THAT(auroc(List{1, 2}, List{1, 1}).reason, HasSubstr("no target is negative"));
  EXPECT_THAT(average_precision(List{1, 2}, List{0, 0}).reason, HasSubstr("positive"));
  EXPECT_EQ(average_precision(List{1, 2}, List{1, 1}).value, 1.0);
  EXPECT_THAT(auroc(List{}, List{}).reason, HasSubstr("no row"));
  EXPECT_THAT(auroc(List{kNan, 1}, List{0, 1}).reason, HasSubstr("not finite"));
  EXPECT_EQ(auroc(List{kNan, 1, 0}, List{kNan, 1, 0}).value, 1.0);
  EXPECT_THROW(auroc(List{1}, List{0, 1}), Error);
}

TEST(AveragePrecision, IsTheShareOfPositivesForEqualScores) {
  EXPECT_DOUBLE_EQ(average_precision(List{3, 3, 3, 3}, List{0, 1, 0, 0}).value, 0.25);
}

TEST(Calibration, IsZeroForSharesThatHold) {
  EXPECT_NEAR(
      expected_calibration_error(List{0.25, 0.25, 0.25, 0.25}, List{1, 0, 0, 0}).value, 0.0, kNear);
  EXPECT_NEAR(expected_calibration_error(List{0.9, 0.9}, List{0, 0}).value, 0.9, kNear);
}

TEST(Calibration, OfOneBinComparesTheMeans) {
  const List p = {0.1, 0.6, 0.8};
  EXPECT_NEAR(expected_calibration_error(p, List{0, 0, 1}, 1).value, 0.5 - 1.0 / 3, kNear);
}

// What a diagram draws is what the error sums up.
TEST(Calibration, BinsGiveTheError) {
  Rng rng(3);
  for (const std::size_t bins : {1U, 7U, 15U}) {
    List p;
    List t;
    for (int i = 0; i < 500; ++i) {
      p.push_back(i == 0 ? 0.0 : i == 1 ? 1.0 : rng.uniform());
      t.push_back(rng.uniform() < 0.2 ? kNan : rng.uniform() < p.back() * p.back() ? 1.0 : 0.0);
    }
    const Calibration found = calibration(p, t, bins);
    ASSERT_EQ(found.bins.size(), bins);
    double gap = 0;
    std::size_t rows = 0;
    for (std::size_t b = 0; b < bins; ++b) {
      const CalibrationBin& bin = found.bins[b];
      rows += bin.rows;
      gap += static_cast<double>(bin.rows) * std::abs(bin.probability - bin.share);
      if (bin.rows == 0) continue;
      EXPECT_GE(bin.probability, static_cast<double>(b) / static_cast<double>(bins) - kNear);
      EXPECT_LE(bin.probability, static_cast<double>(b + 1) / static_cast<double>(bins) + kNear);
    }
    EXPECT_EQ(rows, found.error.rows);
    EXPECT_NEAR(
        gap / static_cast<double>(rows), expected_calibration_error(p, t, bins).value, kNear);
  }
  EXPECT_TRUE(calibration(List{kNan}, List{1}).bins.empty());
  EXPECT_TRUE(calibration(List{0.5}, List{kNan}).bins.empty());
}

TEST(Calibration, RefusesWhatIsNoProbability) {
  EXPECT_THAT(expected_calibration_error(List{1.5}, List{1}).reason, HasSubstr("probability"));
  EXPECT_THAT(expected_calibration_error(List{-0.1}, List{1}).reason, HasSubstr("probability"));
  EXPECT_THROW(expected_calibration_error(List{0.5}, List{1}, 0), Error);
}

TEST(QuadraticKappa, AgreesWithScikitLearn) {
  for (const auto& entry : reference().at("kappa")) {
    SCOPED_TRACE(entry.at("name").get<std::string>());
    const auto p = entry.at("predictions").get<List>();
    const auto t = entry.at("targets").get<List>();
    EXPECT_NEAR(quadratic_kappa(p, t).value, entry.at("quadratic_kappa").get<double>(), kNear);
  }
}

TEST(QuadraticKappa, KnowsNoOriginOfIdsAndNoSides) {
  const List p = {0, 2, 3, 1, 4};
  const List t = {1, 2, 2, 0, 4};
  List p10 = p;
  List t10 = t;
  for (double& x : p10) x += 10;
  for (double& x : t10) x += 10;
  EXPECT_NEAR(quadratic_kappa(p10, t10).value, quadratic_kappa(p, t).value, kNear);
  EXPECT_NEAR(quadratic_kappa(t, p).value, quadratic_kappa(p, t).value, kNear);
}

TEST(QuadraticKappa, PunishesFarMistakesMore) {
  EXPECT_GT(quadratic_kappa(List{0, 1, 2, 2}, List{0, 1, 2, 3}).value,
            quadratic_kappa(List{0, 1, 2, 0}, List{0, 1, 2, 3}).value);
}

TEST(QuadraticKappa, IsUndefinedForOneClass) {
  EXPECT_THAT(quadratic_kappa(List{2, 2}, List{2, 2}).reason, HasSubstr("one class"));
  EXPECT_EQ(quadratic_kappa(List{1, 1}, List{2, 2}).value, 0.0);
}

TEST(OneVersusRest, AgreesWithScikitLearn) {
  for (const auto& entry : reference().at("classes")) {
    SCOPED_TRACE(entry.at("name").get<std::string>());
    const auto probabilities = entry.at("probabilities").get<List>();
    const auto targets = entry.at("targets").get<List>();
    Answers answers;
    answers.probabilities = probabilities;
    answers.targets = targets;
    answers.classes = probabilities.size() / targets.size();
    List ids;
    List confidence;
    for (std::size_t i = 0; i < targets.size(); ++i) {
      const auto begin = probabilities.begin() + static_cast<std::ptrdiff_t>(i * answers.classes);
      const auto best =
          std::max_element(begin, begin + static_cast<std::ptrdiff_t>(answers.classes));
      ids.push_back(static_cast<double>(best - begin));
      confidence.push_back(*best);
    }
    answers.predictions = ids;
    answers.confidence = confidence;
    for (const char* name : {"auroc", "average_precision", "ece"}) {
      EXPECT_NEAR(get_metric(name, TaskKind::kClasses).compute(answers).value,
                  entry.at(name).get<double>(),
                  kNear)
          << name;
    }
  }
}

TEST(OneVersusRest, OfTwoClassesIsTheBinaryOne) {
  const List ones = {0.2, 0.7, 0.4, 0.9, 0.4};
  const List t = {0, 1, 1, 0, 0};
  List both;
  for (const double p : ones) both.insert(both.end(), {1 - p, p});
  EXPECT_NEAR(one_vs_rest(auroc, both, t, 2).value, auroc(ones, t).value, kNear);
}

TEST(OneVersusRest, NamesTheClassThatIsAbsent) {
  const List probabilities = {0.5, 0.3, 0.2, 0.1, 0.8, 0.1};
  EXPECT_THAT(one_vs_rest(auroc, probabilities, List{0, 1}, 3).reason,
              HasSubstr("class 2 against the rest: no target is positive"));
  EXPECT_THROW(one_vs_rest(auroc, probabilities, List{0, 1, 2}, 3), Error);
}

TEST(Labels, AgreeWithScikitLearn) {
  for (const auto& entry : reference().at("labels")) {
    SCOPED_TRACE(entry.at("name").get<std::string>());
    const auto p = entry.at("predictions").get<List>();
    const auto t = entry.at("targets").get<List>();
    Answers answers;
    answers.predictions = p;
    answers.targets = t;
    answers.columns = entry.at("columns").get<std::size_t>();
    for (const char* name :
         {"macro_f1", "micro_f1", "auroc", "average_precision", "exact_match", "accuracy"}) {
      EXPECT_NEAR(get_metric(name, TaskKind::kLabels).compute(answers).value,
                  entry.at(name).get<double>(),
                  kNear)
          << name;
    }
  }
}

TEST(Labels, LeaveOutCellsWithoutTarget) {
  const List p = {0.9, 0.1, 0.2, 0.8, 0.6, kNan};
  const List t = {1, 0, 0, 1, kNan, kNan};
  EXPECT_EQ(exact_match(p, t, 2).value, 1.0);
  EXPECT_EQ(exact_match(p, t, 2).rows, 2U);
  EXPECT_EQ(micro_f1(p, t).value, 1.0);
  EXPECT_EQ(macro_f1_of_labels(p, t, 2).value, 1.0);
  EXPECT_EQ(mean_over_defined(auroc, p, t, 2).value, 1.0);
}

TEST(Labels, AreUndefinedWhereNothingIsKnown) {
  const List nothing = {kNan, kNan};
  const List p = {0.5, 0.5};
  for (const char* name :
       {"macro_f1", "micro_f1", "auroc", "average_precision", "exact_match", "accuracy", "ece"}) {
    Answers answers;
    answers.predictions = p;
    answers.targets = nothing;
    answers.columns = 2;
    EXPECT_FALSE(get_metric(name, TaskKind::kLabels).compute(answers).defined()) << name;
  }
  // A label that no row has says nothing of a ranking, and the other speaks alone.
  EXPECT_EQ(mean_over_defined(auroc, List{0.1, 0.5, 0.9, 0.5}, List{0, 0, 1, 0}, 2).value, 1.0);
  EXPECT_THAT(mean_over_defined(auroc, List{0.1, 0.5}, List{0, 0}, 2).reason,
              HasSubstr("each of the 2 labels"));
}

TEST(SeveralOutputs, AreTheMeanOverColumns) {
  const List p = {1, 10, 2, 30, 3, 20};
  const List t = {1, 10, 2, 20, 4, 30};
  const double first = mae(List{1, 2, 3}, List{1, 2, 4}).value;
  const double second = mae(List{10, 30, 20}, List{10, 20, 30}).value;
  EXPECT_NEAR(mean_over_columns(mae, p, t, 2).value, (first + second) / 2, kNear);
  EXPECT_THAT(mean_over_columns(r2, p, List{1, 1, 2, 1, 4, 1}, 2).reason,
              HasSubstr("column 2 of 2: all targets are equal"));
  EXPECT_THROW(mean_over_columns(mae, p, List{1, 2, 3}, 2), Error);
  EXPECT_THROW(mean_over_columns(mae, p, t, 0), Error);
}

}  // namespace
}  // namespace detente::metrics

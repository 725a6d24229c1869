// SPDX-License-Identifier: Apache-2.0
#include <detente/core/rng.h>
#include <detente/study/results.h>
#include <detente/study/tables.h>
#include <detente/study/words.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace detente::study {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

const std::vector<StudyTask> kTwoTasks{{"income", {{"f1", true}, {"accuracy", true}}},
                                       {"age", {{"mae", false}}}};

std::vector<Variant> planned(const std::string& methods, bool singles = true) {
  const std::vector<Baseline> tasks{{"income", "f1"}, {"age", "mae"}};
  return plan_variants(parse_methods(methods),
                       {},
                       singles ? std::span<const Baseline>(tasks) : std::span<const Baseline>(),
                       [](const MethodSpec*, const GridAxis&) { return true; });
}

RunResult run_result(std::size_t variant, std::int64_t seed, double f1, double mae) {
  RunResult r;
  r.variant = variant;
  r.seed = seed;
  r.dev = {{"income", {{"f1", f1}, {"accuracy", f1 / 2}}}, {"age", {{"mae", mae}}}};
  r.seconds = 10 + static_cast<double>(variant);
  r.ms_per_step = 2 + static_cast<double>(variant);
  return r;
}

std::vector<std::size_t> all_of(const std::vector<Variant>& variants) {
  std::vector<std::size_t> chosen;
  for (std::size_t v = 0; v < variants.size(); ++v) chosen.push_back(v);
  return chosen;
}

Analysis analysis_of(const std::vector<Variant>& variants,
                     const std::vector<std::int64_t>& seeds,
                     const std::vector<RunResult>& results) {
  return analyse(variants, all_of(variants), kTwoTasks, seeds, results);
}

TEST(Analysis, SaysWhatIsBetterAndByHowMuch) {
  const auto variants = planned("ew,cagrad");
  std::vector<RunResult> results;
  const std::vector<std::int64_t> seeds{0, 1, 2, 3, 4};
  for (const auto seed : seeds) {
    const double luck = 0.05 * static_cast<double>(seed - 2);
    const double noise = 0.001 * static_cast<double>(2 * seed % 5 - 2);
    results.push_back(run_result(0, seed, 0.6 + luck, 5 + luck));
    results.push_back(run_result(1, seed, 0.65 + luck + noise, 5 + luck + noise));
    results.push_back(run_result(2, seed, 0.6, 5));
    results.push_back(run_result(3, seed, 0.6, 4));
  }
  const Analysis analysis = analysis_of(variants, seeds, results);
  EXPECT_EQ(analysis.reference, "ew");
  EXPECT_EQ(analysis.measured, Measured::kDev);
  ASSERT_EQ(analysis.verdicts.size(), 2U);
  EXPECT_THAT(analysis.verdicts[0].text,
              HasSubstr("cagrad is better than ew on income (f1): by 0.05"));
  EXPECT_THAT(analysis.verdicts[1].text, HasSubstr("No difference found"));
  EXPECT_NEAR(analysis.verdicts[0].test.difference.mean, 0.05, 0.002);
  // Luck that both share does not widen the difference's interval, as it does the means'.
  EXPECT_LT(analysis.verdicts[0].test.difference.high - analysis.verdicts[0].test.difference.low,
            0.01);
  EXPECT_GT(analysis.rows[1].estimate.high - analysis.rows[1].estimate.low, 0.1);
  EXPECT_THAT(analysis.sentences,
              Contains("A step of cagrad takes 50 ± 0 % more time than one of ew."));
  EXPECT_EQ(analysis.rows[0].method, "single");
  EXPECT_NEAR(analysis.methods[0].delta_m_task, (0 + 25) / 2.0, 1e-9);
  EXPECT_NEAR(analysis.methods[0].delta_m_metric, (0 + 0 + 25) / 3.0, 1e-9);
}

TEST(Analysis, OneSeedAndFailedRunsHaveTheirWords) {
  const auto variants = planned("ew,cagrad,pcgrad", false);
  std::vector<RunResult> results{
      run_result(0, 0, 0.6, 5), run_result(1, 0, 0.7, 5), run_result(2, 0, 0, 0)};
  results[2].failure = "failed (exit code 4): the loss is NaN";
  const Analysis one = analysis_of(variants, {0}, results);
  EXPECT_THAT(one.notes, ElementsAre(HasSubstr("One seed"), HasSubstr("the loss is NaN")));
  EXPECT_THAT(one.verdicts[0].text, HasSubstr("no interval"));
  EXPECT_THAT(one.verdicts[2].text, HasSubstr("cannot be compared"));
  EXPECT_EQ(one.methods[2].failed, 1U);
  EXPECT_TRUE(std::isnan(one.methods[0].delta_m_metric));
  const Json json = one.to_json();
  EXPECT_TRUE(json["rows"][0]["low"].is_null());
  EXPECT_EQ(json["rows"][0]["seeds"], 1);
  EXPECT_TRUE(json["verdicts"][2]["difference"].is_null());
  EXPECT_THAT(result_table(one).text(), HasSubstr("0.6000"));
  EXPECT_THAT(result_csv(one), HasSubstr("pcgrad,income,f1,,,,0,\n"));
}

TEST(Analysis, ManyMethodsAreSaidTogether) {
  const auto variants = planned("ew,a,b,c,d,e", false);
  const std::vector<std::int64_t> seeds{0, 1, 2, 3, 4, 5, 6, 7};
  const auto study = [&](double better, double worse) {
    Rng rng(11);
    std::vector<RunResult> results;
    for (const auto seed : seeds) {
      for (std::size_t v = 0; v < variants.size(); ++v) {
        results.push_back(run_result(v,
                                     seed,
                                     0.6 + 0.001 * rng.normal() + (v == 2 ? better : 0),
                                     5 + 0.01 * rng.normal() + (v == 2 ? worse : 0)));
      }
    }
    return analysis_of(variants, seeds, results).sentences;
  };
  // One on the whole, one a task, one on the time.
  const auto none = study(0, 0);
  ASSERT_EQ(none.size(), 4U);
  EXPECT_EQ(none[0], "No method was found better than ew on any task.");
  EXPECT_THAT(none[1],
              HasSubstr("No difference found on income (f1) between ew and a, b, c, d and e: "));
  EXPECT_THAT(none[2], HasSubstr("on age (mae) between ew and a, b, c, d and e: "));
  EXPECT_EQ(none[3], "A step takes 50 ± 0 % more (a) to 250 ± 0 % more (e) time than one of ew.");
  const auto one = study(0.1, 0);
  ASSERT_EQ(one.size(), 5U);
  EXPECT_EQ(one[0], "b was found better than ew on income and worse on nothing.");
  EXPECT_THAT(one[1], HasSubstr("b is better than ew on income (f1): by 0.1"));
  EXPECT_THAT(one[2], HasSubstr("between ew and a, c, d and e: "));
  const auto both = study(0.1, 1);
  EXPECT_EQ(both[0], "b was found better than ew on income, worse on age.");
  EXPECT_EQ(both.size(), 6U);
}

// Times of a step by seed, of ew and of another method.
std::vector<std::string> step_sentences(const std::vector<double>& ew,
                                        const std::vector<double>& other) {
  const auto variants = planned("ew,cagrad", false);
  std::vector<std::int64_t> seeds;
  std::vector<RunResult> results;
  for (std::size_t i = 0; i < ew.size(); ++i) {
    seeds.push_back(static_cast<std::int64_t>(i));
    results.push_back(run_result(0, seeds.back(), 0.6, 5));
    results.back().ms_per_step = ew[i];
    results.push_back(run_result(1, seeds.back(), 0.6, 5));
    results.back().ms_per_step = other[i];
  }
  std::vector<std::string> found;
  for (const auto& sentence : analysis_of(variants, seeds, results).sentences) {
    if (sentence.starts_with("A step ")) found.push_back(sentence);
  }
  return found;
}

TEST(Analysis, StepTimesHaveAnIntervalOrAreNotToldApart) {
  // The quotients are 1.5, 1.4 and 1.6: 50 % with t_2(0.975) * 10 / sqrt(3) = 24.8.
  EXPECT_THAT(step_sentences({2, 1, 3}, {3, 1.4, 4.8}),
              ElementsAre("A step of cagrad takes 50 ± 25 % more time than one of ew."));
  EXPECT_THAT(step_sentences({3, 1.4, 4.8}, {2, 1, 3}),
              ElementsAre(HasSubstr("% less time than one of ew.")));
  EXPECT_THAT(step_sentences({2, 2, 2}, {2.2, 1.9, 2.1}),
              ElementsAre("A step of cagrad (3 ± 19 % more) is not told apart in time from one of "
                          "ew: the difference lies within its spread over the seeds."));
  EXPECT_THAT(
      step_sentences({2}, {2.08}),
      ElementsAre("A step of cagrad takes 4 % more time than one of ew with the one seed that "
                  "both have: no interval."));
  EXPECT_THAT(step_sentences({2, std::nan("")}, {std::nan(""), 2}), ElementsAre());
}

TEST(Words, NumbersHaveTheDigitsThatTheirSpreadLeaves) {
  EXPECT_EQ(estimate_text(0.612345, 0.0045), "0.6123 ± 0.0045");
  EXPECT_EQ(estimate_text(0.612345, 0.45), "0.61 ± 0.45");
  EXPECT_EQ(estimate_text(1234.5, 57), "1234 ± 57");
  EXPECT_EQ(estimate_text(12.3456, 1.23), "12.3 ± 1.2");
  EXPECT_EQ(estimate_text(1.234e7, 1.2e5), "1.234e+07 ± 1.2e+05");
  EXPECT_EQ(estimate_text(3.21e-5, 1.2e-6), "3.21e-05 ± 1.2e-06");
  EXPECT_EQ(estimate_text(0.5, 2e-9), "0.500000 ± 2.0e-09");
  EXPECT_EQ(estimate_text(-0.00001, 0.012), "0.000 ± 0.012");
  EXPECT_EQ(estimate_text(0, 0), "0 ± 0 (all seeds the same)");
  EXPECT_EQ(estimate_text(0.25, 0), "0.2500 ± 0 (all seeds the same)");
  EXPECT_EQ(estimate_text(0.25, std::nan("")), "0.2500");
  EXPECT_EQ(estimate_text(std::nan(""), 1), "undefined");
  EXPECT_EQ(score_text(0), "0");
}

// What rounding leaves of equal differences is no spread: 0.7 - 0.6 is not 0.8 - 0.7 in binary.
TEST(Analysis, RoundingIsNoSpread) {
  const auto variants = planned("ew,cagrad", false);
  std::vector<RunResult> results;
  for (const std::int64_t seed : {0, 1, 2}) {
    const double base = 0.6 + 0.1 * static_cast<double>(seed);
    results.push_back(run_result(0, seed, base, 5));
    results.push_back(run_result(1, seed, base + 0.1, 5));
  }
  const Analysis analysis = analysis_of(variants, {0, 1, 2}, results);
  EXPECT_THAT(analysis.verdicts[0].text, HasSubstr("by 0.1000 ± 0 (all seeds the same)"));
  EXPECT_THAT(analysis.verdicts[1].text, HasSubstr(": 0 ± 0 (all seeds the same) (p = 1)"));
  EXPECT_THAT(result_table(analysis).text(), HasSubstr("5.0000 ± 0 (all seeds the same)"));
  EXPECT_THAT(latex_table(analysis), HasSubstr("5.0000 $\\pm$ 0 "));
}

TEST(Analysis, SaysWhereTheBestSettingIsTheLastOneTried) {
  const std::vector<std::string> grid{
      "optimizer.lr=1e-2,1e-3,1e-4", "balance.c=0.5", "balance.kind=a,b"};
  const std::vector<Baseline> baselines{{"income", "f1"}};
  const auto variants = plan_variants(
      parse_methods("ew,cagrad"), parse_grid(grid), baselines, [](const auto*, const auto&) {
        return true;
      });
  ASSERT_EQ(variants.size(), 18U);
  const auto with = [&](const std::string& method, const std::string& rate) {
    for (std::size_t v = 0; v < variants.size(); ++v) {
      if (variants[v].method == method &&
          variants[v].setting.find("lr=" + rate) != std::string::npos)
        return v;
    }
    return variants.size();
  };
  EXPECT_THAT(
      edge_notes(variants,
                 std::vector<std::size_t>{
                     with("ew", "1e-2"), with("cagrad", "1e-2"), with("single", "1e-4")}),
      ElementsAre(
          "optimizer.lr = 1e-4 is the smallest that was tried and was chosen for the baseline of "
          "income: the best may lie beyond. A wider --grid tells.",
          "optimizer.lr = 1e-2 is the largest that was tried and was chosen for ew and cagrad: the "
          "best may lie beyond. A wider --grid tells."));
  EXPECT_TRUE(edge_notes(variants, std::vector<std::size_t>{with("ew", "1e-3")}).empty());
}

TEST(Analysis, SaysWhereDeltaMDividesByNothing) {
  const auto variants = planned("ew");
  const std::vector<std::int64_t> seeds{0, 1, 2};
  std::vector<RunResult> results;
  for (const auto seed : seeds) {
    for (std::size_t v = 0; v < variants.size(); ++v) {
      results.push_back(run_result(v, seed, 0.01 * static_cast<double>(seed - 1), 5));
    }
  }
  // f1 of the one baseline, and accuracy, its half.
  EXPECT_THAT(
      analysis_of(variants, seeds, results).notes,
      ElementsAre(
          HasSubstr("f1 of income trained alone is 0 within its interval (-0.0248 to 0.0248)"),
          HasSubstr("accuracy of income")));
}

TEST(Analysis, FailuresOfSettingsThatWereNotChosenAreSaid) {
  const std::vector<std::string> grid{"c=1,2"};
  const auto variants = plan_variants(
      parse_methods("ew"), parse_grid(grid), {}, [](const auto*, const auto&) { return true; });
  std::vector<RunResult> results{run_result(0, 0, 0.6, 5), run_result(1, 0, 0, 0)};
  results[1].failure = "failed (exit code 137)";
  const auto chosen = chosen_variants(variants, kTwoTasks, results);
  EXPECT_THAT(analyse(variants, chosen, kTwoTasks, std::vector<std::int64_t>{0}, results).notes,
              Contains("ew (c=2), seed 0: failed (exit code 137)"));
}

TEST(Analysis, IsOfTestRowsWhereThereAreSome) {
  const auto variants = planned("ew,cagrad", false);
  std::vector<RunResult> results{run_result(0, 0, 0.6, 5), run_result(1, 0, 0.7, 5)};
  for (RunResult& r : results) r.test = {{"income", {{"f1", 0.1}}}};
  const Analysis analysis = analysis_of(variants, {0}, results);
  EXPECT_EQ(analysis.measured, Measured::kTest);
  EXPECT_EQ(analysis.rows[0].estimate.mean, 0.1);
  EXPECT_TRUE(std::isnan(analysis.rows.back().estimate.mean));  // absent from the test part
}

// What is no difference is called one in about 5 % of studies, over all its comparisons together.
TEST(Analysis, FindsNothingWhereThereIsNothing) {
  Rng rng(3);
  const auto variants = planned("ew,a,b,c", false);
  const std::vector<std::int64_t> seeds{0, 1, 2, 3, 4};
  int found = 0;
  constexpr int kStudies = 600;
  for (int study = 0; study < kStudies; ++study) {
    std::vector<RunResult> results;
    for (const auto seed : seeds) {
      for (std::size_t v = 0; v < variants.size(); ++v) {
        results.push_back(run_result(v, seed, 0.6 + 0.01 * rng.normal(), 5 + 0.1 * rng.normal()));
      }
    }
    bool any = false;
    for (const Verdict& v : analysis_of(variants, seeds, results).verdicts) {
      any = any || v.text.find("No difference") == std::string::npos;
    }
    found += any ? 1 : 0;
  }
  EXPECT_LE(found, 0.08 * kStudies);
  EXPECT_GE(found, 0.015 * kStudies);
}

TEST(Chosen, ValidationDecidesWhateverTheUnits) {
  std::vector<Variant> variants;
  for (const char* setting : {"c=1", "c=2", "c=3"}) {
    Variant v;
    v.method = "cagrad";
    v.setting = setting;
    variants.push_back(v);
  }
  Variant other;
  other.method = "ew";
  variants.push_back(other);
  std::vector<RunResult> results;
  for (const std::int64_t seed : {0, 1}) {
    results.push_back(run_result(0, seed, 0.60, 5));
    results.push_back(run_result(1, seed, 0.62, 5));
    results.push_back(run_result(2, seed, 0.60, 4.99));
    results.push_back(run_result(3, seed, 0.1, 9));
  }
  EXPECT_THAT(chosen_variants(variants, kTwoTasks, results), ElementsAre(1U, 3U));
  // The same ages in days: the choice stays.
  for (RunResult& r : results) r.dev[1].second[0].second *= 365;
  EXPECT_THAT(chosen_variants(variants, kTwoTasks, results), ElementsAre(1U, 3U));
  // Test results are not looked at; a failed variant is not chosen.
  for (RunResult& r : results) {
    r.test = {{"income", {{"f1", r.variant == 0 ? 1.0 : 0.0}}}};
    if (r.variant == 1) r.failure = "failed";
  }
  EXPECT_THAT(chosen_variants(variants, kTwoTasks, results), ElementsAre(2U, 3U));
  EXPECT_THAT(chosen_variants(variants, kTwoTasks, {}), ElementsAre(0U, 3U));
}

TEST(RunResult, ComesBackFromItsFile) {
  RunResult r = run_result(3, -7, 0.5, std::nan(""));
  r.test = r.dev;
  r.failure = "said \"no\"\n";
  const auto back = RunResult::from_json(Json::parse(r.to_json().dump()));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->seed, -7);
  EXPECT_EQ(back->failure, r.failure);
  EXPECT_EQ(back->to_json(), r.to_json());
  for (const char* text :
       {"null", "[]", "{}", R"({"variant": "x", "seed": 0})", R"({"variant": 1})"}) {
    EXPECT_FALSE(RunResult::from_json(Json::parse(text))) << text;
  }
}

TEST(Tables, NamesAreSafeInEachForm) {
  const auto variants = planned("ew", false);
  std::vector<StudyTask> tasks{{"a_b & \"c\"", {{"f1", true}}}};
  RunResult r;
  r.dev = {{tasks[0].name, {{"f1", 0.5}}}};
  const Analysis analysis =
      analyse(variants, all_of(variants), tasks, std::vector<std::int64_t>{0}, {&r, 1});
  EXPECT_THAT(latex_table(analysis), HasSubstr("a\\_b \\& \"c\" & f1 & 0.5000 \\\\"));
  EXPECT_THAT(result_csv(analysis), HasSubstr("ew,\"a_b & \"\"c\"\"\",f1,0.5,"));
  EXPECT_THAT(method_table(analysis).markdown(), HasSubstr("| ew |"));
}

}  // namespace
}  // namespace detente::study

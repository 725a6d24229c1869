// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/rng.h>
#include <detente/report/inspection.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <optional>

namespace detente::report {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Steps of two tasks a, b: cosine, norms and weights of each.
struct Step {
  double cosine;
  double norm_a = 1;
  double norm_b = 1;
  double weight_a = 0.5;
  double weight_b = 0.5;
  std::string more;  // further members of the line
};

RunData run_of(const std::vector<Step>& steps) {
  std::string lines;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const Step& s = steps[i];
    lines += fmt::format(
        "{{\"type\":\"step\",\"step\":{},\"losses\":{{\"a\":1,\"b\":1}},"
        "\"weights\":{{\"a\":{},\"b\":{}}},\"grad_norms\":{{\"a\":{},\"b\":{}}},"
        "\"cosines\":{{\"a|b\":{}}}{}}}\n",
        i + 1,
        s.weight_a,
        s.weight_b,
        s.norm_a,
        s.norm_b,
        s.cosine,
        s.more);
  }
  return parse_run("run", R"({"name":"made up","method":"ew"})", lines, "");
}

// 40 steps whose cosines have the given mean, alternating by `swing` around it.
std::vector<Step> steps_around(double mean, double swing, Step like = {}) {
  std::vector<Step> steps;
  for (int i = 0; i < 40; ++i) {
    like.cosine = mean + (i % 2 == 0 ? swing : -swing);
    steps.push_back(like);
  }
  return steps;
}

std::string diagnosis(double embedding, double layer, bool all_three) {
  return fmt::format(
      R"(,"diagnosis":{{"xi":{{"a|b":1.5}},"triad":{{"a|b":{{"dominated":{2},"curved":{2},)"
      R"("large_step":{2}}}}},"groups":{{"embedding":{{"grad_norms":{{"a":3,"b":0}},)"
      R"("cosines":{{"a|b":{0}}}}},"layers.0":{{"grad_norms":{{"a":4,"b":0}},)"
      R"("cosines":{{"a|b":{1}}}}}}},"curvature":{{"gradients":8,"losses":6,"squared_norm":2,)"
      R"("step":0.5}}}})",
      embedding,
      layer,
      all_three);
}

std::optional<Advice> find(const Inspection& run, Advice::Topic topic) {
  for (const Advice& item : run.advice) {
    if (item.topic == topic) return item;
  }
  return std::nullopt;
}

Inspection inspect(const std::vector<Step>& steps, InspectOptions options = {}) {
  options.method_uses_gradients = false;
  return inspect_run(run_of(steps), options);
}

TEST(MeanInterval, IsStudentsForFewValues) {
  // 1, 2, 3: mean 2, deviation 1, t(2) = 4.303.
  const MeanInterval interval = mean_interval({1, std::nan(""), 2, 3});
  EXPECT_EQ(interval.count, 3U);
  EXPECT_DOUBLE_EQ(interval.mean, 2);
  EXPECT_NEAR(interval.high, 2 + 4.303 / std::sqrt(3.0), 1e-12);
  EXPECT_NEAR(interval.low, 2 - 4.303 / std::sqrt(3.0), 1e-12);
  EXPECT_TRUE(std::isnan(mean_interval({1}).low));
  EXPECT_TRUE(std::isnan(mean_interval({}).mean));
}

TEST(MeanInterval, HoldsTheMeanOfIndependentAndOfPersistentNoiseMostOfTheTime) {
  for (const double memory : {0.0, 0.9}) {
    Rng rng(5);
    int held = 0;
    constexpr int kSeries = 400;
    for (int s = 0; s < kSeries; ++s) {
      std::vector<double> values;
      double x = 0;
      for (int i = 0; i < 2000; ++i) {
        x = memory * x + rng.normal();
        values.push_back(0.3 + x);
      }
      const MeanInterval interval = mean_interval(values);
      held += interval.low <= 0.3 && 0.3 <= interval.high ? 1 : 0;
    }
    EXPECT_NEAR(held / static_cast<double>(kSeries), 0.95, 0.04) << "memory " << memory;
  }
}

TEST(Inspection, MeasuresPairsTasksAndLayers) {
  const Inspection run = inspect({{-0.5, 2, 1, 0.25, 0.5, diagnosis(0.3, -0.3, true)},
                                  {0.1, 2, 1, 0.25, 0.5, diagnosis(0.1, -0.1, false)}});
  ASSERT_EQ(run.pairs.size(), 1U);
  EXPECT_DOUBLE_EQ(run.pairs[0].cosine.mean, -0.2);
  EXPECT_DOUBLE_EQ(run.pairs[0].conflict_share, 0.5);
  EXPECT_DOUBLE_EQ(run.pairs[0].magnitude_similarity, 0.8);  // 2·2·1/(4 + 1)
  EXPECT_DOUBLE_EQ(run.pairs[0].size_ratio, 2);
  EXPECT_DOUBLE_EQ(run.pairs[0].xi, 1.5);
  ASSERT_EQ(run.tasks.size(), 2U);
  EXPECT_DOUBLE_EQ(run.tasks[0].pull, 0.5);
  ASSERT_EQ(run.groups.size(), 2U);
  EXPECT_DOUBLE_EQ(run.groups[0].size, 9.0 / 25);
  EXPECT_DOUBLE_EQ(run.groups[1].cosine, -0.2);
  EXPECT_DOUBLE_EQ(run.groups[1].conflict_share, 1);
  EXPECT_EQ(run.groups[1].worst_pair, "a|b");
  EXPECT_EQ(run.triad.measured, 2U);
  EXPECT_DOUBLE_EQ(run.triad.all, 0.5);
  EXPECT_DOUBLE_EQ(run.curvature.from_gradients.mean, 4);
  EXPECT_DOUBLE_EQ(run.curvature.from_losses.mean, 3);
  const Json json = run.json();
  EXPECT_EQ(json["pairs"][0]["first"], "a");
  EXPECT_EQ(json["advice"].size(), run.advice.size());
}

TEST(Inspection, LooksAtTheLastMeasuredStepsWhenAsked) {
  const Inspection run = inspect({{-0.5}, {-0.5}, {0.25}, {0.75}}, {.last = 2});
  EXPECT_DOUBLE_EQ(run.pairs[0].cosine.mean, 0.5);
  EXPECT_EQ(run.measured, 2U);
  EXPECT_EQ(run.steps, 4U);
  EXPECT_EQ(run.first_step, 3);
}

TEST(Inspection, ARepeatedStepOfAResumedRunCountsOnce) {
  std::string lines;
  for (const char* cosine : {"0.5", "-0.9"}) {
    lines += std::string(R"({"type":"step","step":1,"losses":{"a":1,"b":1},"cosines":{"a|b":)") +
             cosine + R"(},"diagnosis":{"groups":{"x":{"cosines":{"a|b":)" + cosine + "}}}}}\n";
  }
  const Inspection run = inspect_run(parse_run("r", "", lines, ""), {});
  EXPECT_DOUBLE_EQ(run.pairs[0].cosine.mean, -0.9);
  EXPECT_DOUBLE_EQ(run.groups[0].cosine, -0.9);
}

TEST(Inspection, SaysWhatToSetWhenNothingWasMeasured) {
  const RunData run = parse_run("r", "", R"({"type":"step","step":1,"losses":{"a":1,"b":1}})", "");
  try {
    inspect_run(run, {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kData);
    EXPECT_THAT(error.what(), HasSubstr("engine.diagnose_every"));
  }
  const RunData alone = parse_run("r", "", R"({"type":"step","step":1,"losses":{"a":1}})", "");
  try {
    inspect_run(alone, {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("one task, 'a'"));
  }
}

TEST(Advice, EqualWeightsForTasksThatAgree) {
  const auto advice = find(inspect(steps_around(0.5, 0.1)), Advice::Topic::kConflict);
  ASSERT_TRUE(advice.has_value());
  EXPECT_THAT(advice->methods, ElementsAre("ew"));
  EXPECT_THAT(advice->finding, HasSubstr("0 % of the measured steps only"));
}

TEST(Advice, AMethodForConflictForTasksThatOpposeEachOther) {
  const auto steps = steps_around(-0.4, 0.1);
  const Inspection plain = inspect_run(run_of(steps), {.method_uses_gradients = false});
  EXPECT_THAT(find(plain, Advice::Topic::kConflict).value().methods,
              ElementsAre("upgrad", "cagrad", "pcgrad"));
  const Inspection treated = inspect_run(run_of(steps), {.method_uses_gradients = true});
  EXPECT_THAT(find(treated, Advice::Topic::kConflict).value().methods, ElementsAre("ew"));
}

TEST(Advice, RightAnglesAreNoConflictWorthAMethod) {
  const auto advice = find(inspect(steps_around(0.0, 0.2)), Advice::Topic::kConflict);
  EXPECT_THAT(advice->finding, HasSubstr("right angles"));
  EXPECT_THAT(find(inspect(steps_around(0.2, 0.3)), Advice::Topic::kConflict).value().advice,
              HasSubstr("batch_size"));
}

TEST(Advice, NamesTheLayersInWhichTasksConflict) {
  const auto with = [](double embedding, double layer) {
    Step like;
    like.more = diagnosis(embedding, layer, false);
    return inspect(steps_around(0.2, 0.0, like));
  };
  EXPECT_THAT(find(with(0.4, -0.3), Advice::Topic::kPlace).value().finding,
              HasSubstr("mostly in layers.0"));
  EXPECT_THAT(find(with(-0.4, -0.3), Advice::Topic::kPlace).value().finding,
              HasSubstr("everywhere"));
  EXPECT_FALSE(find(with(0.4, 0.3), Advice::Topic::kPlace).has_value());
}

TEST(Advice, UnevenGradientsNeedScaleFreeMethodsUnlessTheWeightsEvenThemOut) {
  const Inspection uneven = inspect(steps_around(0.2, 0.1, {.cosine = 0, .norm_a = 12}));
  const auto advice = find(uneven, Advice::Topic::kSize);
  ASSERT_TRUE(advice.has_value());
  EXPECT_THAT(advice->finding, HasSubstr("a's gradient is 12 times b's"));
  EXPECT_THAT(advice->methods, ElementsAre("imtl_g", "nash_mtl", "config"));
  EXPECT_THAT(advice->advice, HasSubstr("tasks.a.weight=0.083"));
  const Inspection evened = inspect(steps_around(
      0.2, 0.1, {.cosine = 0, .norm_a = 12, .norm_b = 1, .weight_a = 0.1, .weight_b = 1.2}));
  EXPECT_THAT(find(evened, Advice::Topic::kSize).value().advice, HasSubstr("nothing to do"));
  EXPECT_FALSE(find(inspect(steps_around(0.2, 0.1)), Advice::Topic::kSize).has_value());
}

TEST(Advice, SeesTasksLeftOutAndWeightsThatJump) {
  const Inspection left_out =
      inspect(steps_around(0.2, 0.1, {.cosine = 0, .weight_a = 0, .weight_b = 1}));
  EXPECT_THAT(find(left_out, Advice::Topic::kWeights).value().finding, HasSubstr("leaves a out"));
  auto steps = steps_around(0.2, 0.1);
  for (std::size_t i = 0; i < steps.size(); i += 2) steps[i].weight_b = 0.01;
  EXPECT_THAT(find(inspect(steps), Advice::Topic::kWeights).value().finding,
              HasSubstr("between 0.01 and 0.5"));
  EXPECT_FALSE(find(inspect(steps_around(0.2, 0.1)), Advice::Topic::kWeights).has_value());
}

TEST(Advice, TheTriadCallsForPcgradOrAShorterStep) {
  Step like;
  like.more = diagnosis(0.1, 0.1, true);
  EXPECT_THAT(find(inspect(steps_around(-0.4, 0.1, like)), Advice::Topic::kTriad).value().advice,
              HasSubstr("optimizer.lr"));
  like.more = diagnosis(0.1, 0.1, false);
  EXPECT_THAT(find(inspect(steps_around(-0.4, 0.1, like)), Advice::Topic::kTriad).value().advice,
              HasSubstr("no gain"));
}

TEST(Advice, SaysWhenThereIsLittleToGoBy) {
  EXPECT_THAT(find(inspect({{0.1}, {0.2}}), Advice::Topic::kData).value().finding,
              HasSubstr("only 2 steps were measured"));
}

// Agents measure what they log, and no layers: they are told nothing that their recipes do not have.
TEST(Advice, OfAgentsNamesTheirOwnSetting) {
  RunData run = run_of({{0.1}, {-0.2}});
  run.recipe = "name: x\nworlds:\n  environment: point-mass:4\n";
  const Inspection inspection = inspect_run(run, {});
  EXPECT_THAT(find(inspection, Advice::Topic::kData).value().advice, HasSubstr("train.log_every"));
  for (const Advice& item : inspection.advice) {
    EXPECT_THAT(item.advice, ::testing::Not(HasSubstr("diagnose_every")));
  }
  run.recipe = "name: worlds\ntasks: []\n";
  EXPECT_THAT(find(inspect_run(run, {}), Advice::Topic::kData).value().advice,
              HasSubstr("engine.diagnose_every"));
}

TEST(Advice, IsNotSureOfOneStep) {
  const RunData run = parse_run("r",
                                "",
                                R"({"type":"step","step":1,"losses":{"a":1,"b":1},)"
                                R"("cosines":{"a|b":-0.3},"grad_norms":{"a":1,"b":1}})",
                                "");
  const Inspection inspection = inspect_run(run, {.method = "ew"});
  ASSERT_FALSE(inspection.advice.empty());
  EXPECT_THAT(
      inspection.advice[0].finding,
      ::testing::HasSubstr("conflict in 100 % of the measured steps (mean cosine -0.30), but"));
  for (const Advice& item : inspection.advice) {
    EXPECT_THAT(item.finding, ::testing::Not(::testing::HasSubstr("nan")));
  }
}

}  // namespace
}  // namespace detente::report

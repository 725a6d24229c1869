// SPDX-License-Identifier: Apache-2.0
// The part of a run's page that shows what losses say of themselves and what a network sees.
#include <detente/core/error.h>
#include <detente/report/html_report.h>
#include <detente/report/monitor_charts.h>
#include <detente/report/run_charts.h>
#include <detente/report/run_data.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/error_of.h>
#include <tests/support/temp_dir.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

namespace detente::report {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kFinished = R"({"name": "demo", "status": "finished"})";

std::string log_of(int steps, const std::function<NamedNumbers(int)>& monitor) {
  std::string lines;
  for (int s = 1; s <= steps; ++s) {
    StepRecord record;
    record.epoch = 1;
    record.step = s;
    record.loss = 1.0 / s;
    record.losses = {{"dino", 1.0 / s}};
    record.monitor = monitor(s);
    lines += record.to_json().dump() + "\n";
  }
  return lines;
}

RunData run_of(int steps, const std::function<NamedNumbers(int)>& monitor) {
  return parse_run("demo", kFinished, log_of(steps, monitor), "");
}

NamedNumbers dino_numbers(double each, double all) {
  return {{"mean_entropy", each},
          {"entropy_of_mean", all},
          {"kl", 0.4},
          {"feature_deviation", 0.8},
          {"teacher_momentum", 0.996},
          {"teacher_temperature", 0.04}};
}

std::vector<std::string> titles(const RunData& run) {
  std::vector<std::string> out;
  for (const auto& [chart, caption] : monitor_charts(run)) out.push_back(chart.title);
  return out;
}

Pixels plain(std::size_t side, Color color) {
  Pixels pixels{side, side, {}};
  for (std::size_t i = 0; i < side * side; ++i) {
    pixels.rgb.insert(pixels.rgb.end(), {color.r, color.g, color.b});
  }
  return pixels;
}

// No two pixels alike, so that it does not pack.
Pixels noise(std::size_t side, std::uint32_t seed) {
  Pixels pixels{side, side, {}};
  for (std::size_t i = 0; i < 3 * side * side; ++i) {
    seed = seed * 1664525U + 1013904223U;
    pixels.rgb.push_back(static_cast<std::uint8_t>(seed >> 24U));
  }
  return pixels;
}

LookPixels made_looks(const std::function<Pixels()>& picture) {
  LookPixels looks;
  looks.epoch = 3;
  looks.searched = 640;
  looks.probe = "label";
  for (std::size_t i = 0; i < kViewedImages; ++i) {
    auto& viewed = looks.views.emplace_back();
    viewed.row = i + 1;
    viewed.image = picture();
    for (const char* name : {"global 1", "global 2", "local 1"}) {
      viewed.views.push_back({name, picture()});
    }
  }
  for (std::size_t i = 0; i < kAttendedImages; ++i) {
    looks.attention.push_back({i + 1, picture(), picture(), 3.25});
    auto& asked = looks.asked.emplace_back();
    asked.row = i + 1;
    asked.label = "cat";
    asked.image = picture();
    for (std::size_t n = 0; n < kNeighbours; ++n) {
      asked.nearest.push_back({n + 1, 0.5, n == 0 ? "cat" : "<b>dog", n == 0, picture()});
    }
  }
  return looks;
}

std::string page_with(const LookPixels& looks, const std::string& metrics = "") {
  return html_report(parse_run(
      "demo", kFinished, metrics, "", RunParts::kAll, "", looks_text(look_pictures(looks))));
}

TEST(MonitorPage, GroupsNumbersByWhatTheyAre) {
  EXPECT_THAT(titles(run_of(30, [](int) { return dino_numbers(0.5, 0.8); })),
              ElementsAre("Entropies of the teacher's answers",
                          "Divergence between the answers",
                          "Deviation of the features",
                          "Momentum of the teacher",
                          "Temperature of the teacher"));
  const RunData ddgsd = run_of(30, [](int s) {
    return NamedNumbers{
        {"ce_a", 1.0 / s}, {"ce_b", 1.1}, {"kl_ab", 1.0}, {"kl_ba", 2.0}, {"mmd", 0.01}};
  });
  EXPECT_THAT(titles(ddgsd),
              ElementsAre("Divergence between the answers",
                          "Cross-entropy of the two views",
                          "Discrepancy of the two views' features"));
  const RunData mutual = run_of(30, [](int) {
    return NamedNumbers{{"peer2.loss", 1.0}, {"peer3.loss", 1.2}};
  });
  const auto charts = monitor_charts(mutual);
  ASSERT_EQ(charts.size(), 1U);
  EXPECT_EQ(charts[0].first.title, "Losses of the peers");
  EXPECT_THAT(html_report(mutual), AllOf(HasSubstr("peer 2"), HasSubstr("peer 3")));
}

TEST(MonitorPage, PutsUnknownNumbersOfOneSizeTogether) {
  const RunData run = run_of(10, [](int) {
    return NamedNumbers{{"a", 0.002}, {"b", 3.0}, {"c", 4.0}, {"d", 0.0}};
  });
  EXPECT_THAT(titles(run), ElementsAre("a", "b, c, d"));
}

TEST(MonitorPage, DrawsTheZonesOfCollapse) {
  const RunData run = run_of(30, [](int) { return dino_numbers(0.5, 0.8); });
  const auto charts = monitor_charts(run);
  ASSERT_FALSE(charts.empty());
  const Chart& entropies = charts[0].first;
  ASSERT_EQ(entropies.zones_y.size(), 2U);
  EXPECT_EQ(entropies.zones_y[0].low, 0.99);
  EXPECT_EQ(entropies.zones_y[1].high, 0.1);
  const std::string html = html_report(run);
  EXPECT_THAT(html,
              AllOf(HasSubstr("<h2>Self-distillation</h2>"),
                    HasSubstr("uniform collapse"),
                    HasSubstr("one prototype"),
                    HasSubstr("neither zone of collapse is reached")));
}

TEST(MonitorPage, SaysWhatTheEntropiesMean) {
  const auto words = [](double each, double all) {
    return monitor_words(run_of(30, [&](int) { return dino_numbers(each, all); }));
  };
  EXPECT_THAT(words(0.995, 0.999), HasSubstr("a uniform collapse"));
  EXPECT_THAT(words(0.01, 0.05), HasSubstr("collapse to one prototype"));
  EXPECT_THAT(words(0.3, 0.8), HasSubstr("it tells images apart"));
  EXPECT_THAT(words(0.8, 0.81), HasSubstr("hardly tells images apart"));
  EXPECT_EQ(words(std::nan(""), 0.5), "");
  EXPECT_EQ(monitor_words(run_of(0, [](int) { return NamedNumbers{}; })), "");
}

TEST(MonitorPage, IsAbsentWithoutNumbersAndPictures) {
  const RunData none = run_of(10, [](int) { return NamedNumbers{}; });
  EXPECT_THAT(html_report(none), Not(HasSubstr("Self-distillation")));
  // As many as there are, none of them a number.
  const RunData nans = run_of(10, [](int) {
    const double nan = std::nan("");
    return NamedNumbers{{"mean_entropy", nan}, {"entropy_of_mean", nan}, {"other", nan}};
  });
  EXPECT_TRUE(monitor_charts(nans).empty());
  EXPECT_THAT(html_report(nans), Not(HasSubstr("Self-distillation")));
}

TEST(MonitorPage, SurvivesTheEndsOfEverything) {
  for (const int steps : {1, 2, 30000}) {
    const std::string html =
        html_report(run_of(steps, [](int s) { return dino_numbers(0.5 + 1e-5 * s, 0.8); }));
    EXPECT_THAT(html, AllOf(HasSubstr("Self-distillation"), Not(HasSubstr("nan"))));
    EXPECT_LT(html.size(), 1500000U);
  }
  const std::string html = html_report(run_of(20, [](int s) {
    return NamedNumbers{{"mean_entropy", s % 2 == 0 ? std::nan("") : 1e300},
                        {"entropy_of_mean", -1e300},
                        {"huge", s == 3 ? 1e308 : -1e308},
                        {"</script><b>", 1.0}};
  }));
  EXPECT_THAT(html, AllOf(Not(HasSubstr("<b>\"")), HasSubstr("&lt;/script&gt;&lt;b&gt;")));
}

TEST(MonitorPage, ShowsLooks) {
  const std::string html = page_with(made_looks([] { return plain(8, rgb(0x336699)); }));
  EXPECT_THAT(html,
              AllOf(HasSubstr("<h2>Self-distillation</h2>"),
                    HasSubstr("global 2"),
                    HasSubstr("What it looks at"),
                    HasSubstr("up to 3.25 ×"),
                    HasSubstr("validation row 1: cat"),
                    HasSubstr("cat ✓ 0.500"),
                    HasSubstr("&lt;b&gt;dog ✗"),
                    HasSubstr("6 of 30 have its class by label")));
  EXPECT_THAT(html, Not(HasSubstr("<b>dog")));
}

// Of a run with a probe and nothing else.
TEST(MonitorPage, ShowsNeighboursAlone) {
  LookPixels looks = made_looks([] { return plain(8, rgb(0x336699)); });
  looks.views.clear();
  looks.attention.clear();
  EXPECT_THAT(page_with(looks), AllOf(HasSubstr("<h2>Features</h2>"), HasSubstr("cat ✓")));
}

TEST(Looks, AreReadAsTheyAreWritten) {
  const RunLooks looks = look_pictures(made_looks([] { return noise(8, 5); }));
  const std::string text = looks_text(looks);
  const auto read = parse_looks(text);
  ASSERT_TRUE(read);
  EXPECT_EQ(looks_text(*read), text);
  EXPECT_EQ(read->asked[2].nearest[0].label, "cat");
  EXPECT_TRUE(read->asked[2].nearest[0].right);
  EXPECT_EQ(read->views[0].views.size(), 3U);
  const auto empty = parse_looks(looks_text({}));
  ASSERT_TRUE(empty);
  EXPECT_TRUE(empty->empty());
}

TEST(Looks, StaySmall) {
  std::uint32_t seed = 0;
  const RunLooks large = look_pictures(made_looks([&] { return noise(224, ++seed); }));
  const std::string text = looks_text(large);
  EXPECT_LT(text.size(), kMostLookPictures + 20000);
  EXPECT_FALSE(large.asked[0].image.empty());
  EXPECT_TRUE(parse_looks(text));
}

TEST(Looks, DamageIsTold) {
  const std::string whole = looks_text(look_pictures(made_looks([] { return noise(4, 1); })));
  std::string evil = whole;
  evil.replace(evil.find("iVBOR"), 5, "\\\"><b");
  for (const std::string& text : {std::string("{"),
                                  std::string("[]"),
                                  std::string("null"),
                                  whole.substr(0, whole.size() / 2),
                                  evil}) {
    const RunData run = parse_run("demo", kFinished, "", "", RunParts::kAll, "", text);
    EXPECT_THAT(html_report(run),
                AllOf(HasSubstr("looks.json is damaged"), Not(HasSubstr("What it looks at"))));
  }
}

TEST(Looks, AreReadFromTheFolder) {
  const test::TempDir dir;
  dir.write("summary.json", kFinished);
  EXPECT_FALSE(read_run(dir.path()).looks);
  dir.write("looks.json", looks_text(look_pictures(made_looks([] { return noise(4, 1); }))));
  EXPECT_TRUE(read_run(dir.path()).looks);
  EXPECT_FALSE(read_run(dir.path(), RunParts::kEpochs).looks);
  dir.write("looks.json", "");
  EXPECT_EQ(read_run(dir.path()).warnings().size(), 1U);
}

TEST(Looks, AttentionIsLightWhereItIsLarge) {
  const Pixels grey = plain(8, rgb(0x808080));
  const std::vector<float> weights = {0, 0, 0, 1};
  const Pixels drawn = attention_pixels(grey, weights, 2, 2);
  ASSERT_EQ(drawn.rgb.size(), grey.rgb.size());
  const auto sum = [&](std::size_t y, std::size_t x) {
    const std::uint8_t* at = drawn.rgb.data() + 3 * (8 * y + x);
    return int{at[0]} + at[1] + at[2];
  };
  EXPECT_GT(sum(7, 7), sum(4, 4));
  EXPECT_GT(sum(4, 4), sum(0, 0));
  // No difference is no light.
  EXPECT_EQ(attention_pixels(grey, std::vector<float>(4, 0.5F), 2, 2).rgb[0], drawn.rgb[0]);
  EXPECT_EQ(test::error_of([&] { attention_pixels(grey, weights, 3, 2); }).code(),
            ErrorCode::kShape);
}

TEST(Looks, RowsAreEvenlyChosen) {
  EXPECT_THAT(evenly_chosen(100, 4), ElementsAre(12U, 37U, 62U, 87U));
  EXPECT_THAT(evenly_chosen(3, 6), ElementsAre(0U, 1U, 2U));
  EXPECT_TRUE(evenly_chosen(0, 6).empty());
}

// Epochs 2 and 4 are probed.
RunData probed_run() {
  std::string lines = log_of(4, [](int) { return NamedNumbers{}; });
  for (int e = 1; e <= 4; ++e) {
    EpochRecord record;
    record.epoch = e;
    record.step = e;
    record.train_losses = {{"dino", 0.5}};
    record.best = e == 4;
    if (e % 2 == 0) {
      record.dev = {{"label",
                     {{"knn20", 0.1 * e},
                      {"linear", 0.2 * e},
                      {"raw_knn20", 0.25},
                      {"raw_linear", 0.31},
                      {"untrained_knn20", 0.22}}}};
    }
    lines += record.to_json().dump() + "\n";
  }
  return parse_run("demo", kFinished, lines, "");
}

TEST(ProbeMetrics, AreBetterWhenHigher) {
  for (const char* name : {"knn20",
                           "knn10",
                           "knn100",
                           "knn200",
                           "linear",
                           "raw_knn20",
                           "raw_linear",
                           "untrained_knn20",
                           "untrained_linear"}) {
    EXPECT_FALSE(lower_is_better(name)) << name;
  }
  EXPECT_TRUE(lower_is_better("raw_mae"));
  EXPECT_EQ(baseline_of("untrained_linear")->metric, "linear");
  EXPECT_FALSE(baseline_of("linear"));
  EXPECT_FALSE(baseline_of("raw_"));
  EXPECT_EQ(metric_text("knn20"), "knn20");
  EXPECT_EQ(metric_text("raw_knn20"), "knn20 of the raw inputs");
}

TEST(ProbeMetrics, BaselinesAreDashedLinesOfTheirMetric) {
  const auto charts = dev_charts(probed_run());
  ASSERT_EQ(charts.size(), 1U);
  EXPECT_EQ(charts[0].title, "Dev scores: label");
  std::vector<std::string> names;
  for (const Series& series : charts[0].series) {
    names.push_back(series.name);
    EXPECT_EQ(series.x, (std::vector<double>{2, 4})) << series.name;
    EXPECT_EQ(series.dash > 0, series.name.find(": ") != std::string::npos) << series.name;
  }
  EXPECT_THAT(names,
              ElementsAre("knn20",
                          "raw inputs: knn20",
                          "untrained network: knn20",
                          "linear",
                          "raw inputs: linear"));
  EXPECT_EQ(charts[0].series[0].color, charts[0].series[1].color);
  EXPECT_FALSE(charts[0].series[0].color == charts[0].series[3].color);
}

TEST(ProbeMetrics, BaselinesAreRowsOfTheTable) {
  const std::string html = html_report(probed_run());
  EXPECT_THAT(html,
              AllOf(HasSubstr("label, raw inputs"),
                    HasSubstr("label, untrained network"),
                    HasSubstr("raw inputs 0.250"),
                    Not(HasSubstr("raw_knn20"))));
  // One loss, and a probe that has none.
  EXPECT_THAT(html, HasSubstr("There is only one task"));
}

TEST(ProbeMetrics, WithoutAnyTheLastEpochIsKept) {
  const RunData run = parse_run("demo", R"({"epochs": 3, "best_epoch": 3, "tasks": {}})", "", "");
  EXPECT_THAT(html_report(run),
              AllOf(HasSubstr("nothing was measured to choose one by"),
                    Not(HasSubstr("the best on the dev rows"))));
}

}  // namespace
}  // namespace detente::report

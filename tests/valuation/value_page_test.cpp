// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/nan.h>
#include <detente/core/rng.h>
#include <detente/report/pixels.h>
#include <detente/valuation/value_charts.h>
#include <detente/valuation/value_page.h>
#include <detente/valuation/value_summary.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/valuation/made_values.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

namespace detente::valuation {
namespace {

using test::table_of;
using test::two_task_table;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kEvil = "</script><b a=\"'\xff\x01 한국어 עברית";

std::size_t times(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

std::string some_png(std::size_t seed) {
  report::Pixels pixels{28, 28, {}};
  Rng rng(seed);
  for (std::size_t i = 0; i < 28U * 28U; ++i) {
    const bool stroke = (i % 28 > 8 + seed % 5 && i % 28 < 14 + seed % 5) || i / 28 == seed % 28;
    const auto grey = static_cast<std::uint8_t>((stroke ? 200 : 20) + rng.below(40));
    pixels.rgb.insert(pixels.rgb.end(), {grey, grey, grey});
  }
  return report::base64(report::png_bytes(pixels));
}

// Eight thousand samples a second, a tone.
std::string some_wav() {
  const auto word = [](std::uint32_t value, int bytes) {
    std::string out;
    for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i) & 0xffU);
    return out;
  };
  std::string samples;
  for (int i = 0; i < 800; ++i) samples += static_cast<char>(128 + 90 * std::sin(i * 0.35));
  return report::base64("RIFF" + word(36 + 800, 4) + "WAVEfmt " + word(16, 4) + word(1, 2) +
                        word(1, 2) + word(8000, 4) + word(8000, 4) + word(1, 2) + word(8, 2) +
                        "data" + word(800, 4) + samples);
}

ValuePageInput full_input(const ValueTable& table) {
  ValuePageInput input;
  input.run = "two_digits";
  input.audit = ValueAudit{3.1e-8, 0.01234, 0.0021, 0.01444, 940};
  input.show = [](std::int64_t id) {
    ShownExample shown;
    shown.file = "train.csv";
    shown.row = id;
    shown.line = id + 2;
    shown.cells = {{"image", "digits/" + std::to_string(id) + ".png"},
                   {"sentence", "a small \"table\" row <b>, 한국어 문장 " + std::to_string(id)}};
    shown.png = some_png(static_cast<std::size_t>(id));
    shown.wav = some_wav();
    return shown;
  };
  for (const std::string& task : tasks_judged(table)) {
    TaskLabels labels{task, {}};
    for (std::size_t i = 0; i < table.ids.size(); ++i) {
      labels.given.push_back("digit " + std::to_string(i % 10));
      labels.disagreement.push_back(i % 7 == 0 ? 0.9 : 0.1);
    }
    input.labels.push_back(labels);
  }
  for (std::size_t i = 0; i < table.ids.size(); ++i) {
    input.sources.push_back(i % 5 == 0 ? "noisy_room" : "studio");
  }
  input.suspects = suspects(table, input.labels, 30);
  const std::vector<double> shares = {0, 0.1, 0.2, 0.3, 0.4};
  input.removal = {{"image_digit",
                    "accuracy",
                    {{"lowest values first",
                      shares,
                      {0.9, 0.93, 0.94, 0.93, 0.9},
                      {0.89, 0.92, 0.93, 0.91, 0.88},
                      {0.91, 0.94, 0.95, 0.95, 0.92}},
                     {"at random",
                      shares,
                      {0.9, 0.895, 0.885, 0.87, 0.86},
                      {0.89, 0.88, 0.87, 0.85, 0.84},
                      {0.91, 0.91, 0.9, 0.89, 0.88}}}}};
  return input;
}

TEST(ValuePage, ShowsEverythingThatIsThere) {
  const ValueTable table = two_task_table(300);
  const std::string html = value_page(table, full_input(table));
  EXPECT_THAT(html,
              AllOf(HasSubstr("What the examples are worth"),
                    HasSubstr("two_digits"),
                    HasSubstr("method in_run"),
                    HasSubstr("Audit: the values sum to 0.0123, and 0.0021 belongs to no single"),
                    HasSubstr("of 940 audited steps is 3.1e-8"),
                    HasSubstr("no detector of wrong labels"),
                    HasSubstr("Which task helps which"),
                    HasSubstr("Mean value of an example"),
                    HasSubstr("share below 0"),
                    HasSubstr("Mean value of an example through each modality."),
                    HasSubstr("Most harmful to spoken_digit through audio")));
  EXPECT_THAT(html,
              AllOf(HasSubstr("value, in 1e-6"),
                    HasSubstr("image_digit by class"),
                    HasSubstr("spoken_digit by source"),
                    HasSubstr("Most harmful to image_digit"),
                    HasSubstr("Most helpful to spoken_digit"),
                    HasSubstr("Harmful to spoken_digit and to no other task"),
                    HasSubstr("train.csv, line"),
                    HasSubstr("Labels to look at"),
                    HasSubstr("Suspects of spoken_digit"),
                    HasSubstr("What is lost when examples are removed"),
                    HasSubstr("at random"),
                    HasSubstr("so every verdict is undecided")));
  // Eight of each kind: harmful, helpful, harmful to this task alone, suspects, and through two modalities.
  EXPECT_EQ(times(html, "<audio controls"), 2U * 6U * 8U);
  EXPECT_EQ(times(html, "src=\"data:image/png;base64,"), 2U * 6U * 8U);
  EXPECT_THAT(html, AllOf(Not(HasSubstr("nan")), Not(HasSubstr("http-equiv"))));
  // For looking at it.
  if (const char* file = std::getenv("DETENTE_WRITE_VALUE_PAGE")) std::ofstream(file) << html;
}

TEST(ValuePage, CountsVerdicts) {
  const ValueTable table = table_of({1, -1, 0.1, -5, kNan}, {0.1, 0.1, 0.1, kNan, 0.1});
  const std::string html = value_page(table, {});
  EXPECT_THAT(html,
              AllOf(HasSubstr(verdict_words().substr(0, 40)),
                    HasSubstr("<td class=\"r\">4</td>"),
                    HasSubstr("harmful to sort"),
                    HasSubstr("25 %"),
                    HasSubstr("1 example is without a value."),
                    HasSubstr("harmful (standard error 0.1)"),
                    HasSubstr("Most helpful to sort")));
  EXPECT_THAT(html, AllOf(Not(HasSubstr("no standard errors")), Not(HasSubstr("Audit"))));
}

TEST(ValuePage, EscapesWhateverTheDataHold) {
  ValueTable table = two_task_table(12);
  table.method = kEvil;
  for (ValueSeries& series : table.series) {
    if (series.task_judged == "image_digit") series.task_judged = kEvil;
    if (series.task_trained == "image_digit") series.task_trained = kEvil;
    if (series.modality == "audio") series.modality = kEvil;
  }
  ValuePageInput input;
  input.run = kEvil;
  input.notes = {kEvil};
  input.labels = {{kEvil, std::vector<std::string>(12, kEvil)}};
  input.labels[0].given[3] = "other";
  input.sources = std::vector<std::string>(12, kEvil);
  input.sources[2] = "else";
  input.show = [](std::int64_t) {
    ShownExample shown;
    shown.file = kEvil;
    shown.cells = {{kEvil, kEvil}};
    shown.png = kEvil;
    shown.wav = kEvil;
    return shown;
  };
  input.suspects = suspects(table, input.labels, 5);
  input.removal = {{kEvil, kEvil, {{kEvil, {0, 0.5}, {1, 0.5}}}}};
  const std::string html = value_page(table, input);
  EXPECT_THAT(html, AllOf(Not(HasSubstr("<b a")), Not(HasSubstr("\xff")), Not(HasSubstr("\x01"))));
  EXPECT_THAT(html, AllOf(HasSubstr("&lt;b a=&quot;"), HasSubstr("한국어 עברית")));
  // What is no picture and no sound is left out.
  EXPECT_THAT(html, AllOf(Not(HasSubstr("<img")), Not(HasSubstr("<audio"))));
}

TEST(ValuePage, ShowsTablesOfAnySizeAndValue) {
  const double most = std::numeric_limits<double>::max();
  for (const std::vector<double>& values :
       std::vector<std::vector<double>>{{},
                                        {3},
                                        {0},
                                        {kNan},
                                        {kNan, kNan, kNan},
                                        {2, 2, 2},
                                        {0, 0, 0},
                                        {1e300, -1e300, 1},
                                        {most, -most, 0},
                                        {most, most},
                                        {5e-324, -5e-324},
                                        {1, HUGE_VAL, -HUGE_VAL},
                                        {1e-7, 1, -1e9}}) {
    const ValueTable table = table_of(values);
    ValuePageInput input;
    input.labels = {{"sort", std::vector<std::string>(values.size(), "a")}};
    if (!values.empty()) input.labels[0].given[0] = "b";
    input.suspects = suspects(table, input.labels, 10);
    const std::string html = value_page(table, input);
    EXPECT_THAT(html, HasSubstr("</html>"));
    EXPECT_THAT(html, AllOf(Not(HasSubstr(">nan")), Not(HasSubstr("=\"nan")))) << values.size();
    EXPECT_THAT(html,
                AllOf(Not(HasSubstr("=\"inf")), Not(HasSubstr(",nan")), Not(HasSubstr("-nan"))));
  }
  ValueTable none;
  none.method = "loss";
  EXPECT_THAT(value_page(none, {}), HasSubstr("There are no values to show."));
  // Tasks of huge values beside each other.
  ValueTable tasks = two_task_table(4);
  for (ValueSeries& series : tasks.series) series.values = {most, -most, most, 1};
  EXPECT_THAT(value_page(tasks, {}), HasSubstr("</html>"));
}

TEST(ValuePage, AsksForNoExampleTwice) {
  const ValueTable table = two_task_table(40);
  std::vector<std::int64_t> asked;
  ValuePageInput input;
  input.show = [&](std::int64_t id) {
    asked.push_back(id);
    return ShownExample{};
  };
  input.most_shown = 40;
  value_page(table, input);
  std::sort(asked.begin(), asked.end());
  EXPECT_EQ(std::adjacent_find(asked.begin(), asked.end()), asked.end());
  EXPECT_EQ(asked.size(), 40U);
}

TEST(ValuePage, RefusesWhatDoesNotFit) {
  ValueTable table = table_of({1, 2});
  ValuePageInput input;
  input.sources = {"a"};
  EXPECT_THROW(value_page(table, input), Error);
  input = {};
  input.labels = {{"sort", {"a"}}};
  EXPECT_THROW(value_page(table, input), Error);
  input = {};
  input.removal = {{"sort", "accuracy", {{"line", {0, 1}, {1}}}}};
  EXPECT_THROW(value_page(table, input), Error);
  table.series[0].values.pop_back();
  EXPECT_THROW(value_page(table, {}), Error);
}

TEST(ValueSummary, SumsWhatIsToldApart) {
  const ValueTable table = two_task_table(5);
  const auto all = joined_series(table, "image_digit");
  ASSERT_TRUE(all);
  double expected = 0;
  for (const ValueSeries& series : table.series) {
    if (series.task_judged == "image_digit") expected += series.values[2];
  }
  EXPECT_NEAR(all->values[2], expected, 1e-18);
  const auto sound = joined_series(table, "image_digit", "spoken_digit", "audio");
  ASSERT_TRUE(sound);
  EXPECT_EQ(sound->values, table.series[5].values);
  EXPECT_FALSE(joined_series(table, "image_digit", "nothing"));
  EXPECT_FALSE(joined_series(table, "all"));
}

TEST(ValueSummary, FewModalitiesAreLookedAtOneByOne) {
  ValueTable table = two_task_table(3);
  EXPECT_THAT(few_modalities(table), ElementsAre("image", "audio"));
  const ValueSeries one = table.series[0];
  for (int i = 0; i < 4; ++i) {
    table.series.push_back(one);
    table.series.back().modality = "layer " + std::to_string(i);
  }
  EXPECT_EQ(few_modalities(table).size(), 6U);
  table.series.push_back(one);
  table.series.back().modality = "seventh";
  EXPECT_TRUE(few_modalities(table).empty());
  table.series = {one};
  EXPECT_TRUE(few_modalities(table).empty());
  EXPECT_TRUE(few_modalities(table_of({1, 2})).empty());
}

TEST(ValueSummary, PrefersWhatWasNotToldApart) {
  ValueTable table = two_task_table(2);
  table.series.push_back({kAll, "image_digit", kAll, {7, 8}});
  EXPECT_THAT(joined_series(table, "image_digit")->values, ElementsAre(7, 8));
}

TEST(ValueSummary, UnknownValuesAndErrorsStayUnknown) {
  ValueTable table = table_of({1, kNan, kNan, 4}, {0.5, 1, 1, kNan});
  ValueSeries more = table.series[0];
  more.modality = "b";
  more.values = {2, 3, kNan, 5};
  more.standard_errors = {0.25, 0.5, 1, 1};
  table.series.push_back(more);
  table.series[0].modality = "a";
  const auto sum = joined_series(table, "sort");
  EXPECT_EQ(sum->values[0], 3);
  EXPECT_EQ(sum->standard_errors[0], 0.75);
  EXPECT_EQ(sum->values[1], 3);
  EXPECT_EQ(sum->standard_errors[1], 0.5);
  EXPECT_TRUE(std::isnan(sum->values[2]));
  EXPECT_EQ(sum->values[3], 9);
  EXPECT_TRUE(std::isnan(sum->standard_errors[3]));
  const ValueSummary summary = summarize(*sum);
  EXPECT_EQ(summary.known, 3U);
  EXPECT_EQ(summary.helpful, 2U);
  EXPECT_EQ(summary.undecided, 1U);
  EXPECT_EQ(summary.mean, 5);
}

TEST(ValueCharts, GroupsComeLowestFirst) {
  std::size_t left_out = 0;
  const std::vector<double> values = {3, -1, 2, kNan, -5, 9};
  const std::vector<std::string> names = {"a", "b", "a", "c", "b", ""};
  const auto groups = grouped(values, names, 1, left_out);
  ASSERT_EQ(groups.size(), 1U);
  EXPECT_EQ(groups[0].name, "b");
  EXPECT_THAT(groups[0].values, ElementsAre(-5, -1));
  EXPECT_EQ(left_out, 1U);
}

TEST(ValueCharts, BarsOfAHistogramHoldEveryValue) {
  std::vector<double> values;
  Rng rng(3);
  for (int i = 0; i < 5000; ++i) values.push_back(rng.normal());
  values.push_back(1e6);
  values.push_back(-1e6);
  std::vector<report::HtmlPage::Mark> marks;
  std::size_t outside = 0;
  histogram(values, marks, outside);
  double counted = 0;
  for (const auto& mark : marks) {
    std::string digits = mark.text.substr(0, mark.text.find(' '));
    std::erase(digits, ',');
    counted += std::stod(digits);
  }
  EXPECT_EQ(counted, 5002);
  EXPECT_GE(outside, 2U);
  EXPECT_LE(outside, 60U);
}

}  // namespace
}  // namespace detente::valuation

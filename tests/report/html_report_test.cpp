// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/rng.h>
#include <detente/report/html_comparison.h>
#include <detente/report/html_page.h>
#include <detente/report/html_report.h>
#include <detente/report/run_charts.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/report/count.h"

namespace detente::report {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// A run as the training loop would leave it; `conflict` is the share of steps with cosine < 0.
RunData made_run(const std::vector<std::string>& tasks,
                 int steps,
                 int epochs,
                 double conflict,
                 const std::string& method = "cagrad") {
  Rng rng(7);
  std::string lines;
  for (int s = 1; s <= steps; ++s) {
    Json record = {{"type", "step"}, {"epoch", 1}, {"step", s}, {"lr", 1e-3}, {"loss", 1.0 / s}};
    bool any = false;
    for (std::size_t i = 0; i < tasks.size(); ++i) {
      record["losses"][tasks[i]] = 1.0 / s + 0.1 * rng.uniform();
      record["weights"][tasks[i]] = 1.0 / static_cast<double>(tasks.size());
      record["grad_norms"][tasks[i]] = 0.5 + rng.uniform();
      for (std::size_t j = i + 1; j < tasks.size(); ++j) {
        const bool negative = s <= conflict * steps;
        record["cosines"][tasks[i] + "|" + tasks[j]] = negative ? -0.25 : 0.5;
        any = any || negative;
      }
    }
    record["conflict"] = any;
    record["direction_norm"] = 0.3;
    record["ms"] = {{"total", 20.0}, {"forward", 8.0}};
    lines += record.dump() + "\n";
  }
  Json results;
  for (int e = 1; e <= epochs; ++e) {
    Json record = {{"type", "epoch"},
                   {"epoch", e},
                   {"step", e * 10},
                   {"seconds", 2.0},
                   {"examples_per_second", 1500.0},
                   {"best", e == epochs}};
    for (const auto& task : tasks) {
      results[task] = {{"pearson", 0.5 + 0.01 * e}, {"mae", 1.0 - 0.01 * e}};
      record["train_losses"][task] = 0.123;
    }
    record["dev"] = results;
    lines += record.dump() + "\n";
  }
  const Json summary = {{"name", "demo"},
                        {"method", method},
                        {"status", "finished"},
                        {"epochs", epochs},
                        {"best_epoch", epochs},
                        {"tasks", results},
                        {"train_rows", 11668},
                        {"seconds", 192.0}};
  return parse_run("demo", summary.dump(), lines, "seed: 0 # <recipe>\n");
}

// What makes the page safe to mail: nothing is fetched, tags are balanced, no broken numbers.
void expect_sound(const std::string& html) {
  for (const char* outside : {"http://", "https://", "@import", " src=", "<link"}) {
    std::string rest = html;
    for (auto at = rest.find("http://www.w3.org/2000/svg"); at != std::string::npos;
         at = rest.find("http://www.w3.org/2000/svg")) {
      rest.erase(at, 26);  // the name of SVG, not an address that is loaded
    }
    EXPECT_THAT(rest, Not(HasSubstr(outside)));
  }
  for (const char* tag : {"svg", "g", "figure", "table", "div", "details", "script", "main"}) {
    EXPECT_EQ(count(html, std::string("<") + tag + " ") + count(html, std::string("<") + tag + ">"),
              count(html, std::string("</") + tag + ">"))
        << tag;
  }
  for (const char* broken : {"\"nan", "nan\"", ",nan", "inf,", "[[null", "],[null"}) {
    EXPECT_THAT(html, Not(HasSubstr(broken)));
  }
}

TEST(HtmlReport, ShowsResultsConflictAndRecipe) {
  const std::string html = html_report(made_run({"score", "same"}, 200, 3, 0.25));
  expect_sound(html);
  EXPECT_THAT(html, HasSubstr("<h1>demo</h1>"));
  EXPECT_THAT(html, HasSubstr("method cagrad"));
  EXPECT_THAT(html, HasSubstr("11,668 training rows"));
  EXPECT_THAT(html, HasSubstr("3 min 12 s"));
  EXPECT_THAT(html, HasSubstr("The two tasks conflicted in 25\u00A0% of the steps"));
  EXPECT_THAT(html,
              HasSubstr("Conflict faded over the training: 100\u00A0% in its first quarter, "
                        "0\u00A0% in its last."));
  EXPECT_THAT(html, HasSubstr("<td class=\"r\">0.5300</td>"));
  EXPECT_THAT(html, HasSubstr("seed: 0 # &lt;recipe&gt;"));
  for (const char* title : {"Training loss per task",
                            "Dev scores: score",
                            "Dev errors",
                            "Cosine between the tasks&#39; gradients",
                            "Steps in conflict",
                            "Task weights",
                            "Gradient norms",
                            "Time per step",
                            "Learning rate"}) {
    EXPECT_THAT(html, HasSubstr(title));
  }
}

TEST(HtmlReport, LeavesOutGradientsOfASingleTask) {
  const std::string html = html_report(made_run({"score"}, 50, 2, 0));
  expect_sound(html);
  EXPECT_THAT(html, HasSubstr("There is only one task"));
  EXPECT_THAT(html, Not(HasSubstr("Cosine between")));
}

TEST(HtmlReport, StaysReadableWithFiftyTasks) {
  std::vector<std::string> tasks;
  for (int i = 0; i < 50; ++i) tasks.push_back("task" + std::to_string(i));
  const RunData run = made_run(tasks, 40, 2, 0.5);
  ASSERT_EQ(run.cosines.names.size(), 50U * 49 / 2);
  EXPECT_EQ(highlighted_tasks(run).size(), kHighlighted);
  EXPECT_EQ(highlighted_pairs(run).size(), kHighlighted);
  const std::string html = html_report(run);
  expect_sound(html);
  EXPECT_THAT(html, HasSubstr("At least two of the 50 tasks conflicted in 50\u00A0%"));
  EXPECT_THAT(html, HasSubstr("most opposed of 1225 pairs"));
  EXPECT_THAT(html, HasSubstr("Mean cosine of every pair"));
  EXPECT_LT(html.size(), 4'000'000U);
}

TEST(HtmlReport, HighlightsTheMostOpposedTasks) {
  std::vector<std::string> tasks;
  for (int i = 0; i < 10; ++i) tasks.push_back("t" + std::to_string(i));
  RunData run = made_run(tasks, 10, 1, 0);
  for (std::size_t p = 0; p < run.cosines.names.size(); ++p) {
    if (run.cosines.names[p].ends_with("|t7")) {
      std::fill(run.cosines.values[p].begin(), run.cosines.values[p].end(), -0.9);
    }
  }
  EXPECT_EQ(highlighted_tasks(run).front(), 7U);
  EXPECT_THAT(run.cosines.names[highlighted_pairs(run).front()], ::testing::EndsWith("|t7"));
}

TEST(HtmlReport, DescribesAnInterruptedRun) {
  RunData run = made_run({"a", "b"}, 12, 0, 0);
  run.summary = {{"status", "interrupted"}};
  const std::string html = html_report(run);
  expect_sound(html);
  EXPECT_THAT(html, HasSubstr("This run was interrupted after step 12. No epoch was completed"));
  EXPECT_THAT(html, HasSubstr("Training loss per task"));
}

TEST(HtmlReport, NeedsNothingButAFolder) {
  const std::string html = html_report(parse_run("bare", "{}", "", ""));
  expect_sound(html);
  EXPECT_THAT(html, HasSubstr("<h1>bare</h1>"));
  EXPECT_THAT(html, Not(HasSubstr("<figure")));
}

TEST(HtmlReport, AdmitsThatConflictWasNotMeasured) {
  RunData run = made_run({"a", "b"}, 10, 1, 0);
  run.conflict.assign(run.conflict.size(), std::nan(""));
  EXPECT_THAT(conflict_words(run), HasSubstr("not measured"));
}

TEST(HtmlReport, EscapesEverythingFromFiles) {
  const std::string tag = "</script><img onerror=alert(1)>\"'&";
  const std::string bad = tag + "\xFF";  // JSON never lets such bytes in, a recipe or label may
  RunData run = made_run({tag, "b"}, 20, 2, 0.5);
  run.summary["name"] = bad;
  run.summary["method"] = bad;
  run.summary["engine"] = bad;
  run.recipe = "x: </pre><script>alert(1)</script>";
  for (const std::string& html : {html_report(run),
                                  html_comparison(bad,
                                                  std::vector<ComparedRun>{{bad, run, bad}},
                                                  std::vector<Baseline>{{bad, Json::object()}})}) {
    expect_sound(html);
    EXPECT_THAT(html, Not(HasSubstr("<img")));
    EXPECT_THAT(html, Not(HasSubstr("<script>alert")));
    EXPECT_THAT(html, Not(HasSubstr("\xFF")));
  }
}

TEST(HtmlReport, IsWrittenIntoTheRunFolder) {
  const fs::path folder = fs::path(::testing::TempDir()) / "detente_html_run";
  fs::remove_all(folder);
  fs::create_directories(folder);
  write_file_atomic(folder / "summary.json", R"({"name":"one"})");
  write_html_report(folder);
  EXPECT_THAT(read_file(folder / "report.html"), HasSubstr("<h1>one</h1>"));
  fs::remove_all(folder);
}

TEST(Comparison, MarksTheBestOfEachRow) {
  RunData first = made_run({"a"}, 20, 1, 0, "ew");
  RunData second = made_run({"a"}, 20, 1, 0, "cagrad");
  first.summary["tasks"] = {{"a", {{"pearson", 0.5}, {"mae", 0.9}, {"f1", 0.25}}}};
  second.summary["tasks"] = {{"a", {{"pearson", 0.6}, {"mae", 1.1}, {"f1", 0.25}}}};
  const std::vector<ComparedRun> runs = {{"ew", first, ""}, {"cagrad", second, ""}};
  const std::vector<Baseline> baselines = {{"lexical", Json{{"a", {{"pearson", 0.7}}}}}};
  const Comparison out = compare_runs(runs, baselines);
  EXPECT_EQ(out.table.row(0),
            (std::vector<std::string>{"a", "pearson", "0.7000", "0.5000", "0.6000"}));
  EXPECT_EQ(out.table.row(1), (std::vector<std::string>{"a", "mae", "–", "0.9000", "1.1000"}));
  using Cells = std::vector<std::pair<std::size_t, std::size_t>>;
  // pearson: the baseline; mae: the lower one; f1: both.
  EXPECT_EQ(out.best, (Cells{{0, 2}, {1, 3}, {2, 3}, {2, 4}}));
}

TEST(Comparison, OverlaysRunsAndLinksTheirReports) {
  const std::vector<ComparedRun> runs = {
      {"ew", made_run({"a", "b"}, 60, 2, 0.5, "ew"), "ew/report.html"},
      {"cagrad", made_run({"a", "b"}, 60, 2, 0.1), "cagrad/report.html"}};
  const std::string html = html_comparison("ew against cagrad", runs);
  expect_sound(html);
  EXPECT_THAT(html, HasSubstr("<a href=\"cagrad/report.html\">cagrad</a>"));
  EXPECT_THAT(html, HasSubstr("50\u00A0% of the steps with ew"));
  for (const char* title :
       {"Dev a: pearson", "Dev b: mae", "Training loss: b", "Steps in conflict"}) {
    EXPECT_THAT(html, HasSubstr(title));
  }
}

TEST(Comparison, NamesRunsOfOneMethodByTheirFolders) {
  const fs::path root = fs::path(::testing::TempDir()) / "detente_compare";
  fs::remove_all(root);
  for (const char* name : {"seed0", "seed1"}) {
    fs::create_directories(root / name);
    write_file_atomic(root / name / "summary.json", R"({"method":"ew","tasks":{"a":{"f1":0.5}}})");
  }
  write_html_report(root / "seed0");
  const std::vector<fs::path> dirs = {root / "seed0", root / "seed1"};
  const Comparison out = write_comparison_html(root / "compare.html", "two seeds", dirs);
  EXPECT_EQ(out.table.columns()[2].title, "seed0");
  EXPECT_EQ(out.table.columns()[3].title, "seed1");
  EXPECT_THAT(read_file(root / "compare.html"),
              AllOf(HasSubstr("href=\"seed0/report.html\""), Not(HasSubstr("href=\"seed1"))));
  fs::remove_all(root);
}

TEST(Comparison, AFoldersNameIsNoScheme) {
  const fs::path root = fs::path(::testing::TempDir()) / "detente_schemes";
  fs::remove_all(root);
  const std::string name = "javascript:alert(1)";
  fs::create_directories(root / name);
  write_file_atomic(root / name / "summary.json", R"({"method":"ew","tasks":{"a":{"f1":0.5}}})");
  write_html_report(root / name);
  write_comparison_html(root / "c.html", "one", std::vector<fs::path>{root / name});
  EXPECT_THAT(read_file(root / "c.html"),
              AllOf(HasSubstr("href=\"./javascript%3Aalert%281%29/report.html\""),
                    Not(HasSubstr("href=\"javascript"))));
  fs::remove_all(root);
}

TEST(Comparison, SaysWhatCouldNotBeRead) {
  RunData run = made_run({"a", "b"}, 20, 1, 0.5);
  run.folder = "seed0";
  run.unreadable_lines = {3};
  const std::vector<ComparedRun> runs = {{"ew", run, ""}};
  EXPECT_THAT(
      compare_runs(runs).warnings,
      ::testing::ElementsAre("seed0: line 3 of metrics.jsonl could not be read and is left out."));
  for (const std::string& html : {html_comparison("one", runs), html_report(run)}) {
    EXPECT_THAT(html, HasSubstr("line 3 of metrics.jsonl could not be read"));
  }
}

TEST(Href, EncodesWhatAnAddressMayNotHold) {
  EXPECT_EQ(href("../a/report.html"), "../a/report.html");
  EXPECT_EQ(href("50% of/#1?.html"), "50%25%20of/%231%3F.html");
  EXPECT_EQ(href("실행/r.html"), "%EC%8B%A4%ED%96%89/r.html");
  EXPECT_EQ(href("a/b:c.html"), "a/b%3Ac.html");
  EXPECT_EQ(href("data:x"), "./data%3Ax");
  EXPECT_EQ(href("\"><b>"), "%22%3E%3Cb%3E");
  EXPECT_EQ(href("\xff"), "%FF");
}

TEST(Words, FormatNumbersForPeople) {
  EXPECT_EQ(count_text(1234567), "1,234,567");
  EXPECT_EQ(count_text(999), "999");
  EXPECT_EQ(count_text(-1000), "-1,000");
  EXPECT_EQ(count_text(-100), "-100");
  EXPECT_EQ(count_text(1, "step"), "1 step");
  EXPECT_EQ(count_text(1234, "step"), "1,234 steps");
  EXPECT_EQ(value_text(0.5), "0.5000");
  EXPECT_EQ(value_text(1.5e-7), "1.5e-07");
  EXPECT_EQ(value_text(std::nan("")), "–");
  EXPECT_EQ(value_text(9999.5), "9999.5000");
  EXPECT_EQ(value_text(12345.678), "12345.7");
  EXPECT_EQ(value_text(-1.23456789e300), "-1.23457e+300");
  EXPECT_EQ(percent_text(0.374), "37 %");
  EXPECT_EQ(percent_text(0.001), "< 1 %");
  EXPECT_EQ(percent_text(0), "0 %");
  EXPECT_EQ(duration_text(3.25), "3.2 s");
  EXPECT_EQ(duration_text(59.6), "1 min 0 s");
  EXPECT_EQ(duration_text(7322), "2 h 2 min");
}

}  // namespace
}  // namespace detente::report

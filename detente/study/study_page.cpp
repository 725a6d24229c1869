// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/version.h>
#include <detente/report/html_page.h>
#include <detente/report/run_charts.h>
#include <detente/report/run_data.h>
#include <detente/study/study_page.h>
#include <detente/study/tables.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace detente::study {
namespace {

namespace fs = std::filesystem;
using report::Canvas;
using report::Point;

constexpr std::size_t kMostFigures = 12;

// The methods' means with their intervals as bars above one axis, the reference's mean as a line through
// all of them.
Canvas interval_figure(const std::vector<const MetricRow*>& rows, const std::string& reference) {
  constexpr double kWidth = 480;
  constexpr double kRow = 26;
  constexpr double kTop = 8;
  double label = 60;
  double low = HUGE_VAL;
  double high = -HUGE_VAL;
  for (const MetricRow* row : rows) {
    label = std::max(label, std::min(180.0, report::text_width(row->method, 12) + 16));
    for (const double value : {row->estimate.mean, row->estimate.low, row->estimate.high}) {
      if (!std::isfinite(value)) continue;
      low = std::min(low, value);
      high = std::max(high, value);
    }
  }
  const double bottom = kTop + kRow * static_cast<double>(rows.size());
  Canvas canvas(kWidth, bottom + 30);
  if (low > high) {
    canvas.text(
        {kWidth / 2, bottom / 2}, "no data", {12, report::rgb(0x888888), report::Anchor::kMiddle});
    return canvas;
  }
  // A constant still needs an axis of some length.
  const double room = std::max((high - low) * 0.06, std::max(std::abs(high), 1e-6) * 1e-3);
  low -= room;
  high += room;
  const auto x_of = [&](double value) {
    return label + (kWidth - label - 16) * (value - low) / (high - low);
  };
  const auto ticks = report::round_ticks(low, high, 4);
  const double step = ticks.size() > 1 ? ticks[1] - ticks[0] : high - low;
  for (const double tick : ticks) {
    canvas.line({{x_of(tick), kTop}, {x_of(tick), bottom}}, {report::rgb(0xdddddd), 1});
    canvas.text({x_of(tick), bottom + 18},
                report::tick_text(tick, step),
                {11, report::rgb(0x666666), report::Anchor::kMiddle});
  }
  std::size_t methods = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const MetricRow& row = *rows[i];
    // The methods' colours are those of their curves.
    const report::Color color =
        row.method == "single" ? report::rgb(0x777777) : report::line_color(methods++);
    const double y = kTop + kRow * (static_cast<double>(i) + 0.5);
    canvas.text({label - 10, y + 4}, row.method, {12, report::rgb(0x333333), report::Anchor::kEnd});
    if (!std::isfinite(row.estimate.mean)) continue;
    if (row.method == reference) {
      canvas.line({{x_of(row.estimate.mean), kTop}, {x_of(row.estimate.mean), bottom}},
                  {color, 1, 4});
    }
    if (std::isfinite(row.estimate.low)) {
      canvas.line({{x_of(row.estimate.low), y}, {x_of(row.estimate.high), y}}, {color, 3});
    }
    for (const double value : row.by_seed) {
      if (std::isfinite(value)) canvas.circle({x_of(value), y}, 2, report::rgb(0x999999));
    }
    canvas.circle({x_of(row.estimate.mean), y}, 5, color);
  }
  return canvas;
}

// Of one method, over its seeds: thin lines for runs, a thick one for their mean.
void add_curves(report::Chart& chart,
                const std::vector<report::RunData>& runs,
                const std::string& task,
                const std::string& metric,
                const std::string& name,
                report::Color color) {
  std::map<double, std::pair<double, int>> sums;
  for (const auto& run : runs) {
    report::Series one = report::dev_series(run, task, metric, name, color);
    for (std::size_t i = 0; i < one.x.size(); ++i) {
      if (!std::isfinite(one.y[i])) continue;
      sums[one.x[i]].first += one.y[i];
      ++sums[one.x[i]].second;
    }
    if (runs.size() < 2) continue;
    one.width = 0.7;
    one.background = true;
    one.markers = false;
    chart.series.push_back(std::move(one));
  }
  report::Series mean;
  mean.name = name;
  mean.color = color;
  for (const auto& [x, sum] : sums) {
    mean.x.push_back(x);
    mean.y.push_back(sum.first / sum.second);
  }
  if (!mean.x.empty()) chart.series.push_back(std::move(mean));
}

std::vector<const MetricRow*> rows_of(const Analysis& analysis,
                                      const std::string& task,
                                      const std::string& metric) {
  std::vector<const MetricRow*> rows;
  for (const MetricRow& row : analysis.rows) {
    if (row.task == task && row.metric == metric) rows.push_back(&row);
  }
  return rows;
}

}  // namespace

std::string study_page(const PageFacts& facts,
                       const Analysis& analysis,
                       const std::vector<Variant>& variants,
                       std::span<const std::size_t> chosen,
                       std::span<const StudyTask> tasks,
                       const SweepOptions& options) {
  // Runs are read one method at a time; what stays are their dev lines and reports' places.
  std::vector<report::Chart> learning;
  for (const StudyTask& task : tasks) {
    if (learning.size() >= kMostFigures) break;
    report::Chart chart;
    chart.title = fmt::format("{}: {} on validation", task.name, task.metrics.front().name);
    chart.x_label = "epoch";
    chart.integer_x = true;
    learning.push_back(std::move(chart));
  }
  report::Table places({{"run"}, {"report"}});
  std::size_t color = 0;
  for (const std::size_t v : chosen) {
    std::vector<report::RunData> runs;
    for (const std::int64_t seed : options.seeds) {
      const fs::path run = options.out / "runs" / variants[v].folder / fmt::format("seed-{}", seed);
      std::error_code none;
      if (!fs::exists(run / "metrics.jsonl", none)) continue;
      runs.push_back(report::read_run(run));
      const fs::path page = run / "report.html";
      if (!fs::exists(page, none)) continue;
      places.add_row({fmt::format("{}, seed {}", variants[v].name(), seed),
                      page.lexically_relative(options.out).generic_string()});
    }
    if (variants[v].single_task()) continue;
    for (std::size_t t = 0; t < learning.size(); ++t) {
      add_curves(learning[t],
                 runs,
                 tasks[t].name,
                 tasks[t].metrics.front().name,
                 variants[v].method,
                 report::line_color(color));
    }
    ++color;
  }

  report::HtmlPage page(facts.title + " · Detente");
  const bool tested = analysis.measured == Measured::kTest;
  page.header("Detente comparison",
              facts.title,
              {fmt::format("{} methods", analysis.methods.size()),
               fmt::format("{} seeds", analysis.seeds.size()),
               tested ? "measured on test rows" : "measured on validation rows"});
  page.heading("Verdict");
  for (const std::string& sentence : analysis.sentences) page.paragraph(sentence);
  if (analysis.sentences.empty()) page.paragraph("One method alone: nothing to compare.");
  for (const std::string& note : analysis.notes) page.note("Note: " + note);
  page.note(tested ? "Validation rows chose the epoch of each run and, where a grid was given, the "
                     "setting of "
                     "each method; the numbers are of test rows, which nothing had seen before."
                   : "There are no test rows: the validation rows that chose each run's epoch also "
                     "measured it, "
                     "so all numbers are a little too good. data.split.test sets rows aside.");

  page.heading("Results");
  page.table(result_table(analysis));
  page.note(
      "Mean ± half the width of its 95 % interval over seeds (Student's t). Differences are judged "
      "by a "
      "paired t-test over the seeds that both methods have, corrected for their number (Holm).");
  page.table(method_table(analysis));
  page.note(
      "Δm: mean change against the single-task baselines in percent, over metrics or over tasks; "
      "below 0 "
      "is better. Mean rank: over tasks, 1 is best.");

  page.begin_grid();
  std::size_t figures = 0;
  for (const StudyTask& task : tasks) {
    if (figures++ >= kMostFigures) break;
    const auto rows = rows_of(analysis, task.name, task.metrics.front().name);
    page.figure(fmt::format("{}: {}{}",
                            task.name,
                            task.metrics.front().name,
                            task.metrics.front().higher_is_better ? "" : " (less is better)"),
                interval_figure(rows, analysis.reference),
                "Mean and interval; grey: single runs.");
  }
  page.end_grid();

  page.heading("Learning");
  page.begin_grid();
  for (report::Chart& chart : learning) {
    if (!chart.series.empty()) page.chart(std::move(chart), "Thick: mean over seeds.");
  }
  page.end_grid();

  page.heading("Again");
  page.folded("Command", facts.command, true);
  page.folded("Recipe", facts.recipe);
  std::string list;
  for (std::size_t i = 0; i < places.rows(); ++i) {
    list += places.row(i)[0] + ": " + places.row(i)[1] + "\n";
  }
  page.folded("Reports of the runs", list);
  return page.finish("Written by Detente " DETENTE_VERSION ".");
}

}  // namespace detente::study

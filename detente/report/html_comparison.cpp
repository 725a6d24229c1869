// SPDX-License-Identifier: Apache-2.0
#include <detente/core/file.h>
#include <detente/core/nan.h>
#include <detente/core/version.h>
#include <detente/report/html_comparison.h>
#include <detente/report/html_report.h>
#include <detente/report/run_charts.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

namespace detente::report {
namespace {

// More curves of one kind than this make a page nobody reads to its end.
constexpr std::size_t kMaxTaskCharts = 12;

struct Row {
  std::string task;
  std::string metric;

  bool operator==(const Row&) const = default;
};

std::vector<Row> metric_rows(std::span<const ComparedRun> runs) {
  std::vector<Row> rows;
  for (const auto& compared : runs) {
    for (const auto& [task, metrics] : compared.run.results()) {
      for (const auto& [metric, value] : metrics) {
        const Row row{task, metric};
        if (std::find(rows.begin(), rows.end(), row) == rows.end()) rows.push_back(row);
      }
    }
  }
  // A task's metrics stand together even when the runs name different ones.
  std::vector<std::string> order;
  for (const auto& row : rows) {
    if (std::find(order.begin(), order.end(), row.task) == order.end()) order.push_back(row.task);
  }
  std::stable_sort(rows.begin(), rows.end(), [&](const Row& a, const Row& b) {
    return std::find(order.begin(), order.end(), a.task) <
           std::find(order.begin(), order.end(), b.task);
  });
  return rows;
}

double value_of(const RunData& run, const Row& row) {
  for (const auto& [task, metrics] : run.results()) {
    if (task != row.task) continue;
    for (const auto& [metric, value] : metrics) {
      if (metric == row.metric) return value;
    }
  }
  return kNan;
}

double value_of(const Baseline& baseline, const Row& row) {
  const auto task = baseline.tasks.find(row.task);
  if (task == baseline.tasks.end() || !task->is_object()) return kNan;
  const auto metric = task->find(row.metric);
  return metric != task->end() && metric->is_number() ? metric->get<double>() : kNan;
}

// Cosine of each step, averaged over the pairs.
std::vector<double> step_cosines(const RunData& run) {
  if (run.cosines.values.size() == 1) return run.cosines.values[0];
  std::vector<double> out(run.steps.size(), kNan);
  std::vector<double> at_step;
  for (std::size_t i = 0; i < run.steps.size(); ++i) {
    at_step.clear();
    for (const auto& pair : run.cosines.values) at_step.push_back(pair[i]);
    out[i] = finite_mean(at_step);
  }
  return out;
}

std::string comparison_words(std::span<const ComparedRun> runs) {
  std::string text;
  for (const auto& compared : runs) {
    const double share = compared.run.conflict_share();
    if (!std::isfinite(share) || compared.run.tasks.size() < 2) continue;
    text += text.empty() ? "Gradients conflicted in " : ", ";
    text += fmt::format("{} of the steps with {}", percent_text(share), compared.label);
    if (const double cosine = compared.run.mean_cosine(); std::isfinite(cosine)) {
      text += fmt::format(" (mean cosine {:.2f})", cosine);
    }
  }
  if (!text.empty()) text += ". ";
  return text +
         "One run per method shows what happened here, not which method is better: another seed "
         "can move a metric by more than two methods differ.";
}

void chart_if_any(HtmlPage& page, Chart chart, const std::string& caption = "") {
  const bool any = std::any_of(
      chart.series.begin(), chart.series.end(), [](const Series& s) { return !s.x.empty(); });
  if (any) page.chart(std::move(chart), caption);
}

}  // namespace

Comparison compare_runs(std::span<const ComparedRun> runs, std::span<const Baseline> baselines) {
  std::vector<Column> columns = {{"task"}, {"metric"}};
  for (const auto& baseline : baselines) columns.push_back({baseline.label, Align::kRight});
  for (const auto& compared : runs) columns.push_back({compared.label, Align::kRight});
  Comparison out{Table(std::move(columns)), {}, {}};
  for (const auto& compared : runs) {
    for (const auto& warning : compared.run.warnings()) {
      out.warnings.push_back(compared.run.folder + ": " + warning);
    }
  }
  std::string last_task;
  for (const auto& row : metric_rows(runs)) {
    std::vector<double> values;
    for (const auto& baseline : baselines) values.push_back(value_of(baseline, row));
    for (const auto& compared : runs) values.push_back(value_of(compared.run, row));
    const bool lower = lower_is_better(row.metric);
    double best = kNan;
    std::size_t known = 0;
    for (const double v : values) {
      if (!std::isfinite(v)) continue;
      ++known;
      if (!std::isfinite(best) || (lower ? v < best : v > best)) best = v;
    }
    std::vector<std::string> cells = {row.task, metric_text(row.metric)};
    if (!last_task.empty() && row.task != last_task) out.table.add_rule();
    last_task = row.task;
    for (std::size_t j = 0; j < values.size(); ++j) {
      cells.push_back(value_text(values[j]));
      // Equal as printed is equal to the reader.
      if (known > 1 && !baseline_of(row.metric) && std::isfinite(values[j]) &&
          value_text(values[j]) == value_text(best)) {
        out.best.emplace_back(out.table.rows(), j + 2);
      }
    }
    out.table.add_row(std::move(cells));
  }
  const auto add_fact = [&](const char* name, const auto& text) {
    std::vector<std::string> cells = {name, ""};
    cells.resize(2 + baselines.size(), "");
    bool any = false;
    for (const auto& compared : runs) {
      cells.push_back(text(compared.run));
      any = any || cells.back() != "–";
    }
    if (any) out.table.add_row(std::move(cells));
  };
  if (out.table.rows() > 0) out.table.add_rule();
  add_fact("steps in conflict", [](const RunData& r) { return percent_text(r.conflict_share()); });
  add_fact("mean cosine", [](const RunData& r) { return value_text(r.mean_cosine(), 2); });
  add_fact("time", [](const RunData& r) { return duration_text(r.number("seconds")); });
  return out;
}

std::string html_comparison(const std::string& title,
                            std::span<const ComparedRun> runs,
                            std::span<const Baseline> baselines) {
  HtmlPage page(title + " · Detente");
  std::vector<std::string> labels;
  if (!runs.empty()) {
    const RunData& first = runs.front().run;
    if (const auto data = first.text("data"); !data.empty()) labels.push_back("data " + data);
    for (const auto& [key, unit] : {std::pair{"train_rows", " training rows"},
                                    std::pair{"dev_rows", " dev rows"},
                                    std::pair{"parameters", " parameters"}}) {
      if (const double n = first.number(key); std::isfinite(n))
        labels.push_back(count_text(n) + unit);
    }
  }
  labels.push_back(fmt::format("{} runs", runs.size()));
  page.header("Detente comparison", title, labels);
  page.paragraph(comparison_words(runs));

  page.heading("Results");
  const Comparison comparison = compare_runs(runs, baselines);
  std::vector<std::string> links(2 + baselines.size());
  for (const auto& compared : runs) links.push_back(compared.link);
  page.table(comparison.table, comparison.best, links);
  page.note("Bold: the best of its row. Click a run's name for its own report.");
  for (const auto& warning : comparison.warnings) page.note("Note: " + warning);

  page.heading("Learning");
  page.begin_grid();
  std::vector<std::string> tasks;
  for (const auto& compared : runs) {
    for (const auto& task : compared.run.tasks) {
      if (std::find(tasks.begin(), tasks.end(), task) == tasks.end()) tasks.push_back(task);
    }
  }
  const auto epochs_chart = [](std::string name) {
    Chart chart;
    chart.title = std::move(name);
    chart.x_label = "epoch";
    chart.integer_x = true;
    return chart;
  };
  const auto steps_chart = [](std::string name, std::string y_label) {
    Chart chart;
    chart.title = std::move(name);
    chart.x_label = "step";
    chart.y_label = std::move(y_label);
    chart.integer_x = true;
    return chart;
  };
  const auto rows = metric_rows(runs);
  std::size_t drawn = 0;
  for (const auto& row : rows) {
    if (baseline_of(row.metric)) continue;  // nothing of it is learned
    if (drawn++ >= kMaxTaskCharts) break;
    Chart chart = epochs_chart("Dev " + row.task + ": " + row.metric);
    for (std::size_t i = 0; i < runs.size(); ++i) {
      chart.series.push_back(
          dev_series(runs[i].run, row.task, row.metric, runs[i].label, line_color(i)));
    }
    for (const auto& baseline : baselines) {
      if (const double v = value_of(baseline, row); std::isfinite(v)) chart.marks_y.push_back(v);
    }
    const bool marked = !chart.marks_y.empty();
    chart_if_any(page,
                 std::move(chart),
                 marked ? "Dashed: " + baselines.front().label +
                              (baselines.size() > 1 ? " and other baselines." : ".")
                        : "");
  }
  for (std::size_t t = 0; t < std::min<std::size_t>(tasks.size(), 6); ++t) {
    Chart chart = steps_chart("Training loss: " + tasks[t], "loss");
    for (std::size_t i = 0; i < runs.size(); ++i) {
      if (const auto* losses = runs[i].run.losses.find(tasks[t])) {
        chart.series.push_back(
            step_series(runs[i].run, *losses, runs[i].label, line_color(i), true));
      }
    }
    chart_if_any(page, std::move(chart));
  }
  page.end_grid();

  Chart cosine = steps_chart("Cosine between the tasks' gradients", "cosine");
  Chart conflict = steps_chart("Steps in conflict", "share of steps");
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const RunData& run = runs[i].run;
    if (!run.cosines.empty()) {
      cosine.series.push_back(
          step_series(run, step_cosines(run), runs[i].label, line_color(i), true));
    }
    Series share = conflict_series(run, runs[i].label, line_color(i));
    if (!share.x.empty()) conflict.series.push_back(std::move(share));
  }
  if (!cosine.series.empty() || !conflict.series.empty()) {
    cosine.marks_y = {0};
    conflict.y_min = 0;
    conflict.y_max = 1;
    page.heading("Gradients");
    page.begin_grid();
    chart_if_any(page,
                 std::move(cosine),
                 "Moving mean" + std::string(tasks.size() > 2 ? " over all pairs." : "."));
    chart_if_any(page, std::move(conflict), "Moving share of steps with a negative cosine.");
    page.end_grid();
  }
  return page.finish("Written by Detente " DETENTE_VERSION ".");
}

Comparison write_comparison_html(const std::filesystem::path& file,
                                 const std::string& title,
                                 std::span<const std::filesystem::path> run_dirs,
                                 std::span<const Baseline> baselines) {
  std::vector<ComparedRun> runs;
  const auto home = std::filesystem::absolute(file).parent_path();
  for (const auto& dir : run_dirs) {
    RunData run = read_run(dir);
    const std::string label = run.text("method", run.folder);
    const auto report = std::filesystem::absolute(dir) / "report.html";
    const std::string link =
        std::filesystem::exists(report) ? report.lexically_relative(home).generic_string() : "";
    runs.push_back({label, std::move(run), link});
  }
  std::vector<std::string> labels;
  for (const auto& compared : runs) labels.push_back(compared.label);
  for (auto& compared : runs) {
    if (std::count(labels.begin(), labels.end(), compared.label) > 1) {
      compared.label = compared.run.folder;
    }
  }
  write_file_atomic(file, html_comparison(title, runs, baselines));
  return compare_runs(runs, baselines);
}

}  // namespace detente::report

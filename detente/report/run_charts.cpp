// SPDX-License-Identifier: Apache-2.0
#include <detente/core/nan.h>
#include <detente/report/run_charts.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace detente::report {
namespace {

constexpr Color kPale = rgb(0xc9d1d9);
// Grey lines need no detail, and the more there are the less of each is seen: a thousand pairs of
// tasks in detail would make a heavy page.
constexpr std::size_t kPalePoints = 200;
constexpr std::size_t kFewestPalePoints = 24;
constexpr std::size_t kAllPalePoints = 20000;

Color task_color(const std::vector<std::size_t>& highlighted, std::size_t task) {
  const auto it = std::find(highlighted.begin(), highlighted.end(), task);
  return it == highlighted.end() ? kPale
                                 : line_color(static_cast<std::size_t>(it - highlighted.begin()));
}

Series sparse(Series series, std::size_t most) {
  const std::size_t stride = series.x.size() / most + 1;
  if (stride == 1) return series;
  Series out = series;
  out.x.clear();
  out.y.clear();
  for (std::size_t i = 0; i < series.x.size(); i += stride) {
    out.x.push_back(series.x[i]);
    out.y.push_back(series.y[i]);
  }
  return out;
}

// Raw values pale behind, smoothed ones in front; lines that are not highlighted in grey.
void add_lines(Chart& chart,
               const RunData& run,
               const Curves& curves,
               const std::vector<std::size_t>& highlighted,
               bool with_raw,
               std::string (*label)(const std::string&)) {
  const std::size_t each =
      std::clamp(kAllPalePoints / std::max<std::size_t>(1, curves.names.size()),
                 kFewestPalePoints,
                 kPalePoints);
  for (std::size_t i = 0; i < curves.names.size(); ++i) {
    if (std::find(highlighted.begin(), highlighted.end(), i) != highlighted.end()) continue;
    Series pale = sparse(step_series(run, curves.values[i], "", kPale, true), each);
    pale.background = true;
    pale.width = 0.9;
    chart.series.push_back(std::move(pale));
  }
  for (const std::size_t i : highlighted) {
    if (i >= curves.names.size()) continue;
    const Color color = task_color(highlighted, i);
    if (with_raw) {
      Series raw = step_series(run, curves.values[i], "", color.with_alpha(0.22), false);
      raw.background = true;
      raw.width = 0.8;
      chart.series.push_back(std::move(raw));
    }
    Series line = step_series(run, curves.values[i], label(curves.names[i]), color, true);
    line.width = 2;
    chart.series.push_back(std::move(line));
  }
}

std::string same(const std::string& name) { return name; }

// The tasks of `curves` that are highlighted, by name.
std::vector<std::size_t> highlighted_in(const RunData& run, const Curves& curves) {
  std::vector<std::size_t> out;
  for (const std::size_t task : highlighted_tasks(run)) {
    for (std::size_t i = 0; i < curves.names.size(); ++i) {
      if (curves.names[i] == run.tasks[task]) out.push_back(i);
    }
  }
  return out;
}

Chart step_chart(const char* title, const char* y_label) {
  Chart chart;
  chart.title = title;
  chart.x_label = "step";
  chart.y_label = y_label;
  chart.integer_x = true;
  return chart;
}

// Worth a logarithmic axis: all positive, and the lines span more than a factor of thirty.
bool spans_decades(const Chart& chart) {
  double low = std::numeric_limits<double>::infinity();
  double high = 0;
  for (const auto& series : chart.series) {
    for (const double y : series.y) {
      if (!std::isfinite(y)) continue;
      if (y <= 0) return false;
      if (series.background) continue;
      low = std::min(low, y);
      high = std::max(high, y);
    }
  }
  return high > 30 * low;
}

std::vector<std::string> dev_metrics(const RunData& run, const std::string& task) {
  std::vector<std::string> names;
  for (const auto& epoch : run.epochs) {
    for (const auto& [name, metrics] : epoch.dev) {
      if (name != task) continue;
      for (const auto& [metric, value] : metrics) {
        if (std::find(names.begin(), names.end(), metric) == names.end()) names.push_back(metric);
      }
    }
  }
  return names;
}

bool is_baseline(const std::string& metric, const std::vector<std::string>& metrics) {
  const auto baseline = baseline_of(metric);
  return baseline && std::find(metrics.begin(), metrics.end(), baseline->metric) != metrics.end();
}

// Dashed, in the colour of the line they are to be compared with.
void add_baselines(Chart& chart,
                   const RunData& run,
                   const std::string& task,
                   const std::string& metric,
                   const std::vector<std::string>& metrics) {
  const Color color = chart.series.back().color;
  double dash = 2;
  for (const auto& name : metrics) {
    const auto baseline = baseline_of(name);
    if (!baseline || baseline->metric != metric) continue;
    Series line = dev_series(run, task, name, baseline->of + ": " + metric, color);
    line.markers = false;
    line.width = 1.4;
    line.dash = dash;
    dash += 3;
    chart.series.push_back(std::move(line));
  }
}

Chart epoch_chart(const RunData& run, std::string title) {
  Chart chart;
  chart.title = std::move(title);
  chart.x_label = "epoch";
  chart.integer_x = true;
  for (const auto& epoch : run.epochs) {
    if (epoch.best) chart.marks_x = {static_cast<double>(epoch.epoch)};
  }
  return chart;
}

}  // namespace

std::string pair_text(const std::string& name) {
  const std::size_t at = name.find('|');
  return at == std::string::npos ? name : name.substr(0, at) + " · " + name.substr(at + 1);
}

std::vector<std::size_t> highlighted_tasks(const RunData& run) {
  std::vector<std::size_t> all(run.tasks.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  if (all.size() <= 8) return all;
  std::vector<double> sum(all.size(), 0.0);
  std::vector<int> count(all.size(), 0);
  for (std::size_t p = 0; p < run.cosines.names.size(); ++p) {
    const std::string& name = run.cosines.names[p];
    const double mean = finite_mean(run.cosines.values[p]);
    if (!std::isfinite(mean)) continue;
    for (std::size_t i = 0; i < all.size(); ++i) {
      const std::string& task = run.tasks[i];
      if (name.starts_with(task + "|") || name.ends_with("|" + task)) {
        sum[i] += mean;
        ++count[i];
      }
    }
  }
  const auto mean = [&](std::size_t i) { return count[i] > 0 ? sum[i] / count[i] : 1.0; };
  std::stable_sort(
      all.begin(), all.end(), [&](std::size_t a, std::size_t b) { return mean(a) < mean(b); });
  all.resize(kHighlighted);
  return all;
}

std::vector<std::size_t> highlighted_pairs(const RunData& run) {
  std::vector<std::size_t> all(run.cosines.names.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  if (all.size() <= 4) return all;
  std::vector<double> means;
  for (const auto& pair : run.cosines.values) {
    const double mean = finite_mean(pair);
    means.push_back(std::isfinite(mean) ? mean : 1.0);
  }
  std::stable_sort(
      all.begin(), all.end(), [&](std::size_t a, std::size_t b) { return means[a] < means[b]; });
  all.resize(std::min(all.size(), kHighlighted));
  return all;
}

Series step_series(const RunData& run,
                   const std::vector<double>& values,
                   const std::string& name,
                   Color color,
                   bool smoothed) {
  Series series;
  series.name = name;
  series.color = color;
  // A value may be measured only every few steps; the steps between are no gaps.
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) continue;
    series.x.push_back(run.steps[i]);
    series.y.push_back(values[i]);
  }
  if (smoothed) {
    // Twice, because one box turns a single spike into a plateau.
    const std::size_t window = std::max<std::size_t>(5, series.y.size() / 50);
    series.y = smooth(smooth(series.y, window), window);
  }
  return series;
}

Series conflict_series(const RunData& run, const std::string& name, Color color) {
  Series series = step_series(run, run.conflict, name, color, false);
  // Yes and no need a longer window than numbers do.
  const std::size_t window = std::max<std::size_t>(15, series.y.size() / 20);
  series.y = smooth(smooth(series.y, window), window);
  series.width = 2;
  return series;
}

Series dev_series(const RunData& run,
                  const std::string& task,
                  const std::string& metric,
                  const std::string& name,
                  Color color) {
  Series series;
  series.name = name;
  series.color = color;
  series.markers = run.epochs.size() <= 40;
  series.width = 2;
  for (const auto& epoch : run.epochs) {
    double found = kNan;
    bool measured = false;
    for (const auto& [dev_task, metrics] : epoch.dev) {
      if (dev_task != task) continue;
      measured = true;
      for (const auto& [dev_metric, value] : metrics) {
        if (dev_metric == metric) found = value;
      }
    }
    // Probes are measured every few epochs only; the epochs between are no gaps.
    if (!measured && run.losses.find(task) == nullptr) continue;
    series.x.push_back(epoch.epoch);
    series.y.push_back(found);
  }
  return series;
}

Chart loss_chart(const RunData& run) {
  Chart chart = step_chart("Training loss per task", "loss");
  add_lines(chart, run, run.losses, highlighted_in(run, run.losses), true, &same);
  chart.log_y = spans_decades(chart);
  return chart;
}

Chart cosine_chart(const RunData& run) {
  Chart chart = step_chart("Cosine between the tasks' gradients", "cosine");
  add_lines(
      chart, run, run.cosines, highlighted_pairs(run), run.cosines.names.size() <= 2, &pair_text);
  if (!chart.series.empty()) {
    chart.y_min = -1;
    chart.y_max = 1;
    chart.marks_y = {0};
  }
  return chart;
}

Chart conflict_chart(const RunData& run) {
  Chart chart = step_chart("Steps in conflict", "share of steps");
  Series line = conflict_series(run, "moving share", line_color(1));
  if (line.x.empty()) return chart;
  chart.series.push_back(std::move(line));
  chart.y_min = 0;
  chart.y_max = 1;
  const double share = run.conflict_share();
  if (std::isfinite(share)) chart.marks_y = {share};
  return chart;
}

Chart weight_chart(const RunData& run) {
  Chart chart = step_chart("Task weights", "weight");
  add_lines(chart, run, run.weights, highlighted_in(run, run.weights), true, &same);
  chart.log_y = spans_decades(chart);
  return chart;
}

Chart norm_chart(const RunData& run) {
  Chart chart = step_chart("Gradient norms on the shared parameters", "norm");
  add_lines(chart, run, run.grad_norms, highlighted_in(run, run.grad_norms), true, &same);
  Series direction =
      step_series(run, run.direction_norm, "combined direction", rgb(0x24292f), true);
  if (!direction.x.empty()) {
    direction.dash = 4;
    chart.series.push_back(std::move(direction));
  }
  chart.log_y = spans_decades(chart);
  return chart;
}

Chart time_chart(const RunData& run) {
  Chart chart = step_chart("Time per step", "milliseconds");
  std::size_t i = 0;
  for (std::size_t part = 0; part < run.milliseconds.names.size(); ++part) {
    Series line = step_series(
        run, run.milliseconds.values[part], run.milliseconds.names[part], line_color(i), true);
    if (line.x.empty()) continue;
    ++i;
    chart.series.push_back(std::move(line));
  }
  if (!chart.series.empty()) chart.y_min = 0;
  return chart;
}

Chart learning_rate_chart(const RunData& run) {
  Chart chart = step_chart("Learning rate", "learning rate");
  Series line = step_series(run, run.learning_rate, "learning rate", line_color(0), false);
  if (line.x.empty()) return chart;
  chart.series.push_back(std::move(line));
  chart.y_min = 0;
  return chart;
}

std::vector<Chart> dev_charts(const RunData& run) {
  std::vector<Chart> charts;
  if (run.epochs.empty()) return charts;
  if (run.tasks.size() <= 6) {
    Chart errors = epoch_chart(run, "Dev errors (lower is better)");
    Chart returns = epoch_chart(run, "Returns");  // of agents, far from 0 to 1
    for (const auto& task : run.tasks) {
      Chart chart = epoch_chart(run, "Dev scores: " + task);
      const auto metrics = dev_metrics(run, task);
      for (const auto& metric : metrics) {
        if (is_baseline(metric, metrics)) continue;
        const bool error = lower_is_better(metric);
        const bool sum = metric == "return";
        Chart& to = error ? errors : sum ? returns : chart;
        const auto colored = static_cast<std::size_t>(std::count_if(
            to.series.begin(), to.series.end(), [](const Series& s) { return s.dash == 0; }));
        to.series.push_back(dev_series(
            run, task, metric, error || sum ? task + " " + metric : metric, line_color(colored)));
        add_baselines(to, run, task, metric, metrics);
      }
      if (!chart.series.empty()) charts.push_back(std::move(chart));
    }
    for (Chart* chart : {&errors, &returns}) {
      if (!chart->series.empty()) charts.push_back(std::move(*chart));
    }
    return charts;
  }
  std::vector<std::string> metrics;
  for (const auto& task : run.tasks) {
    for (const auto& metric : dev_metrics(run, task)) {
      if (std::find(metrics.begin(), metrics.end(), metric) == metrics.end()) {
        metrics.push_back(metric);
      }
    }
  }
  const auto highlighted = highlighted_tasks(run);
  for (const auto& metric : metrics) {
    Chart chart =
        epoch_chart(run, "Dev " + metric + (lower_is_better(metric) ? " (lower is better)" : ""));
    for (std::size_t i = 0; i < run.tasks.size(); ++i) {
      if (std::find(highlighted.begin(), highlighted.end(), i) != highlighted.end()) continue;
      Series pale = dev_series(run, run.tasks[i], metric, "", kPale);
      pale.background = true;
      pale.markers = false;
      pale.width = 0.9;
      chart.series.push_back(std::move(pale));
    }
    for (const std::size_t i : highlighted) {
      chart.series.push_back(
          dev_series(run, run.tasks[i], metric, run.tasks[i], task_color(highlighted, i)));
    }
    charts.push_back(std::move(chart));
  }
  return charts;
}

}  // namespace detente::report

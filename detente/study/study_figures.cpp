// SPDX-License-Identifier: Apache-2.0
#include <detente/core/nan.h>
#include <detente/report/run_charts.h>
#include <detente/study/name_placer.h>
#include <detente/study/study_figures.h>
#include <detente/study/words.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

namespace detente::study {
namespace {

using report::Anchor;
using report::Canvas;
using report::Color;
using report::Point;
using report::Rect;

constexpr double kFigureWidth = 460;
constexpr double kRow = 26;
constexpr double kTop = 8;
constexpr Color kInk = report::rgb(0x333333);
constexpr Color kMuted = report::rgb(0x57606a);
constexpr Color kGrid = report::rgb(0xe6e9ed);
constexpr Color kGrey = report::rgb(0x7f7f7f);

std::string number_words(double value) { return fmt::format("{:.5g}", value); }

std::string estimate_words(const metrics::Estimate& estimate) {
  std::string words = number_words(estimate.mean);
  if (std::isfinite(estimate.low)) {
    words +=
        fmt::format(" (95 %: {} to {})", number_words(estimate.low), number_words(estimate.high));
  }
  return words;
}

const MetricRow* row_of(const Analysis& analysis,
                        const std::string& method,
                        const StudyTask& task) {
  for (const MetricRow& row : analysis.rows) {
    if (row.method == method && row.task == task.name && row.metric == task.metrics.front().name) {
      return &row;
    }
  }
  return nullptr;
}

double mean_in(const Analysis& analysis, const std::string& method, const StudyTask& task) {
  const MetricRow* row = row_of(analysis, method, task);
  return row == nullptr ? kNan : row->estimate.mean;
}

bool higher_is_better(const StudyTask& task) { return task.metrics.front().higher_is_better; }

// Positive where a is the better one.
double advantage(double a, double b, const StudyTask& task) {
  return higher_is_better(task) ? a - b : b - a;
}

// Rows with names on the left above an axis from low to high.
struct RowAxis {
  double label = 60;
  double low = 0;
  double high = 1;
  double room = 30;  // to the right of the axis

  double x(double value) const {
    // Halves, because the difference of two huge numbers may be no number.
    return label + (kFigureWidth - label - room) * ((value / 2 - low / 2) / (high / 2 - low / 2));
  }
};

void draw_axis(Canvas& canvas, const RowAxis& axis, double bottom) {
  const auto ticks = report::round_ticks(axis.low, axis.high, 4);
  const double step = ticks.size() > 1 ? ticks[1] - ticks[0] : axis.high - axis.low;
  for (const double tick : ticks) {
    canvas.line({{axis.x(tick), kTop}, {axis.x(tick), bottom}}, {kGrid, 1});
    canvas.text(
        {axis.x(tick), bottom + 18}, report::tick_text(tick, step), {11, kMuted, Anchor::kMiddle});
  }
}

void draw_name(Canvas& canvas, const RowAxis& axis, double y, const std::string& name) {
  canvas.text({axis.label - 10, y + 4},
              report::shortened_text(name, 12, axis.label - 14),
              {12, kInk, Anchor::kEnd});
}

double label_width(double so_far, const std::string& name) {
  return std::max(so_far, std::min(180.0, report::text_width(name, 12) + 18));
}

Figure nothing_to_draw(double height) {
  Figure figure{Canvas(kFigureWidth, height), {}, {}};
  figure.canvas.text({kFigureWidth / 2, height / 2}, "no data", {12, kMuted, Anchor::kMiddle});
  return figure;
}

std::string axis_words(const StudyTask& task) {
  return task.name + ": " + task.metrics.front().name +
         (higher_is_better(task) ? "" : " (less is better)");
}

// An axis' range, in a series that draws nothing.
std::pair<double, double> padded_range(const std::vector<metrics::Estimate>& estimates) {
  double low = HUGE_VAL;
  double high = -HUGE_VAL;
  for (const auto& estimate : estimates) {
    for (const double value : {estimate.mean, estimate.low, estimate.high}) {
      if (!std::isfinite(value)) continue;
      low = std::min(low, value);
      high = std::max(high, value);
    }
  }
  const double size = std::max(std::abs(low), std::abs(high));
  const double room = std::max((high / 2 - low / 2) * 0.16, std::max(size, 1e-6) * 1e-3);
  constexpr double kLargest = std::numeric_limits<double>::max();
  return {std::max(low - room, -kLargest), std::min(high + room, kLargest)};
}

}  // namespace

Color method_color(const Analysis& analysis, const std::string& method) {
  for (std::size_t i = 0; i < analysis.methods.size(); ++i) {
    if (analysis.methods[i].method == method) return report::line_color(i);
  }
  return kGrey;
}

bool has_baselines(const Analysis& analysis) {
  return std::any_of(analysis.rows.begin(), analysis.rows.end(), [](const MetricRow& row) {
    return row.method == "single" && std::isfinite(row.estimate.mean);
  });
}

Figure interval_figure(const Analysis& analysis, const StudyTask& task) {
  std::vector<const MetricRow*> rows;
  std::vector<metrics::Estimate> estimates;
  RowAxis axis;
  for (const MetricRow& row : analysis.rows) {
    if (row.task != task.name || row.metric != task.metrics.front().name) continue;
    rows.push_back(&row);
    estimates.push_back(row.estimate);
    for (const double value : row.by_seed) estimates.push_back({value, kNan, kNan, 1});
    axis.label = label_width(axis.label, row.method);
  }
  const double bottom = kTop + kRow * static_cast<double>(rows.size());
  const bool any = std::any_of(
      rows.begin(), rows.end(), [](const auto* row) { return std::isfinite(row->estimate.mean); });
  if (!any) return nothing_to_draw(bottom + 30);
  std::tie(axis.low, axis.high) = padded_range(estimates);
  Figure figure{Canvas(kFigureWidth, bottom + 30), {}, {}};
  Canvas& canvas = figure.canvas;
  draw_axis(canvas, axis, bottom);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const MetricRow& row = *rows[i];
    const Color color = method_color(analysis, row.method);
    const double y = kTop + kRow * (static_cast<double>(i) + 0.5);
    draw_name(canvas, axis, y, row.method);
    if (!std::isfinite(row.estimate.mean)) continue;
    const double x = axis.x(row.estimate.mean);
    if (row.method == analysis.reference) canvas.line({{x, kTop}, {x, bottom}}, {color, 1, 4});
    if (std::isfinite(row.estimate.low)) {
      canvas.line({{axis.x(row.estimate.low), y}, {axis.x(row.estimate.high), y}}, {color, 3});
    }
    std::string seeds;
    for (const double value : row.by_seed) {
      if (!std::isfinite(value)) continue;
      canvas.circle({axis.x(value), y}, 2, report::rgb(0x9aa4ae));
      seeds += (seeds.empty() ? "; runs: " : ", ") + number_words(value);
    }
    canvas.circle({x, y}, 5, color);
    figure.marks.push_back({{x, y}, row.method, estimate_words(row.estimate) + seeds});
  }
  return figure;
}

std::vector<std::string> undominated(const Analysis& analysis,
                                     const StudyTask& x,
                                     const StudyTask& y) {
  std::vector<std::string> names;
  for (const MethodSummary& method : analysis.methods) {
    const double own_x = mean_in(analysis, method.method, x);
    const double own_y = mean_in(analysis, method.method, y);
    if (!std::isfinite(own_x) || !std::isfinite(own_y)) continue;
    const bool beaten =
        std::any_of(analysis.methods.begin(), analysis.methods.end(), [&](const auto& other) {
          const double by_x = advantage(mean_in(analysis, other.method, x), own_x, x);
          const double by_y = advantage(mean_in(analysis, other.method, y), own_y, y);
          return by_x >= 0 && by_y >= 0 && (by_x > 0 || by_y > 0);
        });
    if (!beaten) names.push_back(method.method);
  }
  return names;
}

std::vector<std::pair<std::size_t, std::size_t>> trade_offs(const Analysis& analysis,
                                                            std::span<const StudyTask> tasks,
                                                            std::size_t most) {
  struct Candidate {
    std::pair<std::size_t, std::size_t> tasks;
    std::size_t undominated;
  };
  std::vector<Candidate> candidates;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    for (std::size_t j = i + 1; j < tasks.size(); ++j) {
      const std::size_t count = undominated(analysis, tasks[i], tasks[j]).size();
      if (count > 0) candidates.push_back({{i, j}, count});
    }
  }
  if (candidates.size() > most) {
    std::stable_sort(candidates.begin(), candidates.end(), [](const auto& a, const auto& b) {
      return a.undominated > b.undominated;
    });
    candidates.resize(most);
  }
  std::vector<std::pair<std::size_t, std::size_t>> pairs;
  for (const Candidate& candidate : candidates) pairs.push_back(candidate.tasks);
  return pairs;
}

Figure trade_off_figure(const Analysis& analysis, const StudyTask& x, const StudyTask& y) {
  constexpr double kHeight = 320;
  struct Place {
    const MetricRow* x;
    const MetricRow* y;
  };
  std::vector<std::pair<std::string, Place>> places;
  std::vector<metrics::Estimate> xs;
  std::vector<metrics::Estimate> ys;
  std::vector<std::string> names = {"single"};
  for (const MethodSummary& method : analysis.methods) names.push_back(method.method);
  for (const std::string& name : names) {
    const Place place{row_of(analysis, name, x), row_of(analysis, name, y)};
    if (place.x == nullptr || place.y == nullptr || !std::isfinite(place.x->estimate.mean) ||
        !std::isfinite(place.y->estimate.mean)) {
      continue;
    }
    places.emplace_back(name, place);
    xs.push_back(place.x->estimate);
    ys.push_back(place.y->estimate);
  }
  if (places.empty()) return nothing_to_draw(kHeight);

  report::Chart chart;
  chart.x_label = axis_words(x);
  chart.y_label = axis_words(y);
  chart.legend = false;
  report::Series reach;
  const auto [x_low, x_high] = padded_range(xs);
  const auto [y_low, y_high] = padded_range(ys);
  reach.x = {x_low, x_high};
  reach.y = {y_low, y_high};
  reach.width = 0;
  chart.y_min = y_low;
  chart.y_max = y_high;
  chart.series.push_back(std::move(reach));
  Figure figure{Canvas(kFigureWidth, kHeight), {}, {}};
  Canvas& canvas = figure.canvas;
  const auto frame = report::draw_chart(canvas, {0, 0, kFigureWidth, kHeight}, chart);

  const auto best = undominated(analysis, x, y);
  NamePlacer placer(canvas, frame.plot);
  for (const auto& [name, place] : places) {
    placer.keep_free(frame.at(place.x->estimate.mean, place.y->estimate.mean));
  }
  for (const auto& [name, place] : places) {
    const metrics::Estimate& ex = place.x->estimate;
    const metrics::Estimate& ey = place.y->estimate;
    const bool single = name == "single";
    const bool beaten = !single && std::find(best.begin(), best.end(), name) == best.end();
    const Color color = method_color(analysis, name).with_alpha(beaten ? 0.4 : 1.0);
    if (std::isfinite(ex.low)) {
      canvas.line({frame.at(ex.low, ey.mean), frame.at(ex.high, ey.mean)}, {color, 1.6});
    }
    if (std::isfinite(ey.low)) {
      canvas.line({frame.at(ex.mean, ey.low), frame.at(ex.mean, ey.high)}, {color, 1.6});
    }
    const Point at = frame.at(ex.mean, ey.mean);
    if (single) {
      canvas.rectangle({at.x - 4, at.y - 4, 8, 8}, color);
    } else {
      canvas.circle(at, 5, color);
    }
    figure.marks.push_back(
        {at,
         name + (beaten ? " (dominated)" : ""),
         fmt::format("{} {}; {} {}", x.name, estimate_words(ex), y.name, estimate_words(ey))});
  }
  // What is worth a choice has the first choice of a place.
  for (const bool pale : {false, true}) {
    for (const auto& [name, place] : places) {
      const bool beaten =
          name != "single" && std::find(best.begin(), best.end(), name) == best.end();
      if (beaten != pale) continue;
      const Point at = frame.at(place.x->estimate.mean, place.y->estimate.mean);
      if (!placer.place(at, name, pale ? kMuted : kInk)) figure.unnamed.push_back(name);
    }
  }
  placer.draw();
  return figure;
}

namespace {

// Percent. A change of so much is pale, whatever the others are.
constexpr double kLeastReach = 1;

// Half the width of the interval of the difference, over the seeds that both have; NaN without one.
double half_of_difference(const Analysis& analysis,
                          const std::string& method,
                          const std::string& other,
                          const StudyTask& task) {
  const MetricRow* a = row_of(analysis, method, task);
  const MetricRow* b = row_of(analysis, other, task);
  if (a == nullptr || b == nullptr || a->by_seed.size() != b->by_seed.size()) return kNan;
  const metrics::Estimate difference = metrics::paired_test(a->by_seed, b->by_seed).difference;
  return (difference.high - difference.low) / 2;
}

}  // namespace

std::optional<report::HeatMap> change_map(const Analysis& analysis,
                                          std::span<const StudyTask> tasks) {
  if (tasks.size() < 2) return std::nullopt;
  report::HeatMap map;
  map.scale = report::HeatScale::kDiverging;
  map.value_title = "% better";
  map.least_reach = kLeastReach;
  for (const StudyTask& task : tasks) map.columns.push_back(task.name);
  bool any = false;
  const std::string other = has_baselines(analysis) ? "single" : analysis.reference;
  for (const MethodSummary& method : analysis.methods) {
    map.rows.push_back(method.method);
    for (const StudyTask& task : tasks) {
      const double base = mean_in(analysis, other, task);
      const double change =
          100 * advantage(mean_in(analysis, method.method, task), base, task) / std::abs(base);
      const double half =
          100 * half_of_difference(analysis, method.method, other, task) / std::abs(base);
      const bool shown = std::isfinite(change);
      map.values.push_back(shown ? change : kNan);
      map.shades.push_back(!shown || !std::isfinite(half) ? kNan
                           : std::abs(change) <= half     ? 0.0
                                                          : change - std::copysign(half, change));
      map.texts.push_back(shown ? fmt::format("{:.{}f}", change, std::abs(change) < 1 ? 2 : 1)
                                : "");
      map.words.push_back(!shown ? "none"
                                 : estimate_text(change, half) +
                                       (std::abs(change) <= half ? ", not told apart from 0" : ""));
      any = any || shown;
    }
  }
  if (!any) return std::nullopt;
  return map;
}

Figure cost_figure(const Analysis& analysis, std::span<const Cost> costs, const std::string& unit) {
  RowAxis axis;
  axis.high = 0;
  for (const Cost& cost : costs) {
    axis.label = label_width(axis.label, cost.method);
    if (std::isfinite(cost.value)) axis.high = std::max(axis.high, cost.value);
  }
  axis.room = 96;
  const double bottom = kTop + kRow * static_cast<double>(costs.size());
  if (!(axis.high > 0)) return nothing_to_draw(bottom + 30);
  Figure figure{Canvas(kFigureWidth, bottom + 8), {}, {}};
  for (std::size_t i = 0; i < costs.size(); ++i) {
    const Cost& cost = costs[i];
    const double y = kTop + kRow * (static_cast<double>(i) + 0.5);
    draw_name(figure.canvas, axis, y, cost.method);
    if (!std::isfinite(cost.value)) continue;
    const double end = axis.x(cost.value);
    figure.canvas.rectangle({axis.label, y - 8, end - axis.label, 16},
                            method_color(analysis, cost.method));
    const std::string words = fmt::format("{:.4g} {}", cost.value, unit);
    figure.canvas.text({end + 7, y + 4}, words, {12, kInk});
    figure.marks.push_back({{end, y}, cost.method, words});
  }
  return figure;
}

report::Series learning_series(std::span<const report::RunData> runs,
                               const std::string& task,
                               const std::string& metric,
                               const std::string& name,
                               Color color) {
  struct Epoch {
    double sum = 0;
    int count = 0;
    double low = HUGE_VAL;
    double high = -HUGE_VAL;
  };
  std::map<double, Epoch> epochs;
  for (const auto& run : runs) {
    const report::Series one = report::dev_series(run, task, metric, name, color);
    for (std::size_t i = 0; i < one.x.size(); ++i) {
      if (!std::isfinite(one.y[i])) continue;
      Epoch& epoch = epochs[one.x[i]];
      epoch.sum += one.y[i];
      ++epoch.count;
      epoch.low = std::min(epoch.low, one.y[i]);
      epoch.high = std::max(epoch.high, one.y[i]);
    }
  }
  report::Series mean;
  mean.name = name;
  mean.color = color;
  mean.width = 2;
  for (const auto& [x, epoch] : epochs) {
    mean.x.push_back(x);
    mean.y.push_back(epoch.sum / epoch.count);
    if (runs.size() < 2) continue;
    mean.low.push_back(epoch.low);
    mean.high.push_back(epoch.high);
  }
  mean.markers = mean.x.size() <= 40;
  return mean;
}

}  // namespace detente::study

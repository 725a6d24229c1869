// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/nan.h>
#include <detente/report/chart.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace detente::report {
namespace {

constexpr Color kInk = rgb(0x24292f);
constexpr Color kMuted = rgb(0x57606a);
constexpr Color kGrid = rgb(0xe6e9ed);
constexpr Color kAxis = rgb(0x9aa4ae);
constexpr double kFont = 11.5;
constexpr double kLargest = std::numeric_limits<double>::max();

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();

  bool empty() const { return !(low <= high); }
  void add(double v) {
    low = std::min(low, v);
    high = std::max(high, v);
  }
};

bool usable(const Chart& chart, double y) { return std::isfinite(y) && (!chart.log_y || y > 0); }

// Leaves air around the data and gives a flat line a range to lie in.
Range padded(Range range, double share, double smallest = 1e-12) {
  const double size = std::max(std::abs(range.low), std::abs(range.high));
  double span = std::min(range.high - range.low, kLargest);
  // Of a series that differs in its last digits alone, rounding is all that could be seen.
  if (!(span > 1e-12 * size)) span = std::min(size, kLargest);
  span = std::max(span, smallest);
  return {std::max(range.low - share * span, -kLargest),
          std::min(range.high + share * span, kLargest)};
}

// Where a value lies between the ends of a range, 0 to 1.
double share(double value, double low, double high) {
  const double part = value - low;
  const double whole = high - low;
  if (std::isfinite(part) && std::isfinite(whole)) return part / whole;
  // The difference of two huge numbers may be no number any more; that of their halves is.
  return (0.5 * value - 0.5 * low) / (0.5 * high - 0.5 * low);
}

void add_middle(Range& range, std::vector<double> values) {
  if (values.empty()) return;
  std::sort(values.begin(), values.end());
  const std::size_t cut = values.size() / 100;
  range.add(values[cut]);
  range.add(values[values.size() - 1 - cut]);
}

Range y_range(const Chart& chart) {
  Range range;
  for (const auto& series : chart.series) {
    std::vector<double> background;
    for (std::size_t i = 0; i < series.y.size(); ++i) {
      if (!usable(chart, series.y[i]) || !std::isfinite(series.x[i])) continue;
      if (series.background) {
        background.push_back(series.y[i]);
      } else {
        range.add(series.y[i]);
        if (series.low.empty()) continue;
        for (const double end : {series.low[i], series.high[i]}) {
          if (usable(chart, end)) range.add(end);
        }
      }
    }
    add_middle(range, std::move(background));
  }
  for (const double y : chart.marks_y) {
    if (usable(chart, y)) range.add(y);
  }
  if (range.empty()) {
    range.add(chart.y_min.value_or(chart.log_y ? 0.1 : 0.0));
    range.add(chart.y_max.value_or(1.0));
  }
  if (chart.log_y) {
    constexpr double kTenth = 0.1;
    const Range logs = padded({std::log10(range.low), std::log10(range.high)}, 0.05, kTenth);
    range = {std::max(std::pow(10, logs.low), std::numeric_limits<double>::denorm_min()),
             std::min(std::pow(10, logs.high), std::numeric_limits<double>::max())};
  } else {
    range = padded(range, 0.06);
  }
  if (chart.y_min && usable(chart, *chart.y_min)) range.low = *chart.y_min;
  if (chart.y_max && usable(chart, *chart.y_max)) range.high = *chart.y_max;
  if (!(range.low < range.high)) range = padded({range.low, range.low}, 0.5);
  return range;
}

Range x_range(const Chart& chart) {
  Range range;
  for (const auto& series : chart.series) {
    for (std::size_t i = 0; i < series.x.size(); ++i) {
      if (std::isfinite(series.x[i]) && usable(chart, series.y[i])) range.add(series.x[i]);
    }
  }
  if (range.empty()) return {0, 1};
  if (range.low == range.high) {
    const double room = std::max(1.0, 1e-3 * std::abs(range.low));
    range = {range.low - room, range.high + room};
  }
  const bool dots = std::any_of(
      chart.series.begin(), chart.series.end(), [](const Series& s) { return s.markers; });
  return padded(range, dots ? 0.03 : 0.0);
}

// Rows of legend entries, wrapped at the panel's width.
struct LegendEntry {
  const Series* series = nullptr;
  std::string text;
  double x = 0;
  int row = 0;
};

std::vector<LegendEntry> place_legend(const Chart& chart, double width, int& rows) {
  std::vector<LegendEntry> entries;
  for (const auto& series : chart.series) {
    if (chart.legend && !series.background && !series.name.empty())
      entries.push_back({&series, series.name});
  }
  const std::size_t all = entries.size();
  if (all > kMaxLegend) {
    entries.resize(kMaxLegend);
    entries.push_back({nullptr, fmt::format("and {} more", all - kMaxLegend)});
  }
  double x = 0;
  rows = entries.empty() ? 0 : 1;
  for (auto& entry : entries) {
    const double needed = 30 + text_width(entry.text, kFont);
    if (x > 0 && x + needed > width) {
      x = 0;
      ++rows;
    }
    entry.x = x;
    entry.row = rows - 1;
    x += needed;
  }
  return entries;
}

void draw_series(Canvas& canvas, const ChartFrame& frame, const Series& series) {
  const auto buckets = static_cast<std::size_t>(std::max(1.0, frame.plot.width));
  std::vector<double> y = series.y;
  if (frame.log_y) {
    for (double& v : y) v = v > 0 ? v : kNan;
  }
  const auto points = thin_points(series.x, y, frame.x_min, frame.x_max, buckets);
  std::vector<Point> path;
  const auto finite_at = [&](std::size_t i) {
    return i < points.size() && std::isfinite(points[i].x) && std::isfinite(points[i].y);
  };
  std::vector<Point> dots;
  for (std::size_t i = 0; i < points.size(); ++i) {
    path.push_back(finite_at(i) ? frame.at(points[i].x, points[i].y) : Point{kNan, kNan});
    const bool lonely = finite_at(i) && !(i > 0 && finite_at(i - 1)) && !finite_at(i + 1);
    if (finite_at(i) && (series.markers || lonely)) dots.push_back(path.back());
  }
  canvas.line(std::move(path), {series.color, series.width, series.dash});
  for (const Point p : dots) {
    canvas.circle(p, series.background ? 1.2 : 3.2, series.color, {rgb(0xffffff), 1.0});
  }
}

void draw_band(Canvas& canvas, const ChartFrame& frame, const Series& series) {
  std::vector<Point> there;
  std::vector<Point> back;
  const auto flush = [&] {
    if (there.size() > 1) {
      there.insert(there.end(), back.rbegin(), back.rend());
      canvas.polygon(std::move(there), series.color.with_alpha(0.16));
    }
    there.clear();
    back.clear();
  };
  for (std::size_t i = 0; i < series.low.size(); ++i) {
    const Point low = frame.at(series.x[i], series.low[i]);
    const Point high = frame.at(series.x[i], series.high[i]);
    if (std::isfinite(low.x) && std::isfinite(low.y) && std::isfinite(high.y)) {
      there.push_back(low);
      back.push_back(high);
    } else {
      flush();
    }
  }
  flush();
}

void draw_zone(Canvas& canvas, const ChartFrame& frame, const Zone& zone) {
  constexpr double kZoneFont = 10.5;
  const auto place = [&](double y) {
    return std::clamp(frame.at(frame.x_min, y).y, frame.plot.y, frame.plot.bottom());
  };
  const double top = place(zone.high);
  const double bottom = place(zone.low);
  if (!(bottom > top)) return;
  canvas.rectangle({frame.plot.x, top, frame.plot.width, bottom - top},
                   zone.color.with_alpha(0.14));
  if (zone.text.empty()) return;
  canvas.text({frame.plot.right() - 5, (top + bottom) / 2 + 3.6},
              shortened_text(zone.text, kZoneFont, frame.plot.width - 10),
              {kZoneFont, kMuted, Anchor::kEnd});
}

}  // namespace

Point ChartFrame::at(double x, double y) const {
  const double fx = share(x, x_min, x_max);
  const double fy =
      log_y ? (std::log10(y) - std::log10(y_min)) / (std::log10(y_max) - std::log10(y_min))
            : share(y, y_min, y_max);
  return {plot.x + fx * plot.width, plot.bottom() - fy * plot.height};
}

ChartFrame chart_range(const Chart& chart) {
  for (const auto& series : chart.series) {
    DETENTE_CHECK(series.x.size() == series.y.size(),
                  ErrorCode::kShape,
                  "[report::chart] series '{}' has {} x values and {} y values; expected as many.",
                  series.name,
                  series.x.size(),
                  series.y.size());
    DETENTE_CHECK(
        series.low.size() == series.high.size() &&
            (series.low.empty() || series.low.size() == series.y.size()),
        ErrorCode::kShape,
        "[report::chart] series '{}' has {} values and a band of {} low and {} high ones; "
        "expected as many, or no band.",
        series.name,
        series.y.size(),
        series.low.size(),
        series.high.size());
  }
  const Range x = x_range(chart);
  const Range y = y_range(chart);
  return {{}, x.low, x.high, y.low, y.high, chart.log_y};
}

ChartFrame draw_chart(Canvas& canvas, const Rect& area, const Chart& chart) {
  ChartFrame frame = chart_range(chart);
  const bool any = std::any_of(chart.series.begin(), chart.series.end(), [&](const Series& s) {
    return std::any_of(s.y.begin(), s.y.end(), [&](double v) { return usable(chart, v); });
  });

  const double inner_height = std::max(20.0, area.height - 80);
  std::vector<double> ticks_y =
      chart.log_y ? log_ticks(frame.y_min, frame.y_max)
                  : round_ticks(frame.y_min, frame.y_max, static_cast<int>(inner_height / 42) + 1);
  const double step_y = ticks_y.size() > 1 && !chart.log_y ? ticks_y[1] - ticks_y[0] : 0;
  double label_width = 0;
  for (const double t : ticks_y) {
    label_width = std::max(label_width, text_width(tick_text(t, step_y), kFont));
  }

  const double left = label_width + (chart.y_label.empty() ? 14 : 32);
  int legend_rows = 0;
  const auto legend = place_legend(chart, area.width - left - 6, legend_rows);
  const double top =
      (chart.title.empty() ? 8 : 28) + 17.0 * legend_rows + (legend_rows > 0 ? 4 : 0);
  const double bottom = chart.x_label.empty() ? 24 : 42;
  frame.plot = {area.x + left,
                area.y + top,
                std::max(10.0, area.width - left - 14),
                std::max(10.0, area.height - top - bottom)};
  const Rect& plot = frame.plot;

  if (!chart.title.empty()) {
    canvas.text({plot.x, area.y + 17}, chart.title, {14, kInk, Anchor::kStart, true});
  }
  for (const auto& entry : legend) {
    const double x = plot.x + entry.x;
    const double y = area.y + (chart.title.empty() ? 8 : 28) + 17.0 * entry.row + 9;
    if (entry.series != nullptr) {
      const Series& s = *entry.series;
      canvas.line({{x, y - 4}, {x + 16, y - 4}}, {s.color, std::max(s.width, 1.8), s.dash});
      if (s.markers) canvas.circle({x + 8, y - 4}, 3.2, s.color, {rgb(0xffffff), 1.0});
    }
    canvas.text({x + (entry.series != nullptr ? 21 : 0), y}, entry.text, {kFont, kMuted});
  }

  int target_x = static_cast<int>(plot.width / 75) + 1;
  std::vector<double> ticks_x = round_ticks(frame.x_min, frame.x_max, target_x);
  if (chart.integer_x) {
    std::erase_if(ticks_x, [](double t) { return t != std::floor(t); });
  }
  const double step_x = ticks_x.size() > 1 ? ticks_x[1] - ticks_x[0] : 0;
  for (const double t : ticks_y) {
    const double y = frame.at(frame.x_min, t).y;
    canvas.line({{plot.x, y}, {plot.right(), y}}, {kGrid, 1});
    canvas.text({plot.x - 7, y + 4}, tick_text(t, step_y), {kFont, kMuted, Anchor::kEnd});
  }
  for (const double t : ticks_x) {
    const double x = frame.at(t, frame.y_min).x;
    canvas.line({{x, plot.bottom()}, {x, plot.bottom() + 4}}, {kAxis, 1});
    canvas.text({x, plot.bottom() + 17}, tick_text(t, step_x), {kFont, kMuted, Anchor::kMiddle});
  }
  canvas.line({{plot.x, plot.bottom()}, {plot.right(), plot.bottom()}}, {kAxis, 1});
  if (!chart.x_label.empty()) {
    canvas.text({plot.x + plot.width / 2, plot.bottom() + 35},
                chart.x_label,
                {kFont, kMuted, Anchor::kMiddle});
  }
  if (!chart.y_label.empty()) {
    TextStyle style{kFont, kMuted, Anchor::kMiddle};
    style.rotate = -90;
    canvas.text({area.x + 13, plot.y + plot.height / 2}, chart.y_label, style);
  }

  canvas.begin_clip({plot.x - 4, plot.y - 4, plot.width + 8, plot.height + 8});
  for (const Zone& zone : chart.zones_y) draw_zone(canvas, frame, zone);
  for (const double y : chart.marks_y) {
    const double at = frame.at(frame.x_min, y).y;
    canvas.line({{plot.x, at}, {plot.right(), at}}, {kAxis, 1.2, 4});
  }
  for (const double x : chart.marks_x) {
    const double at = frame.at(x, frame.y_max).x;
    canvas.line({{at, plot.y}, {at, plot.bottom()}}, {kAxis, 1, 3});
  }
  for (const auto& series : chart.series) draw_band(canvas, frame, series);
  for (const bool background : {true, false}) {
    for (const auto& series : chart.series) {
      if (series.background == background) draw_series(canvas, frame, series);
    }
  }
  canvas.end();
  if (!any) {
    canvas.text({plot.x + plot.width / 2, plot.y + plot.height / 2},
                "no data",
                {13, kMuted, Anchor::kMiddle, false, true});
  }
  return frame;
}

Canvas draw_panels(std::span<const Chart> charts,
                   std::size_t columns,
                   double panel_width,
                   double panel_height,
                   const std::string& title) {
  columns = std::max<std::size_t>(1, std::min(columns, std::max<std::size_t>(1, charts.size())));
  const std::size_t rows = (charts.size() + columns - 1) / columns;
  const double head = title.empty() ? 6 : 36;
  Canvas canvas(panel_width * static_cast<double>(columns),
                head + panel_height * static_cast<double>(rows));
  if (!title.empty()) {
    canvas.text({canvas.width() / 2, 24}, title, {16, kInk, Anchor::kMiddle, true});
  }
  for (std::size_t i = 0; i < charts.size(); ++i) {
    draw_chart(canvas,
               {panel_width * static_cast<double>(i % columns),
                head + panel_height * static_cast<double>(i / columns),
                panel_width,
                panel_height},
               charts[i]);
  }
  return canvas;
}

std::vector<Point> thin_points(std::span<const double> x,
                               std::span<const double> y,
                               double x_min,
                               double x_max,
                               std::size_t buckets) {
  std::vector<Point> out;
  if (x.size() <= 4 * buckets) {
    for (std::size_t i = 0; i < x.size(); ++i) out.push_back({x[i], y[i]});
    return out;
  }
  struct Bucket {
    std::size_t first, low, high, last;
  };
  Bucket at{};
  bool open = false;
  long index = -1;
  const auto flush = [&] {
    if (!open) return;
    std::vector<std::size_t> keep = {at.first, at.low, at.high, at.last};
    std::sort(keep.begin(), keep.end());
    keep.erase(std::unique(keep.begin(), keep.end()), keep.end());
    for (const std::size_t i : keep) out.push_back({x[i], y[i]});
    open = false;
  };
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (!std::isfinite(x[i]) || !std::isfinite(y[i])) {
      flush();
      if (!out.empty() && std::isfinite(out.back().y)) out.push_back({kNan, kNan});
      continue;
    }
    const double place = std::clamp(share(x[i], x_min, x_max), 0.0, 1.0);
    const long bucket = static_cast<long>(place * static_cast<double>(buckets));
    if (open && bucket != index) flush();
    if (!open) {
      at = {i, i, i, i};
      open = true;
      index = bucket;
    }
    if (y[i] < y[at.low]) at.low = i;
    if (y[i] > y[at.high]) at.high = i;
    at.last = i;
  }
  flush();
  return out;
}

std::vector<double> smooth(std::span<const double> values, std::size_t window) {
  const std::size_t n = values.size();
  const std::size_t half = window / 2;
  const std::size_t block = 2 * half + 1;
  // Sums from a block's start and to its end: a window meets two blocks at most. Differences of
  // running sums would lose whatever follows one huge value.
  struct Sum {
    double total = 0;
    std::size_t count = 0;
    void add(double value) {
      if (!std::isfinite(value)) return;
      total += value;
      ++count;
    }
  };
  std::vector<Sum> from_start(n);
  std::vector<Sum> to_end(n);
  for (std::size_t i = 0; i < n; ++i) {
    if (i % block != 0) from_start[i] = from_start[i - 1];
    from_start[i].add(values[i]);
  }
  for (std::size_t i = n; i-- > 0;) {
    if (i + 1 < n && (i + 1) % block != 0) to_end[i] = to_end[i + 1];
    to_end[i].add(values[i]);
  }
  std::vector<double> out(n, kNan);
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t first = i > half ? i - half : 0;
    const std::size_t last = std::min(n, i + half + 1) - 1;
    Sum sum = first % block == 0 ? from_start[last] : to_end[first];
    if (first / block != last / block) {
      sum.total += from_start[last].total;
      sum.count += from_start[last].count;
    }
    const double mean = sum.total / static_cast<double>(sum.count);
    if (sum.count > 0 && std::isfinite(mean)) out[i] = mean;
  }
  return out;
}

}  // namespace detente::report

// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/report/chart.h>
#include <detente/valuation/value_charts.h>
#include <detente/valuation/value_summary.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace detente::valuation {
namespace {

using report::Anchor;
using report::Canvas;
using report::Color;
using report::HeatMap;
using report::Point;
using report::Rect;
using report::rgb;
using Marks = std::vector<report::HtmlPage::Mark>;

constexpr double kPictureWidth = 460;
constexpr double kFont = 11.5;
constexpr Color kInk = rgb(0x24292f);
constexpr Color kMuted = rgb(0x57606a);
constexpr Color kAxis = rgb(0x9aa4ae);
constexpr Color kGrid = rgb(0xe6e9ed);
constexpr Color kHelp = rgb(0x0072b2);
constexpr Color kHarm = rgb(0xd55e00);
constexpr std::size_t kBins = 40;
constexpr double kTail = 0.005;  // on either side, of a histogram

// A power of ten, and its multiples without overflow on the way: 1e-320 has no reciprocal.
class Unit {
 public:
  explicit Unit(double largest) {
    if (!(largest > 0) || (largest >= 1e-2 && largest < 1e4)) return;
    exponent_ = 3 * static_cast<int>(std::floor(std::log10(largest) / 3));
  }
  double scaled(double value) const {
    const int half = exponent_ / 2;
    return value / std::pow(10, half) / std::pow(10, exponent_ - half);
  }
  std::string label(const std::string& what) const {
    return exponent_ == 0 ? what : fmt::format("{}, in 1e{}", what, exponent_);
  }

 private:
  int exponent_ = 0;
};

std::vector<double> sorted_finite(std::span<const double> values) {
  std::vector<double> known;
  for (const double value : values) {
    if (std::isfinite(value)) known.push_back(value);
  }
  std::sort(known.begin(), known.end());
  return known;
}

// Of ascending values, the one that `share` of them lie below; one of them, no mean of two.
double quantile(const std::vector<double>& sorted, double share) {
  return sorted[static_cast<std::size_t>(
      std::lround(share * static_cast<double>(sorted.size() - 1)))];
}

Unit unit_of(double low, double high) { return Unit(std::max(std::abs(low), std::abs(high))); }

struct Range {
  double low = 0;
  double high = 1;
};

// With room about it; of a constant a range that it stands in the middle of, and 0 where it is near.
Range with_zero(double low, double high) {
  low = std::min(low, 0.0);
  high = std::max(high, 0.0);
  if (low == high) return {-1, 1};
  const double room = 0.03 * (high - low);
  return {low < 0 ? low - room : low, high > 0 ? high + room : high};
}

// Rows with names at the left: where what is drawn of them lies.
struct RowFrame {
  Rect plot;
  Range range;
  double pitch = 24;

  double x(double value) const {
    return plot.x + plot.width * (value - range.low) / (range.high - range.low);
  }
  double y(std::size_t row) const { return plot.y + pitch * (static_cast<double>(row) + 0.5); }
};

double name_width(const std::vector<std::string>& names) {
  double widest = 0;
  for (const std::string& name : names) widest = std::max(widest, report::text_width(name, kFont));
  return std::min(widest + 12, 170.0);
}

RowFrame row_frame(const std::vector<std::string>& names, Range range) {
  RowFrame frame;
  const double left = name_width(names);
  frame.plot = {left,
                6,
                kPictureWidth - left - 14,
                frame.pitch * static_cast<double>(std::max<std::size_t>(names.size(), 1))};
  frame.range = range;
  return frame;
}

double row_height(const RowFrame& frame) { return frame.plot.bottom() + 40; }

void draw_rows(Canvas& canvas,
               const RowFrame& frame,
               const std::vector<std::string>& names,
               const std::string& label) {
  const Rect& plot = frame.plot;
  const auto ticks = report::round_ticks(frame.range.low, frame.range.high, 5);
  const double step = ticks.size() > 1 ? ticks[1] - ticks[0] : 0;
  for (const double tick : ticks) {
    const double x = frame.x(tick);
    canvas.line({{x, plot.y}, {x, plot.bottom()}}, {tick == 0 ? kAxis : kGrid, 1});
    canvas.text(
        {x, plot.bottom() + 15}, report::tick_text(tick, step), {kFont, kMuted, Anchor::kMiddle});
  }
  canvas.line({{plot.x, plot.bottom()}, {plot.right(), plot.bottom()}}, {kAxis, 1});
  canvas.text(
      {plot.x + plot.width / 2, plot.bottom() + 32}, label, {kFont, kMuted, Anchor::kMiddle});
  for (std::size_t i = 0; i < names.size(); ++i) {
    canvas.text({plot.x - 8, frame.y(i) + 4},
                report::shortened_text(names[i], kFont, plot.x - 10),
                {kFont, kInk, Anchor::kEnd});
  }
}

// Tasks apart on both sides, or nothing to make a matrix of.
bool tells_tasks_apart(const ValueTable& table) {
  const auto named = [](const std::vector<std::string>& names) {
    return std::count_if(
        names.begin(), names.end(), [](const std::string& name) { return name != kAll; });
  };
  const auto trained = named(tasks_trained(table));
  const auto judged = named(tasks_judged(table));
  return trained > 0 && judged > 0 && trained + judged > 2;
}

template <class Cell>
HeatMap task_map(const ValueTable& table, const Cell& cell) {
  HeatMap map;
  if (!tells_tasks_apart(table)) return map;
  for (const std::string& name : tasks_trained(table)) {
    if (name != kAll) map.rows.push_back(name);
  }
  for (const std::string& name : tasks_judged(table)) {
    if (name != kAll) map.columns.push_back(name);
  }
  map.row_title = "trained";
  map.column_title = "judged";
  map.largest_cell = map.columns.size() <= 4 ? 84 : 56;
  for (const std::string& trained : map.rows) {
    for (const std::string& judged : map.columns) {
      const auto series = joined_series(table, judged, trained);
      cell(map, series ? summarize(*series) : ValueSummary{});
    }
  }
  return map;
}

std::string count_words(std::size_t count, const char* one, const char* many) {
  return report::count_text(static_cast<double>(count)) + " " + (count == 1 ? one : many);
}

}  // namespace

std::string short_value(double value) {
  if (!std::isfinite(value)) return "–";
  std::string text = fmt::format("{:.3g}", value);
  // "1e-07" → "1e-7", "1e+20" → "1e20"
  if (const auto e = text.find('e'); e != std::string::npos) {
    const auto digits = text.find_first_not_of("+-0", e + 1);
    text = text.substr(0, e + 1) + (text[e + 1] == '-' ? "-" : "") + text.substr(digits);
  }
  return text;
}

Canvas histogram(std::span<const double> values, Marks& marks, std::size_t& outside) {
  constexpr double kHeight = 240;
  const std::vector<double> sorted = sorted_finite(values);
  report::Chart chart;
  chart.y_label = "examples";
  chart.x_label = "value";
  Canvas canvas(kPictureWidth, kHeight);
  if (sorted.empty()) {
    draw_chart(canvas, {0, 0, kPictureWidth, kHeight}, chart);
    return canvas;
  }
  const double low = quantile(sorted, kTail);
  const double high = quantile(sorted, 1 - kTail);
  const Unit unit = unit_of(low, high);
  const Range range = with_zero(unit.scaled(low), unit.scaled(high));
  // Widths such that one range begins at 0; that is one more of them.
  const double width = (range.high - range.low) / static_cast<double>(kBins);
  const double first = std::floor(range.low / width);
  const auto bins = static_cast<std::size_t>(std::ceil(range.high / width) - first);
  std::vector<std::size_t> counts(std::max<std::size_t>(bins, 1), 0);
  for (const double value : sorted) {
    const double place = std::floor(unit.scaled(value) / width) - first;
    const double last = static_cast<double>(counts.size() - 1);
    if (place < 0 || place > last) ++outside;
    ++counts[static_cast<std::size_t>(std::clamp(place, 0.0, last))];
  }
  const std::size_t most = *std::max_element(counts.begin(), counts.end());
  chart.x_label = unit.label("value");
  chart.y_min = 0;
  chart.y_max = 1.05 * static_cast<double>(most);
  report::Series base;  // gives the ranges
  base.x = {first * width, (first + static_cast<double>(counts.size())) * width};
  base.y = {0, 0};
  base.color = kAxis;
  base.width = 1;
  chart.series = {base};
  const report::ChartFrame frame = draw_chart(canvas, {0, 0, kPictureWidth, kHeight}, chart);
  for (std::size_t b = 0; b < counts.size(); ++b) {
    if (counts[b] == 0) continue;
    const double from = (first + static_cast<double>(b)) * width;
    const Point top = frame.at(from, static_cast<double>(counts[b]));
    const Point end = frame.at(from + width, 0);
    const double height = std::max(1.0, end.y - top.y);
    canvas.rectangle({top.x + 0.5, end.y - height, std::max(1.0, end.x - top.x - 1), height},
                     first + static_cast<double>(b) < 0 ? kHarm : kHelp);
    const bool open_low = b == 0 && unit.scaled(sorted.front()) < from;
    const bool open_high = b + 1 == counts.size() && unit.scaled(sorted.back()) > from + width;
    marks.push_back({{(top.x + end.x) / 2, end.y - height},
                     fmt::format("{} {}{}",
                                 unit.label("value"),
                                 open_low ? "below " : fmt::format("{:.3g} to ", from),
                                 open_high ? "any" : fmt::format("{:.3g}", from + width)),
                     count_words(counts[b], "example", "examples")});
  }
  return canvas;
}

std::vector<ValueGroup> grouped(std::span<const double> values,
                                std::span<const std::string> names,
                                std::size_t most,
                                std::size_t& left_out) {
  DETENTE_CHECK(names.size() == values.size(),
                ErrorCode::kShape,
                "[valuation::grouped] {} names for {} values; expected one for each.",
                names.size(),
                values.size());
  std::map<std::string, std::vector<double>> by_name;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!names[i].empty() && std::isfinite(values[i])) by_name[names[i]].push_back(values[i]);
  }
  std::vector<ValueGroup> groups;
  for (auto& [name, own] : by_name) {
    std::sort(own.begin(), own.end());
    groups.push_back({name, std::move(own)});
  }
  std::stable_sort(groups.begin(), groups.end(), [](const ValueGroup& a, const ValueGroup& b) {
    return quantile(a.values, 0.5) < quantile(b.values, 0.5);
  });
  left_out = groups.size() > most ? groups.size() - most : 0;
  groups.resize(groups.size() - left_out);
  return groups;
}

Canvas spreads(std::span<const ValueGroup> groups, Marks& marks) {
  std::vector<std::string> names;
  double low = HUGE_VAL;
  double high = -HUGE_VAL;
  std::vector<std::vector<double>> sorted;
  for (const ValueGroup& group : groups) {
    names.push_back(group.name);
    sorted.push_back(sorted_finite(group.values));
    if (sorted.back().empty()) continue;
    low = std::min(low, quantile(sorted.back(), 0.05));
    high = std::max(high, quantile(sorted.back(), 0.95));
  }
  if (low > high) low = high = 0;
  const Unit unit = unit_of(low, high);
  const RowFrame frame = row_frame(names, with_zero(unit.scaled(low), unit.scaled(high)));
  Canvas canvas(kPictureWidth, row_height(frame));
  draw_rows(canvas, frame, names, unit.label("value"));
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    if (sorted[i].empty()) continue;
    double at[5];
    const double shares[5] = {0.05, 0.25, 0.5, 0.75, 0.95};
    for (std::size_t q = 0; q < 5; ++q)
      at[q] = frame.x(unit.scaled(quantile(sorted[i], shares[q])));
    const double y = frame.y(i);
    const double median = quantile(sorted[i], 0.5);
    const Color color = median < 0 ? kHarm : kHelp;
    canvas.line({{at[0], y}, {at[4], y}}, {color, 1.4});
    canvas.rectangle({at[1], y - 5, std::max(1.0, at[3] - at[1]), 10}, color.with_alpha(0.45));
    canvas.circle({at[2], y}, 3.4, color, {rgb(0xffffff), 1});
    const auto below = std::lower_bound(sorted[i].begin(), sorted[i].end(), 0.0);
    marks.push_back(
        {{at[2], y},
         names[i],
         fmt::format("{}: median {}, half between {} and {}, {} below 0",
                     count_words(sorted[i].size(), "example", "examples"),
                     short_value(median),
                     short_value(quantile(sorted[i], 0.25)),
                     short_value(quantile(sorted[i], 0.75)),
                     report::percent_text(static_cast<double>(below - sorted[i].begin()) /
                                          static_cast<double>(sorted[i].size())))});
  }
  return canvas;
}

Canvas bars(std::span<const ValueBar> bars, Marks& marks) {
  std::vector<std::string> names;
  double low = 0;
  double high = 0;
  for (const ValueBar& bar : bars) {
    names.push_back(bar.name);
    if (!std::isfinite(bar.value)) continue;
    low = std::min(low, bar.value);
    high = std::max(high, bar.value);
  }
  const Unit unit = unit_of(low, high);
  const RowFrame frame = row_frame(names, with_zero(unit.scaled(low), unit.scaled(high)));
  Canvas canvas(kPictureWidth, row_height(frame));
  draw_rows(canvas, frame, names, unit.label("mean value"));
  for (std::size_t i = 0; i < bars.size(); ++i) {
    if (!std::isfinite(bars[i].value)) continue;
    const double zero = frame.x(0);
    const double end = frame.x(unit.scaled(bars[i].value));
    canvas.rectangle({std::min(zero, end), frame.y(i) - 7, std::max(1.0, std::abs(end - zero)), 14},
                     bars[i].value < 0 ? kHarm : kHelp);
    marks.push_back({{end, frame.y(i)}, bars[i].name, bars[i].words});
  }
  return canvas;
}

HeatMap mean_map(const ValueTable& table) {
  HeatMap map = task_map(table, [](HeatMap& into, const ValueSummary& summary) {
    into.values.push_back(summary.mean);
    into.texts.push_back(std::isfinite(summary.mean) ? short_value(summary.mean) : "");
    into.words.push_back(std::isfinite(summary.mean)
                             ? fmt::format("{} over {}",
                                           short_value(summary.mean),
                                           count_words(summary.known, "example", "examples"))
                             : "none");
  });
  map.scale = report::HeatScale::kDiverging;
  map.value_title = "mean value";
  return map;
}

HeatMap harm_map(const ValueTable& table) {
  bool judged_by_errors = false;
  HeatMap map = task_map(table, [&](HeatMap& into, const ValueSummary& summary) {
    const double share = summary.harmful_share();
    into.values.push_back(share);
    into.texts.push_back(std::isfinite(share) ? report::percent_text(share) : "");
    into.words.push_back(std::isfinite(share)
                             ? fmt::format("{} of {}",
                                           report::percent_text(share),
                                           count_words(summary.known, "example", "examples"))
                             : "none");
    judged_by_errors = judged_by_errors || summary.has_errors;
  });
  map.scale = report::HeatScale::kHarm;
  map.low = 0;
  map.value_title = judged_by_errors ? "share judged harmful" : "share below 0";
  return map;
}

}  // namespace detente::valuation

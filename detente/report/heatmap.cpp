// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/report/heatmap.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace detente::report {
namespace {

constexpr Color kHeatInk = rgb(0x24292f);
constexpr Color kHeatMuted = rgb(0x57606a);
constexpr Color kHeatNone = rgb(0xe6e9ed);
constexpr Color kHeatHatch = rgb(0x9aa4ae);
constexpr double kHeatFont = 11.5;
constexpr double kSmallestFont = 6.5;

struct HeatRange {
  double low = 0;
  double high = 1;
};

HeatRange heat_range(const HeatMap& map) {
  double low = HUGE_VAL;
  double high = -HUGE_VAL;
  for (std::size_t i = 0; i < map.values.size(); ++i) {
    const double value = map.shade(i);
    if (!std::isfinite(value)) continue;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  if (low > high) low = high = 0;
  low = map.low.value_or(low);
  high = map.high.value_or(high);
  if (map.scale == HeatScale::kDiverging) {
    high = std::max({std::abs(low), std::abs(high), map.least_reach});
    if (high == 0) high = 1;
    low = -high;
  }
  return {low, high};
}

bool dark_ground(Color color) {
  return 0.2126 * color.r + 0.7152 * color.g + 0.0722 * color.b < 140;
}

// A cell without a value: pale, and hatched so that no colour of the scale is taken for it.
void draw_missing(Canvas& canvas, const Rect& cell) {
  canvas.rectangle(cell, kHeatNone);
  const double reach = cell.width + cell.height;
  const double step = std::max(6.0, reach / 6);
  for (double at = step / 2; at < reach; at += step) {
    const Point from{cell.x + std::min(at, cell.width), cell.y + std::max(0.0, at - cell.width)};
    const Point to{cell.x + std::max(0.0, at - cell.height), cell.y + std::min(at, cell.height)};
    canvas.line({from, to}, {kHeatHatch, 0.8});
  }
}

std::string end_text(double value) { return fmt::format("{:.3g}", value); }

// What the colours mean, from left to right: the scale with its ends, what a value is, and the
// cells without one. Of a constant there is one colour, of no values none.
void draw_bar(
    Canvas& canvas, const HeatMap& map, const HeatFrame& at, Rect bar, bool any, bool missing) {
  const double base = bar.y + bar.height / 2 + 4;
  double x = bar.x;
  if (any) {
    const bool constant = !(at.low < at.high);
    if (constant) {
      bar.width = 12;
      canvas.rectangle(bar, heat_color(map.scale, heat_level(at.low, at.low, at.high)));
    } else {
      const double step = bar.width / (kHeatLevels + 1);
      for (int level = 0; level <= kHeatLevels; ++level) {
        canvas.rectangle({bar.x + step * level, bar.y, step + 0.3, bar.height},
                         heat_color(map.scale, level));
      }
      canvas.text({bar.x - 6, base}, end_text(at.low), {kHeatFont, kHeatMuted, Anchor::kEnd});
    }
    std::string words = end_text(at.high);
    if (!map.value_title.empty()) words += "  " + map.value_title;
    canvas.text({bar.right() + 6, base}, words, {kHeatFont, kHeatMuted});
    x = bar.right() + 20 + text_width(words, kHeatFont);
  }
  if (!missing || x + 18 + text_width("none", kHeatFont) > canvas.width()) return;
  draw_missing(canvas, {x, bar.y, 12, bar.height});
  canvas.text({x + 18, base}, "none", {kHeatFont, kHeatMuted});
}

// One label every so many rows or columns, so that none covers the next.
std::size_t label_stride(double needed, double there) {
  return std::max<std::size_t>(1, static_cast<std::size_t>(std::ceil(needed / there)));
}

struct ColumnLabels {
  bool slanted = false;
  std::size_t stride = 1;
  double font = kHeatFont;
  double height = 0;
};

ColumnLabels place_columns(const HeatMap& map,
                           const std::vector<std::string>& labels,
                           double cell_width,
                           double font,
                           double longest) {
  double widest = 0;
  for (const auto& label : labels) widest = std::max(widest, text_width(label, font));
  ColumnLabels out;
  out.font = font;
  if (map.ordered_columns) {
    out.stride = label_stride(widest + 10, cell_width);
  } else if (widest + 4 > cell_width) {
    out.slanted = true;
    out.stride = label_stride(font, cell_width);
  }
  out.height = out.slanted ? std::min(widest, longest) * 0.75 + 8 : font + 6;
  return out;
}

void check_heat_map(const HeatMap& map) {
  const std::size_t cells = map.rows.size() * map.columns.size();
  DETENTE_CHECK(map.values.size() == cells && (map.shades.empty() || map.shades.size() == cells) &&
                    (map.texts.empty() || map.texts.size() == cells) &&
                    (map.words.empty() || map.words.size() == cells) &&
                    (map.ticks.empty() || map.ticks.size() == map.columns.size()),
                ErrorCode::kShape,
                "[report::heat_map] {} rows and {} columns, but {} values, {} texts and {} ticks; "
                "expected a value per cell, and as many texts or none, and a tick per column or "
                "none.",
                map.rows.size(),
                map.columns.size(),
                map.values.size(),
                map.texts.size(),
                map.ticks.size());
}

void draw_cells(Canvas& canvas, const HeatMap& map, const HeatFrame& frame) {
  const double width = frame.plot.width / static_cast<double>(map.columns.size());
  const double height = frame.plot.height / static_cast<double>(map.rows.size());
  const double gap = std::min(width, height) > 10 ? 1 : 0.4;
  const double font = std::min(10.5, height * 0.62);
  for (std::size_t i = 0; i < map.rows.size(); ++i) {
    for (std::size_t j = 0; j < map.columns.size(); ++j) {
      if (map.hide_diagonal && i == j) continue;
      const Rect cell{frame.plot.x + width * static_cast<double>(j) + gap / 2,
                      frame.plot.y + height * static_cast<double>(i) + gap / 2,
                      width - gap,
                      height - gap};
      const double value = map.at(i, j);
      if (!std::isfinite(value)) {
        draw_missing(canvas, cell);
        continue;
      }
      const double shade = map.shade(i * map.columns.size() + j);
      const Color color = heat_color(map.scale, heat_level(shade, frame.low, frame.high));
      canvas.rectangle(cell, color);
      if (!map.show_text || font < kSmallestFont) continue;
      const std::string text = map.texts.empty() ? fmt::format("{:.{}f}", value, map.decimals)
                                                 : map.texts[i * map.columns.size() + j];
      if (text_width(text, font) > cell.width - 2) continue;
      canvas.text({cell.x + cell.width / 2, cell.y + cell.height / 2 + font * 0.36},
                  text,
                  {font, dark_ground(color) ? rgb(0xffffff) : kHeatInk, Anchor::kMiddle});
    }
  }
}

}  // namespace

Color heat_color(HeatScale scale, int level, bool dark) {
  // The very colours of the diverging scale: pages know what to put in their place.
  if (scale == HeatScale::kHarm) {
    return heat_color(HeatScale::kDiverging, (kHeatLevels - level) / 2, dark);
  }
  const double t = static_cast<double>(std::clamp(level, 0, kHeatLevels)) / kHeatLevels;
  const Color ground = dark ? rgb(0x2b323a) : rgb(0xf2f4f6);
  const Color blue = dark ? rgb(0x2f8fd6) : rgb(0x0a5f9e);
  if (scale == HeatScale::kSequential) return mix(ground, blue, t);
  const Color orange = dark ? rgb(0xd9690f) : rgb(0xb35000);
  return t < 0.5 ? mix(ground, orange, 1 - 2 * t) : mix(ground, blue, 2 * t - 1);
}

int heat_level(double value, double low, double high) {
  if (!(low < high)) return kHeatLevels / 2;
  // Halves, because the difference of two huge numbers may be no number.
  const double t = (value / 2 - low / 2) / (high / 2 - low / 2);
  return static_cast<int>(std::lround(std::clamp(t, 0.0, 1.0) * kHeatLevels));
}

Canvas draw_heat_map(const HeatMap& map, double width, HeatFrame* frame) {
  check_heat_map(map);
  constexpr double kTop = 4;
  constexpr double kBar = 34;
  if (map.rows.empty() || map.columns.empty()) {
    Canvas canvas(width, 60);
    canvas.text({width / 2, 34}, "no data", {13, kHeatMuted, Anchor::kMiddle, false, true});
    return canvas;
  }
  const auto rows = static_cast<double>(map.rows.size());
  const auto columns = static_cast<double>(map.columns.size());
  const auto& labels = map.ticks.empty() ? map.columns : map.ticks;

  double longest = 0;
  for (const auto& label : map.rows) longest = std::max(longest, text_width(label, kHeatFont));
  longest = std::min(longest, width * 0.36);
  const double left = longest + 10;
  const double room = width - left - (map.ordered_columns ? 14 : 6);
  double cell_width = room / columns;
  double cell_height = std::clamp(300 / rows, 11.0, 26.0);
  if (!map.ordered_columns) {
    cell_width = std::min(cell_width, map.largest_cell);
    cell_height = std::max(cell_width, 7.0);
  }
  const double row_font = std::clamp(cell_height * 0.9, kSmallestFont, kHeatFont);
  const double column_font =
      map.ordered_columns ? kHeatFont : std::clamp(cell_width * 0.9, kSmallestFont, kHeatFont);
  // The first slanted label ends at the picture's left side.
  const double longest_slanted = std::min(130.0, (left + cell_width / 2) * 1.3);
  const ColumnLabels below = place_columns(map, labels, cell_width, column_font, longest_slanted);
  const double title = map.column_title.empty() ? 0 : 17;

  HeatFrame at;
  const HeatRange range = heat_range(map);
  at.low = range.low;
  at.high = range.high;
  at.plot = {left, kTop, cell_width * columns, cell_height * rows};
  Canvas canvas(width, at.plot.bottom() + below.height + title + kBar);
  draw_cells(canvas, map, at);

  const std::size_t row_stride = label_stride(row_font, cell_height);
  for (std::size_t i = 0; i < map.rows.size(); i += row_stride) {
    const double y = kTop + cell_height * (static_cast<double>(i) + 0.5);
    canvas.text({left - 6, y + row_font * 0.36},
                shortened_text(map.rows[i], row_font, longest),
                {row_font, kHeatMuted, Anchor::kEnd});
  }
  for (std::size_t j = 0; j < labels.size(); j += below.stride) {
    const double x = left + cell_width * (static_cast<double>(j) + 0.5);
    TextStyle style{below.font, kHeatMuted, below.slanted ? Anchor::kEnd : Anchor::kMiddle};
    if (below.slanted) style.rotate = -45;
    canvas.text({x + (below.slanted ? below.font * 0.36 : 0),
                 at.plot.bottom() + (below.slanted ? 12 : below.font + 3)},
                below.slanted ? shortened_text(labels[j], below.font, longest_slanted) : labels[j],
                style);
  }
  const double label_bottom = at.plot.bottom() + below.height;
  if (title > 0) {
    canvas.text({left + at.plot.width / 2, label_bottom + 14},
                map.column_title,
                {kHeatFont, kHeatMuted, Anchor::kMiddle});
  }
  bool missing = false;
  bool any = false;
  for (std::size_t i = 0; i < map.values.size(); ++i) {
    const bool hidden = map.hide_diagonal && i / map.columns.size() == i % map.columns.size();
    if (!hidden) (std::isfinite(map.values[i]) ? any : missing) = true;
  }
  draw_bar(
      canvas, map, at, {std::max(left, 56.0), label_bottom + title + 14, 130, 10}, any, missing);
  if (frame != nullptr) *frame = at;
  return canvas;
}

}  // namespace detente::report

// SPDX-License-Identifier: Apache-2.0
// Line charts: axes with round ticks, grid, legend, optional logarithmic y axis.
#pragma once

#include <detente/report/canvas.h>

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace detente::report {

// More lines than this are not named in the legend.
inline constexpr std::size_t kMaxLegend = 12;

struct Series {
  std::string name;
  std::vector<double> x;
  std::vector<double> y;  // same size as x; NaN or infinity is a gap
  Color color;
  double width = 1.8;
  double dash = 0;
  bool markers = false;     // a dot on every point (a point between two gaps always gets one)
  bool background = false;  // raw values behind a smoothed line: no legend entry, and the axis
                            // follows its middle 98 %, so that one spike does not flatten the rest
  // A pale band about the line, such as the range over seeds: as many as y, or none. It is meant
  // for tens of points and is not thinned.
  std::vector<double> low;
  std::vector<double> high;
};

// A pale stretch across the whole chart with its meaning in small letters.
struct Zone {
  double low = 0;
  double high = 0;
  Color color;
  std::string text;
};

struct Chart {
  std::string title;
  std::string x_label;
  std::string y_label;
  std::vector<Series> series;
  bool log_y = false;  // values <= 0 become gaps
  bool legend = true;
  bool integer_x = false;  // ticks at whole numbers only (epochs, steps)
  std::optional<double> y_min;
  std::optional<double> y_max;
  std::vector<double> marks_y;  // dashed horizontal lines
  std::vector<double> marks_x;  // dashed vertical lines
  std::vector<Zone> zones_y;    // of y values; they do not widen the axis
};

// Where the data lies, for whoever draws on top or reads values under the pointer.
struct ChartFrame {
  Rect plot;
  double x_min = 0;
  double x_max = 1;
  double y_min = 0;
  double y_max = 1;
  bool log_y = false;

  Point at(double x, double y) const;
};

// Draws into `area`. A chart without a finite point shows its axes and "no data". Series with more
// points than pixels are thinned to the extremes of each pixel column. kShape when x and y of a
// series differ in size.
ChartFrame draw_chart(Canvas& canvas, const Rect& area, const Chart& chart);

// The y range and the x range draw_chart uses.
ChartFrame chart_range(const Chart& chart);

// Several charts in a grid, with a common title ("" for none).
Canvas draw_panels(std::span<const Chart> charts,
                   std::size_t columns,
                   double panel_width = 480,
                   double panel_height = 300,
                   const std::string& title = "");

// About `target` round numbers (1, 2, 2.5 or 5 times a power of ten) within [low, high].
std::vector<double> round_ticks(double low, double high, int target);
// Powers of ten within [low, high], with 2 and 5 times them when there are fewer than three.
std::vector<double> log_ticks(double low, double high);
// Short text for a tick of an axis whose ticks are `step` apart: "0.25", "12k", "1e-7".
std::string tick_text(double value, double step);

// Thins points, x ascending, to at most four per bucket of [x_min, x_max]: first, lowest, highest,
// last; a gap stays a gap.
std::vector<Point> thin_points(std::span<const double> x,
                               std::span<const double> y,
                               double x_min,
                               double x_max,
                               std::size_t buckets);

// Mean over a centred window of `window` values, gaps left out; a value with no finite neighbour
// stays a gap.
std::vector<double> smooth(std::span<const double> values, std::size_t window);

}  // namespace detente::report

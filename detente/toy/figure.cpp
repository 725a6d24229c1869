// SPDX-License-Identifier: Apache-2.0
#include <detente/core/matrix.h>
#include <detente/report/chart.h>
#include <detente/report/contour.h>
#include <detente/toy/figure.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>

namespace detente::toy {
namespace {

using report::Anchor;
using report::Canvas;
using report::Color;
using report::Point;
using report::Rect;
using report::rgb;

// Sizes of the panels of one kind: the landscapes, and the methods.
struct Size {
  double plot = 268;  // its side
  double left = 38;   // room for tick labels
  double top = 30;
  double bottom = 34;
  double gap = 14;
  double title = 13;
  double star = 7.5;
  double start = 4;
  double path = 2.4;
  bool ticks = true;

  double width() const { return left + plot + gap; }
  double height() const { return top + plot + bottom; }
};

constexpr Size kLarge;
// Small multiples, for more methods than kManyMethods; the landscapes above them carry the ticks.
constexpr Size kSmall = {
    .plot = 150,
    .left = 6,
    .top = 22,
    .bottom = 6,
    .gap = 5,
    .title = 12,
    .star = 5,
    .start = 2.6,
    .path = 1.7,
    .ticks = false,
};
constexpr std::size_t kManyMethods = 15;

constexpr std::size_t kGrid = 201;
constexpr int kShades = 48;  // pieces of one colour a trajectory is drawn in; the i-th ends after
                             // the share (i/kShades)² of the steps, because most happens early

constexpr Color kInk = rgb(0x1f2328);
constexpr Color kMuted = rgb(0x57606a);
constexpr Color kFrame = rgb(0x8c959f);
constexpr Color kPareto = rgb(0x009e73);
constexpr Color kHigh = rgb(0xdbe4ee);  // contours far above the minimum
constexpr Color kLow = rgb(0x2b5c8a);
constexpr Color kWhite = rgb(0xffffff);

struct Panel {
  Rect plot;
  Box view;
  Size size;

  Point at(Vec2 x) const {
    return {plot.x + (x.x1 - view.low.x1) / (view.high.x1 - view.low.x1) * plot.width,
            plot.bottom() - (x.x2 - view.low.x2) / (view.high.x2 - view.low.x2) * plot.height};
  }
};

// Contour lines of one function, computed once and drawn in several panels.
struct Contours {
  struct Level {
    double share;  // 0 at the lowest level, 1 at the highest
    std::vector<std::vector<Point>> lines;
  };
  std::vector<Level> levels;
};

Contours make_contours(const Box& view, const std::function<double(Vec2)>& height, int count) {
  Matrix grid(kGrid, kGrid);
  std::vector<double> sorted;
  sorted.reserve(kGrid * kGrid);
  const double dx = (view.high.x1 - view.low.x1) / (kGrid - 1);
  const double dy = (view.high.x2 - view.low.x2) / (kGrid - 1);
  for (std::size_t i = 0; i < kGrid; ++i) {
    for (std::size_t j = 0; j < kGrid; ++j) {
      grid(i, j) = height(
          {view.low.x1 + dx * static_cast<double>(j), view.low.x2 + dy * static_cast<double>(i)});
      if (std::isfinite(grid(i, j))) sorted.push_back(grid(i, j));
    }
  }
  std::sort(sorted.begin(), sorted.end());
  Contours out;
  if (sorted.empty()) return out;
  // The singular bottoms of the valleys would take most of an even scale.
  const double low = sorted[sorted.size() / 200];
  const double high = sorted[sorted.size() - 1 - sorted.size() / 200];
  const Rect domain = {
      view.low.x1, view.low.x2, view.high.x1 - view.low.x1, view.high.x2 - view.low.x2};
  for (int i = 0; i < count; ++i) {
    const double share = (i + 0.5) / count;
    out.levels.push_back({share, report::contour_lines(grid, domain, low + share * (high - low))});
  }
  return out;
}

void draw_contours(Canvas& canvas, const Panel& panel, const Contours& contours, double fade) {
  for (const auto& level : contours.levels) {
    const Color color = mix(mix(kLow, kHigh, std::sqrt(level.share)), kWhite, fade);
    for (const auto& line : level.lines) {
      std::vector<Point> points;
      for (std::size_t i = 0; i < line.size(); ++i) {
        const Point p = panel.at({line[i].x, line[i].y});
        const bool ends = i == 0 || i + 1 == line.size();
        if (ends || std::hypot(p.x - points.back().x, p.y - points.back().y) > 1) {
          points.push_back(p);
        }
      }
      canvas.line(std::move(points), {color, 1.0});
    }
  }
}

void draw_frame(
    Canvas& canvas, const Panel& panel, const std::string& title, bool x_label, bool y_label) {
  const Rect& plot = panel.plot;
  canvas.text({plot.x + plot.width / 2, plot.y - 0.3 * panel.size.top},
              title,
              {panel.size.title, kInk, Anchor::kMiddle, true});
  canvas.rectangle(plot, {0, 0, 0, 0}, {kFrame, 1});
  if (!panel.size.ticks) return;
  const auto ticks_x = report::round_ticks(panel.view.low.x1, panel.view.high.x1, 5);
  const auto ticks_y = report::round_ticks(panel.view.low.x2, panel.view.high.x2, 5);
  const auto step = [](const std::vector<double>& t) { return t.size() > 1 ? t[1] - t[0] : 0.0; };
  for (const double t : ticks_x) {
    const Point p = panel.at({t, panel.view.low.x2});
    canvas.line({p, {p.x, p.y + 4}}, {kFrame, 1});
    canvas.text(
        {p.x, p.y + 16}, report::tick_text(t, step(ticks_x)), {10.5, kMuted, Anchor::kMiddle});
  }
  for (const double t : ticks_y) {
    const Point p = panel.at({panel.view.low.x1, t});
    canvas.line({p, {p.x - 4, p.y}}, {kFrame, 1});
    canvas.text(
        {p.x - 7, p.y + 3.5}, report::tick_text(t, step(ticks_y)), {10.5, kMuted, Anchor::kEnd});
  }
  if (x_label) {
    canvas.text({plot.x + plot.width / 2, plot.bottom() + 30},
                "x₁",
                {12, kMuted, Anchor::kMiddle, false, true});
  }
  if (y_label) {
    canvas.text({plot.x - 32, plot.y + plot.height / 2 + 4},
                "x₂",
                {12, kMuted, Anchor::kMiddle, false, true});
  }
}

void draw_pareto(Canvas& canvas, const Panel& panel, const ToyProblem& problem) {
  std::vector<Point> line;
  for (const Vec2 x : problem.pareto_set) line.push_back(panel.at(x));
  canvas.line(line, {kWhite, 2.5 * panel.size.path});
  canvas.line(std::move(line), {kPareto, 1.4 * panel.size.path});
}

void draw_star(Canvas& canvas, Point center, double radius, Color fill) {
  std::vector<Point> points;
  for (int i = 0; i < 10; ++i) {
    const double r = i % 2 == 0 ? radius : 0.44 * radius;
    const double angle = -std::numbers::pi / 2 + i * std::numbers::pi / 5;
    points.push_back({center.x + r * std::cos(angle), center.y + r * std::sin(angle)});
  }
  canvas.polygon(std::move(points), fill, {kInk, 1});
}

void draw_start(Canvas& canvas, Point p, double radius) {
  canvas.circle(p, radius, kInk, {kWhite, 0.35 * radius});
}

// Points closer than a third of a pixel to the last one drawn are left out.
std::vector<Point> visible_path(const Panel& panel, std::span<const Vec2> points) {
  std::vector<Point> out;
  for (std::size_t i = 0; i < points.size(); ++i) {
    const Point p = panel.at(points[i]);
    const bool ends = i == 0 || i + 1 == points.size();
    if (ends || std::hypot(p.x - out.back().x, p.y - out.back().y) > 0.33) out.push_back(p);
  }
  return out;
}

void draw_trajectory(Canvas& canvas, const Panel& panel, const RunResult& run) {
  const std::span<const Vec2> all(run.trajectory);
  canvas.line(visible_path(panel, all), {kWhite, 1.9 * panel.size.path});
  const std::size_t last = all.size() - 1;
  for (int s = 0; s < kShades; ++s) {
    const auto cut = [last](int i) {
      const double share = static_cast<double>(i) / kShades;
      return static_cast<std::size_t>(std::lround(share * share * static_cast<double>(last)));
    };
    const std::size_t from = cut(s);
    const std::size_t to = cut(s + 1);
    if (to == from) continue;
    canvas.line(visible_path(panel, all.subspan(from, to - from + 1)),
                {report::ramp_color((s + 0.5) / kShades), panel.size.path});
  }
}

void draw_legend(Canvas& canvas, const Rect& area, const ToyProblem& problem, std::int64_t steps) {
  const double x = area.x + 26;
  double y = area.y + 40;
  canvas.text({x, y}, "Progress of a run (steps)", {12, kInk});
  y += 12;
  const double width = std::min(200.0, area.width - 40);
  for (int s = 0; s < 2 * kShades; ++s) {
    const double piece = width / (2 * kShades);
    // Overlapping by half a pixel hides the seams between neighbours.
    canvas.rectangle({x + s * piece, y, piece + (s + 1 < 2 * kShades ? 0.5 : 0.0), 12},
                     report::ramp_color((s + 0.5) / (2 * kShades)));
  }
  for (const double share : {0.0, 0.25, 1.0}) {
    const double at = x + std::sqrt(share) * width;
    canvas.line({{at, y + 12}, {at, y + 16}}, {kFrame, 1});
    canvas.text({at, y + 29},
                report::tick_text(share * static_cast<double>(steps), 1),
                {11, kMuted, Anchor::kMiddle});
  }
  y += 56;
  draw_start(canvas, {x + 10, y - 4}, kLarge.start);
  canvas.text({x + 30, y}, "start", {12, kInk});
  y += 25;
  draw_star(canvas, {x + 10, y - 4}, kLarge.star, report::ramp_color(1));
  canvas.text({x + 30, y}, "end", {12, kInk});
  y += 25;
  if (!problem.pareto_set.empty()) {
    canvas.line({{x, y - 4}, {x + 20, y - 4}}, {kPareto, 3.4});
    canvas.text({x + 30, y}, "Pareto set", {12, kInk});
    y += 25;
  }
  canvas.line({{x, y - 8}, {x + 20, y - 8}}, {kHigh, 1.4});
  canvas.line({{x, y - 4}, {x + 20, y - 4}}, {mix(kLow, kHigh, 0.5), 1.4});
  canvas.line({{x, y}, {x + 20, y}}, {kLow, 1.4});
  canvas.text({x + 30, y}, "equal loss (darker is lower)", {12, kInk});
}

// The problem's view, widened to hold every trajectory.
Box view_of(const ToyProblem& problem, std::span<const MethodRuns> methods) {
  Box view = problem.view;
  Vec2 low = view.low;
  Vec2 high = view.high;
  for (const auto& method : methods) {
    for (const auto& run : method.runs) {
      for (const Vec2 x : run.trajectory) {
        low = {std::min(low.x1, x.x1), std::min(low.x2, x.x2)};
        high = {std::max(high.x1, x.x1), std::max(high.x2, x.x2)};
      }
    }
  }
  const double margin1 = 0.04 * (high.x1 - low.x1);
  const double margin2 = 0.04 * (high.x2 - low.x2);
  if (low.x1 < view.low.x1) view.low.x1 = low.x1 - margin1;
  if (low.x2 < view.low.x2) view.low.x2 = low.x2 - margin2;
  if (high.x1 > view.high.x1) view.high.x1 = high.x1 + margin1;
  if (high.x2 > view.high.x2) view.high.x2 = high.x2 + margin2;
  return view;
}

}  // namespace

Canvas draw_figure(const ToyProblem& problem, std::span<const MethodRuns> methods) {
  const Box view = view_of(problem, methods);
  const auto loss = [&](std::size_t i) {
    return [&problem, i](Vec2 x) { return problem.evaluate(x).losses[i]; };
  };
  const auto mean = [&problem](Vec2 x) {
    const auto losses = problem.evaluate(x).losses;
    return 0.5 * (losses[0] + losses[1]);
  };
  const bool many = methods.size() > kManyMethods;
  const Size small = many ? kSmall : kLarge;
  const Contours first = make_contours(view, loss(0), 16);
  const Contours second = make_contours(view, loss(1), 16);
  const Contours both = make_contours(view, mean, 16);
  const Contours behind = many ? make_contours(view, mean, 7) : both;

  // Top row: the landscape and the key; below: one panel per method.
  const std::size_t columns =
      many ? 8 : std::max<std::size_t>(4, std::min<std::size_t>(methods.size(), 5));
  const std::size_t rows = (methods.size() + columns - 1) / columns;
  const double width =
      std::max(4 * kLarge.width(), small.width() * static_cast<double>(columns)) + 10;
  Canvas canvas(width, kLarge.height() + small.height() * static_cast<double>(rows) + 12);
  const auto landscape_at = [&](double column) {
    return Panel{
        {10 + kLarge.width() * column + kLarge.left, 8 + kLarge.top, kLarge.plot, kLarge.plot},
        view,
        kLarge};
  };
  const auto panel_at = [&](std::size_t row, double column) {
    return Panel{{10 + small.width() * column + small.left,
                  8 + kLarge.height() + small.height() * static_cast<double>(row) + small.top,
                  small.plot,
                  small.plot},
                 view,
                 small};
  };

  const std::array<const Contours*, 3> landscapes = {&first, &second, &both};
  const std::array<const char*, 3> titles = {"Loss 1", "Loss 2", "Mean of both"};
  for (std::size_t i = 0; i < 3; ++i) {
    const Panel panel = landscape_at(static_cast<double>(i));
    canvas.begin_clip(panel.plot);
    draw_contours(canvas, panel, *landscapes[i], 0.0);
    draw_pareto(canvas, panel, problem);
    canvas.end();
    draw_frame(canvas, panel, titles[i], methods.empty() || many, i == 0);
  }
  std::int64_t steps = 0;
  for (const auto& method : methods) {
    for (const auto& run : method.runs) steps = std::max(steps, run.steps);
  }
  const Rect key = landscape_at(3).plot;
  draw_legend(canvas, key, problem, steps);

  for (std::size_t m = 0; m < methods.size(); ++m) {
    const std::size_t row = m / columns;
    // A row that is not full stands in the middle.
    const std::size_t in_row = std::min(columns, methods.size() - row * columns);
    const double column =
        static_cast<double>(m % columns) + 0.5 * static_cast<double>(columns - in_row);
    const Panel panel = panel_at(row, column);
    canvas.begin_clip(panel.plot);
    draw_contours(canvas, panel, behind, 0.35);
    draw_pareto(canvas, panel, problem);
    for (const auto& run : methods[m].runs) draw_trajectory(canvas, panel, run);
    for (const auto& run : methods[m].runs) draw_start(canvas, panel.at(run.start), small.start);
    for (const auto& run : methods[m].runs) {
      draw_star(canvas, panel.at(run.final), small.star, report::ramp_color(1));
    }
    canvas.end();
    draw_frame(canvas, panel, methods[m].title, true, m % columns == 0);
  }
  return canvas;
}

}  // namespace detente::toy

// SPDX-License-Identifier: Apache-2.0
#include <detente/study/name_placer.h>

#include <algorithm>
#include <cmath>

namespace detente::study {
namespace {

using report::Color;
using report::Point;
using report::Rect;

constexpr double kFont = 11.5;
constexpr double kHeight = 12;
constexpr double kPi = 3.14159265358979323846;
constexpr Color kLeader = report::rgb(0x9aa4ae);

bool overlap(const Rect& a, const Rect& b) {
  return a.x < b.right() && b.x < a.right() && a.y < b.bottom() && b.y < a.bottom();
}

Rect around(Point p, double half) { return {p.x - half, p.y - half, 2 * half, 2 * half}; }

bool runs_through(Point from, Point to, const Rect& box) {
  constexpr int kSteps = 40;
  for (int i = 0; i <= kSteps; ++i) {
    const double t = static_cast<double>(i) / kSteps;
    const double x = from.x + t * (to.x - from.x);
    const double y = from.y + t * (to.y - from.y);
    if (x > box.x && x < box.right() && y > box.y && y < box.bottom()) return true;
  }
  return false;
}

// Which side of the line from a to b the point c is on.
double side(Point a, Point b, Point c) {
  return (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x);
}

}  // namespace

void NamePlacer::keep_free(Point p) {
  points_.push_back(p);
  middle_.x += (p.x - middle_.x) / static_cast<double>(points_.size());
  middle_.y += (p.y - middle_.y) / static_cast<double>(points_.size());
}

bool NamePlacer::place(Point p, const std::string& name, Color ink) {
  const double width = report::text_width(name, kFont);
  // Beside the whiskers, which run level and upright.
  for (const double down : {-17.0, 5.0}) {
    for (const double right : {7.0, -7.0 - width}) {
      if (put(p, {p.x + right, p.y + down, width, kHeight}, name, ink, Line::kNone)) return true;
    }
  }
  // Away from where the points lie, and only as far as it must be.
  const Point out{p.x - middle_.x, p.y - middle_.y};
  const double away = std::hypot(out.x, out.y) < 1 ? 0 : std::atan2(out.y, out.x);
  constexpr int kWays = 32;
  constexpr double kFarthest = 240;
  for (const Line line : {Line::kClear, Line::kOverPoints, Line::kOverLines, Line::kUnderNames}) {
    for (double distance = 20; distance <= kFarthest; distance += 8) {
      for (int way = 0; way < kWays; ++way) {
        const double turn = away + (way % 2 == 0 ? 1 : -1) * ((way + 1) / 2) * (2 * kPi / kWays);
        const Point end{p.x + distance * std::cos(turn), p.y + distance * std::sin(turn)};
        const double left = end.x < p.x ? end.x - width - 2 : end.x + 2;
        if (put(p, {left, end.y - kHeight / 2, width, kHeight}, name, ink, line)) return true;
      }
    }
  }
  return false;
}

bool NamePlacer::put(Point p, const Rect& box, const std::string& name, Color ink, Line line) {
  const bool inside = box.x >= plot_.x && box.right() <= plot_.right() && box.y >= plot_.y &&
                      box.bottom() <= plot_.bottom();
  if (!inside || is_taken(box)) return false;
  if (line != Line::kNone) {
    const Point end{box.x > p.x ? box.x - 2 : box.right() + 2, box.y + box.height / 2};
    if (crosses(p, end, line)) return false;
    lines_.emplace_back(p, end);
  }
  placed_.push_back({box, name, ink});
  return true;
}

void NamePlacer::draw() const {
  for (const auto& [p, end] : lines_) {
    // From the edge of the point.
    const double length = std::hypot(end.x - p.x, end.y - p.y);
    const Point begin{p.x + 5 * (end.x - p.x) / length, p.y + 5 * (end.y - p.y) / length};
    canvas_.line({begin, end}, {kLeader, 0.8});
  }
  for (const Placed& one : placed_) {
    report::TextStyle style{kFont, one.ink, report::Anchor::kStart};
    style.halo = report::rgb(0xffffff);
    canvas_.text({one.box.x, one.box.y + 10}, one.name, style);
  }
}

bool NamePlacer::is_taken(const Rect& box) const {
  const auto on_name = [&](const Placed& other) { return overlap(box, other.box); };
  const auto on_point = [&](Point p) { return overlap(box, around(p, 6)); };
  const auto on_line = [&](const auto& line) { return runs_through(line.first, line.second, box); };
  return std::any_of(placed_.begin(), placed_.end(), on_name) ||
         std::any_of(points_.begin(), points_.end(), on_point) ||
         std::any_of(lines_.begin(), lines_.end(), on_line);
}

bool NamePlacer::crosses(Point from, Point to, Line line) const {
  if (line == Line::kUnderNames) return false;
  for (const Placed& other : placed_) {
    if (runs_through(from, to, other.box)) return true;
  }
  if (line == Line::kOverLines) return false;
  for (const auto& [begin, end] : lines_) {
    if (side(from, to, begin) * side(from, to, end) < 0 &&
        side(begin, end, from) * side(begin, end, to) < 0) {
      return true;
    }
  }
  if (line == Line::kOverPoints) return false;
  return std::any_of(points_.begin(), points_.end(), [&](Point p) {
    const bool own = std::hypot(p.x - from.x, p.y - from.y) < 5;
    return !own && runs_through(from, to, around(p, 4));
  });
}

}  // namespace detente::study

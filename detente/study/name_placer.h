// SPDX-License-Identifier: Apache-2.0
// The names of points in a picture, none over another or over a point: beside its point where there is room,
// else further off, with a line that leads to it.
#pragma once

#include <detente/report/canvas.h>

#include <string>
#include <utility>
#include <vector>

namespace detente::study {

class NamePlacer {
 public:
  // Names stay within `plot`.
  NamePlacer(report::Canvas& canvas, const report::Rect& plot) : canvas_(canvas), plot_(plot) {}

  // All points, before the first name.
  void keep_free(report::Point p);

  // Whether there was room for the name; those that come first have the nearest places.
  bool place(report::Point p, const std::string& name, report::Color ink);

  // Draws what was placed, the lines below the names.
  void draw() const;

 private:
  // What the line from a point to its name may do.
  enum class Line { kNone, kClear, kOverPoints, kOverLines, kUnderNames };
  struct Placed {
    report::Rect box;
    std::string name;
    report::Color ink;
  };

  bool put(report::Point p,
           const report::Rect& box,
           const std::string& name,
           report::Color ink,
           Line line);
  bool is_taken(const report::Rect& box) const;
  bool crosses(report::Point from, report::Point to, Line line) const;

  report::Canvas& canvas_;
  report::Rect plot_;
  std::vector<report::Point> points_;
  report::Point middle_{0, 0};
  std::vector<Placed> placed_;
  std::vector<std::pair<report::Point, report::Point>> lines_;
};

}  // namespace detente::study

// SPDX-License-Identifier: Apache-2.0
// A picture as a list of drawing primitives, written as SVG (text stays text) or PNG from the same
// list. Coordinates are pixels, y downwards, origin in the top left corner.
#pragma once

#include <detente/report/colors.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace detente::report {

struct Point {
  double x = 0;
  double y = 0;
};

struct Rect {
  double x = 0;
  double y = 0;
  double width = 0;
  double height = 0;

  double right() const { return x + width; }
  double bottom() const { return y + height; }
  bool contains(Point p) const { return p.x >= x && p.x <= right() && p.y >= y && p.y <= bottom(); }
};

struct Stroke {
  Color color;
  double width = 1.0;  // 0: not drawn
  double dash = 0.0;   // length of a dash and of the gap after it; 0: solid
};

enum class Anchor { kStart, kMiddle, kEnd };

struct TextStyle {
  double size = 12;
  Color color = rgb(0x333333);
  Anchor anchor = Anchor::kStart;
  bool bold = false;
  bool italic = false;
  double rotate = 0;       // degrees, clockwise, about the anchor
  Color halo{0, 0, 0, 0};  // an outline behind the letters; invisible unless alpha > 0
};

struct Polyline {
  std::vector<Point> points;
  Stroke stroke;
  Color fill{0, 0, 0, 0};
  bool closed = false;
};

struct Circle {
  Point center;
  double radius = 1;
  Color fill;
  Stroke stroke{{}, 0};
};

struct Text {
  Point at;  // on the base line
  std::string text;
  TextStyle style;
};

struct BeginClip {
  Rect rect;
};

// A named part of the picture, for style sheets and scripts (SVG only).
struct BeginGroup {
  std::string css_class;
};

struct End {};  // closes the innermost clip or group

using Primitive = std::variant<Polyline, Circle, Text, BeginClip, BeginGroup, End>;

class Canvas {
 public:
  Canvas(double width, double height) : width_(width), height_(height) {}

  double width() const { return width_; }
  double height() const { return height_; }
  const std::vector<Primitive>& primitives() const { return primitives_; }

  // Points that are not finite split a line in two; fewer than two points draw nothing.
  void line(std::vector<Point> points, const Stroke& stroke);
  void polygon(std::vector<Point> points, Color fill, const Stroke& stroke = {{}, 0});
  void rectangle(const Rect& rect, Color fill, const Stroke& stroke = {{}, 0});
  void circle(Point center, double radius, Color fill, const Stroke& stroke = {{}, 0});
  void text(Point at, std::string text, const TextStyle& style = {});
  void begin_clip(const Rect& rect);
  void begin_group(std::string css_class);
  void end();

 private:
  double width_;
  double height_;
  std::vector<Primitive> primitives_;
};

// Width in pixels the text will take, estimated (fonts differ between viewers by some percent).
double text_width(std::string_view utf8, double size, bool bold = false);
// The text, or as much of it as fits into `width` with "…" behind it.
std::string shortened_text(const std::string& utf8, double size, double width);

// An <svg> element with a viewBox. `id` makes clip-path names unique when several pictures share a
// page; with `fixed_size` the element carries its width and height, without it fills its container.
std::string to_svg(const Canvas& canvas, const std::string& id = "c", bool fixed_size = true);

// A whole SVG file; atomic.
void write_svg(const Canvas& canvas, const std::filesystem::path& path);

// White background; `scale` pixels per unit. Atomic; kIo when it cannot be written, kUnsupported
// when the picture is too large or Detente was built without cairo.
void write_png(const Canvas& canvas, const std::filesystem::path& path, double scale = 2.0);

// "<", ">", "&" and quotes replaced, invalid UTF-8 and control characters by U+FFFD: safe as text
// and inside a quoted attribute.
std::string escape_xml(std::string_view text);

}  // namespace detente::report

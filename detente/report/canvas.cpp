// SPDX-License-Identifier: Apache-2.0
#include <detente/core/file.h>
#include <detente/report/canvas.h>
#include <detente/report/table.h>
#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <cmath>

namespace detente::report {
namespace {

constexpr const char* kSvgFonts = "'DejaVu Sans','Noto Sans','Noto Sans KR',Verdana,sans-serif";

bool finite(Point p) { return std::isfinite(p.x) && std::isfinite(p.y); }

// Two decimals are a hundredth of a pixel; trailing zeros cost most of an SVG's size.
void append_number(std::string& out, double value) {
  std::string text = fmt::format("{:.2f}", value);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  out += text == "-0" ? "0" : text;
}

std::string number(double value) {
  std::string out;
  append_number(out, value);
  return out;
}

class SvgWriter {
 public:
  SvgWriter(const Canvas& canvas, std::string id, bool fixed_size) : id_(std::move(id)) {
    out_ = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + number(canvas.width()) +
           " " + number(canvas.height()) + "\"";
    if (fixed_size) {
      out_ +=
          " width=\"" + number(canvas.width()) + "\" height=\"" + number(canvas.height()) + "\"";
    }
    out_ += fmt::format(" id=\"{}\" font-family=\"{}\">\n", escape_xml(id_), kSvgFonts);
    for (const auto& primitive : canvas.primitives()) std::visit(*this, primitive);
    out_ += "</svg>\n";
  }

  void operator()(const Polyline& line) {
    out_ += line.closed ? "<polygon points=\"" : "<polyline points=\"";
    for (std::size_t i = 0; i < line.points.size(); ++i) {
      if (i > 0) out_ += ' ';
      append_number(out_, line.points[i].x);
      out_ += ',';
      append_number(out_, line.points[i].y);
    }
    out_ += '"';
    fill(line.fill);
    stroke(line.stroke);
    if (line.stroke.width > 0) out_ += " stroke-linejoin=\"round\" stroke-linecap=\"round\"";
    out_ += "/>\n";
  }

  void operator()(const Circle& circle) {
    out_ += "<circle cx=\"" + number(circle.center.x) + "\" cy=\"" + number(circle.center.y) +
            "\" r=\"" + number(circle.radius) + "\"";
    fill(circle.fill);
    stroke(circle.stroke);
    out_ += "/>\n";
  }

  void operator()(const Text& text) {
    const TextStyle& style = text.style;
    out_ += "<text x=\"" + number(text.at.x) + "\" y=\"" + number(text.at.y) + "\" font-size=\"" +
            number(style.size) + "\"";
    fill(style.color);
    if (style.anchor == Anchor::kMiddle) out_ += " text-anchor=\"middle\"";
    if (style.anchor == Anchor::kEnd) out_ += " text-anchor=\"end\"";
    if (style.bold) out_ += " font-weight=\"bold\"";
    if (style.italic) out_ += " font-style=\"italic\"";
    if (style.halo.alpha > 0) {
      out_ += " paint-order=\"stroke\" stroke-linejoin=\"round\"";
      stroke({style.halo, style.size / 4});
    }
    if (style.rotate != 0) {
      out_ += " transform=\"rotate(" + number(style.rotate) + " " + number(text.at.x) + " " +
              number(text.at.y) + ")\"";
    }
    out_ += ">" + escape_xml(text.text) + "</text>\n";
  }

  void operator()(const BeginClip& clip) {
    const std::string name = escape_xml(id_) + "-clip" + std::to_string(clips_++);
    out_ += "<clipPath id=\"" + name + "\"><rect x=\"" + number(clip.rect.x) + "\" y=\"" +
            number(clip.rect.y) + "\" width=\"" + number(clip.rect.width) + "\" height=\"" +
            number(clip.rect.height) + "\"/></clipPath>\n<g clip-path=\"url(#" + name + ")\">\n";
  }

  void operator()(const BeginGroup& group) {
    out_ += "<g class=\"" + escape_xml(group.css_class) + "\">\n";
  }

  void operator()(const End&) { out_ += "</g>\n"; }

  std::string take() { return std::move(out_); }

 private:
  void fill(Color color) {
    if (color.alpha <= 0) {
      out_ += " fill=\"none\"";
      return;
    }
    out_ += " fill=\"" + color.hex() + "\"";
    if (color.alpha < 1) out_ += " fill-opacity=\"" + number(color.alpha) + "\"";
  }

  void stroke(const Stroke& stroke) {
    if (stroke.width <= 0 || stroke.color.alpha <= 0) return;
    out_ += " stroke=\"" + stroke.color.hex() + "\" stroke-width=\"" + number(stroke.width) + "\"";
    if (stroke.color.alpha < 1) out_ += " stroke-opacity=\"" + number(stroke.color.alpha) + "\"";
    if (stroke.dash > 0) {
      out_ += " stroke-dasharray=\"" + number(stroke.dash) + " " + number(stroke.dash) + "\"";
    }
  }

  std::string id_;
  std::string out_;
  int clips_ = 0;
};

}  // namespace

void Canvas::line(std::vector<Point> points, const Stroke& stroke) {
  std::vector<Point> part;
  const auto flush = [&] {
    if (part.size() >= 2) primitives_.emplace_back(Polyline{std::move(part), stroke});
    part.clear();
  };
  if (std::all_of(points.begin(), points.end(), finite)) {
    part = std::move(points);
  } else {
    for (const Point p : points) {
      if (finite(p)) {
        part.push_back(p);
      } else {
        flush();
      }
    }
  }
  flush();
}

void Canvas::polygon(std::vector<Point> points, Color fill, const Stroke& stroke) {
  primitives_.emplace_back(Polyline{std::move(points), stroke, fill, true});
}

void Canvas::rectangle(const Rect& rect, Color fill, const Stroke& stroke) {
  polygon({{rect.x, rect.y},
           {rect.right(), rect.y},
           {rect.right(), rect.bottom()},
           {rect.x, rect.bottom()}},
          fill,
          stroke);
}

void Canvas::circle(Point center, double radius, Color fill, const Stroke& stroke) {
  primitives_.emplace_back(Circle{center, radius, fill, stroke});
}

void Canvas::text(Point at, std::string text, const TextStyle& style) {
  primitives_.emplace_back(Text{at, std::move(text), style});
}

void Canvas::begin_clip(const Rect& rect) { primitives_.emplace_back(BeginClip{rect}); }
void Canvas::begin_group(std::string css_class) {
  primitives_.emplace_back(BeginGroup{std::move(css_class)});
}
void Canvas::end() { primitives_.emplace_back(End{}); }

double text_width(std::string_view utf8, double size, bool bold) {
  double units = 0;
  for (const char c : utf8) {
    if ((static_cast<unsigned char>(c) & 0xC0U) == 0x80U) continue;  // inside a character
    if (static_cast<unsigned char>(c) >= 0x80U) {
      units += 0.6;
    } else if (std::string_view(" .,:;!|'()[]ijlftrI").find(c) != std::string_view::npos) {
      units += 0.37;
    } else if (std::string_view("mwMW%@").find(c) != std::string_view::npos) {
      units += 0.93;
    } else {
      units += 0.63;
    }
  }
  std::size_t wide = 0;
  std::size_t characters = 0;
  for (const char c : utf8) {
    if ((static_cast<unsigned char>(c) & 0xC0U) != 0x80U) ++characters;
  }
  if (const std::size_t cells = display_width(utf8); cells > characters) wide = cells - characters;
  return size * (units + 0.4 * static_cast<double>(wide)) * (bold ? 1.1 : 1.0);
}

std::string shortened_text(const std::string& utf8, double size, double width) {
  if (text_width(utf8, size) <= width) return utf8;
  std::string out = utf8;
  while (!out.empty() && text_width(out + "…", size) > width) {
    while (!out.empty() && (static_cast<unsigned char>(out.back()) & 0xC0U) == 0x80U)
      out.pop_back();
    if (!out.empty()) out.pop_back();
  }
  return out + "…";
}

std::string to_svg(const Canvas& canvas, const std::string& id, bool fixed_size) {
  return SvgWriter(canvas, id, fixed_size).take();
}

void write_svg(const Canvas& canvas, const std::filesystem::path& path) {
  write_file_atomic(path, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n" + to_svg(canvas));
}

std::string escape_xml(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  for (std::size_t i = 0; i < text.size();) {
    utf8proc_int32_t code = -1;
    const auto used =
        utf8proc_iterate(bytes + i, static_cast<utf8proc_ssize_t>(text.size() - i), &code);
    const auto step = static_cast<std::size_t>(std::max<utf8proc_ssize_t>(used, 1));
    const bool control = code < 32 && code != '\n' && code != '\t';
    switch (code) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        if (used <= 0 || control || code == 0xFFFE || code == 0xFFFF) {
          out += "\xEF\xBF\xBD";
        } else {
          out += text.substr(i, step);
        }
    }
    i += step;
  }
  return out;
}

}  // namespace detente::report

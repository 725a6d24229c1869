// SPDX-License-Identifier: Apache-2.0
// Pictures as PNG, painted by cairo; in a build without it (DETENTE_CAIRO=OFF) a refusal in words.
#include <detente/core/error.h>
#include <detente/report/canvas.h>

#ifdef DETENTE_WITH_CAIRO

#include <cairo.h>
#include <detente/core/file.h>
#include <utf8proc.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numbers>

namespace detente::report {
namespace {

constexpr const char* kCairoFont = "DejaVu Sans";

class CairoPainter {
 public:
  explicit CairoPainter(cairo_t* cr) : cr_(cr) {
    cairo_set_line_join(cr_, CAIRO_LINE_JOIN_ROUND);
    cairo_set_line_cap(cr_, CAIRO_LINE_CAP_ROUND);
  }

  void operator()(const Polyline& line) {
    cairo_new_path(cr_);
    for (const Point p : line.points) cairo_line_to(cr_, p.x, p.y);
    if (line.closed) cairo_close_path(cr_);
    paint(line.fill, line.stroke);
  }

  void operator()(const Circle& circle) {
    cairo_new_path(cr_);
    cairo_arc(cr_, circle.center.x, circle.center.y, circle.radius, 0, 2 * std::numbers::pi);
    paint(circle.fill, circle.stroke);
  }

  void operator()(const Text& text) {
    const TextStyle& style = text.style;
    cairo_select_font_face(cr_,
                           kCairoFont,
                           style.italic ? CAIRO_FONT_SLANT_ITALIC : CAIRO_FONT_SLANT_NORMAL,
                           style.bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(cr_, style.size);
    cairo_text_extents_t extents{};
    // Cairo's toy text API enters an error state at invalid UTF-8 and draws nothing afterwards.
    const std::string clean = escape_invalid(text.text);
    cairo_text_extents(cr_, clean.c_str(), &extents);
    const double shift = style.anchor == Anchor::kMiddle ? -extents.x_advance / 2
                         : style.anchor == Anchor::kEnd  ? -extents.x_advance
                                                         : 0;
    cairo_save(cr_);
    cairo_translate(cr_, text.at.x, text.at.y);
    cairo_rotate(cr_, style.rotate * std::numbers::pi / 180);
    cairo_move_to(cr_, shift, 0);
    if (style.halo.alpha > 0) {
      cairo_text_path(cr_, clean.c_str());
      paint({0, 0, 0, 0}, {style.halo, style.size / 4});
      cairo_move_to(cr_, shift, 0);
    }
    source(style.color);
    cairo_show_text(cr_, clean.c_str());
    cairo_restore(cr_);
  }

  void operator()(const BeginClip& clip) {
    cairo_save(cr_);
    cairo_rectangle(cr_, clip.rect.x, clip.rect.y, clip.rect.width, clip.rect.height);
    cairo_clip(cr_);
  }

  void operator()(const BeginGroup&) { cairo_save(cr_); }
  void operator()(const End&) { cairo_restore(cr_); }

  static std::string escape_invalid(const std::string& text) {
    std::string out;
    const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
    for (std::size_t i = 0; i < text.size();) {
      utf8proc_int32_t code = -1;
      const auto used =
          utf8proc_iterate(bytes + i, static_cast<utf8proc_ssize_t>(text.size() - i), &code);
      const auto step = static_cast<std::size_t>(std::max<utf8proc_ssize_t>(used, 1));
      out += used <= 0 || code < 32 ? std::string("\xEF\xBF\xBD") : text.substr(i, step);
      i += step;
    }
    return out;
  }

 private:
  void source(Color c) {
    cairo_set_source_rgba(cr_, c.r / 255.0, c.g / 255.0, c.b / 255.0, c.alpha);
  }

  void paint(Color fill, const Stroke& stroke) {
    if (fill.alpha > 0) {
      source(fill);
      cairo_fill_preserve(cr_);
    }
    if (stroke.width > 0 && stroke.color.alpha > 0) {
      source(stroke.color);
      cairo_set_line_width(cr_, stroke.width);
      cairo_set_dash(cr_, &stroke.dash, stroke.dash > 0 ? 1 : 0, 0);
      cairo_stroke_preserve(cr_);
    }
    cairo_new_path(cr_);
  }

  cairo_t* cr_;
};

cairo_status_t append_bytes(void* out, const unsigned char* data, unsigned int size) {
  static_cast<std::string*>(out)->append(reinterpret_cast<const char*>(data), size);
  return CAIRO_STATUS_SUCCESS;
}

}  // namespace

void write_png(const Canvas& canvas, const std::filesystem::path& path, double scale) {
  const auto width = static_cast<int>(std::ceil(canvas.width() * scale));
  const auto height = static_cast<int>(std::ceil(canvas.height() * scale));
  const std::unique_ptr<cairo_surface_t, void (*)(cairo_surface_t*)> surface(
      cairo_image_surface_create(CAIRO_FORMAT_RGB24, width, height), cairo_surface_destroy);
  const std::unique_ptr<cairo_t, void (*)(cairo_t*)> cr(cairo_create(surface.get()), cairo_destroy);
  cairo_scale(cr.get(), scale, scale);
  cairo_set_source_rgb(cr.get(), 1, 1, 1);
  cairo_paint(cr.get());
  CairoPainter painter(cr.get());
  for (const auto& primitive : canvas.primitives()) std::visit(painter, primitive);
  cairo_surface_flush(surface.get());
  std::string bytes;
  cairo_status_t status = cairo_status(cr.get());
  if (status == CAIRO_STATUS_SUCCESS) {
    status = cairo_surface_write_to_png_stream(surface.get(), append_bytes, &bytes);
  }
  DETENTE_CHECK(status == CAIRO_STATUS_SUCCESS,
                ErrorCode::kUnsupported,
                "[report::write_png] cannot paint a picture of {} x {} pixels for '{}': {}.",
                width,
                height,
                path.string(),
                cairo_status_to_string(status));
  write_file_atomic(path, bytes);
}

}  // namespace detente::report

#else

namespace detente::report {

void write_png(const Canvas& /*canvas*/, const std::filesystem::path& path, double /*scale*/) {
  fail(ErrorCode::kUnsupported,
       "[report::write_png] cannot write '{}': this Detente was built without cairo. Write the "
       "picture as SVG, or build with cairo (DETENTE_CAIRO=ON).",
       path.string());
}

}  // namespace detente::report

#endif

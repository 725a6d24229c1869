// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/report/pixels.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <map>

namespace detente::report {
namespace {

constexpr std::size_t kLongestPngSide = 4096;
constexpr int kRampSteps = 64;
constexpr char kBase64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void check_plane(std::size_t found, std::size_t expected) {
  DETENTE_CHECK(found == expected,
                ErrorCode::kShape,
                "[report::Pixels] {} values for a picture of {}; expected as many.",
                found,
                expected);
}

void put(Pixels& pixels, Color color) {
  pixels.rgb.insert(pixels.rgb.end(), {color.r, color.g, color.b});
}

// Hue in turns, saturation and lightness in [0, 1].
Color from_hsl(double hue, double saturation, double lightness) {
  const auto part = [&](double shift) {
    const double k = std::fmod(shift + hue * 12, 12.0);
    const double a = saturation * std::min(lightness, 1 - lightness);
    const double value = lightness - a * std::max(-1.0, std::min({k - 3, 9 - k, 1.0}));
    return static_cast<std::uint8_t>(std::lround(255 * value));
  };
  return {part(0), part(8), part(4)};
}

void put_number(std::string& out, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 0xFFU);
}

void put_chunk(std::string& out, const char* name, const std::string& content) {
  put_number(out, static_cast<std::uint32_t>(content.size()));
  const std::string whole = name + content;
  out += whole;
  put_number(
      out,
      static_cast<std::uint32_t>(
          crc32(0, reinterpret_cast<const Bytef*>(whole.data()), static_cast<uInt>(whole.size()))));
}

std::string deflated(const std::string& raw) {
  uLongf size = compressBound(static_cast<uLong>(raw.size()));
  std::string out(size, '\0');
  const int status = compress2(reinterpret_cast<Bytef*>(out.data()),
                               &size,
                               reinterpret_cast<const Bytef*>(raw.data()),
                               static_cast<uLong>(raw.size()),
                               9);
  DETENTE_CHECK(status == Z_OK,
                ErrorCode::kUnsupported,
                "[report::png_bytes] there is no memory to pack {} bytes.",
                raw.size());
  out.resize(size);
  return out;
}

// Each byte less what the pixels to the left and above foretell (the PNG standard's fourth filter):
// photographs pack to a half.
std::string foretold_rows(const Pixels& pixels) {
  const std::size_t stride = 3 * pixels.width;
  std::string raw;
  raw.reserve(pixels.height * (stride + 1));
  for (std::size_t y = 0; y < pixels.height; ++y) {
    raw += '\4';
    const std::uint8_t* row = pixels.rgb.data() + y * stride;
    const std::uint8_t* above = y == 0 ? nullptr : row - stride;
    for (std::size_t i = 0; i < stride; ++i) {
      const int a = i < 3 ? 0 : row[i - 3];
      const int b = above == nullptr ? 0 : above[i];
      const int c = i < 3 || above == nullptr ? 0 : above[i - 3];
      const int da = std::abs(b - c);
      const int db = std::abs(a - c);
      const int dc = std::abs(a + b - 2 * c);
      const int guess = da <= db && da <= dc ? a : db <= dc ? b : c;
      raw += static_cast<char>(row[i] - guess);
    }
  }
  return raw;
}

// Empty when 256 colours do not do. `palette` in the order in which colours appear.
std::string indexed_rows(const Pixels& pixels, std::string& palette) {
  std::map<std::array<std::uint8_t, 3>, std::uint8_t> known;
  std::string raw;
  for (std::size_t i = 0; i < pixels.height * pixels.width; ++i) {
    if (i % pixels.width == 0) raw += '\0';
    const std::array<std::uint8_t, 3> color = {
        pixels.rgb[3 * i], pixels.rgb[3 * i + 1], pixels.rgb[3 * i + 2]};
    auto at = known.find(color);
    if (at == known.end()) {
      if (known.size() == 256) return "";
      at = known.emplace(color, static_cast<std::uint8_t>(known.size())).first;
      for (const std::uint8_t part : color) palette += static_cast<char>(part);
    }
    raw += static_cast<char>(at->second);
  }
  return raw;
}

}  // namespace

Color class_color(std::size_t i) {
  if (i < line_color_count()) return line_color(i);
  // Steps of the golden angle never come back to a hue, and three shades keep neighbours apart.
  const auto n = static_cast<double>(i - line_color_count());
  constexpr double kShades[] = {0.35, 0.6, 0.78};
  return from_hsl(std::fmod(0.08 + n * 0.6180339887498949, 1.0), 0.6, kShades[i % 3]);
}

Pixels class_pixels(std::span<const double> ids, std::size_t height, std::size_t width) {
  check_plane(ids.size(), height * width);
  Pixels pixels{height, width, {}};
  for (const double id : ids) {
    put(pixels, id >= 0 && id < 1e9 ? class_color(static_cast<std::size_t>(id)) : kNothingColor);
  }
  return pixels;
}

Pixels ramp_pixels(std::span<const double> values,
                   std::size_t height,
                   std::size_t width,
                   double low,
                   double high) {
  check_plane(values.size(), height * width);
  Pixels pixels{height, width, {}};
  for (const double value : values) {
    if (std::isnan(value)) {
      put(pixels, kNothingColor);
      continue;
    }
    const double share = high > low ? std::clamp((value - low) / (high - low), 0.0, 1.0) : 0.5;
    put(pixels, ramp_color(std::round(share * (kRampSteps - 1)) / (kRampSteps - 1)));
  }
  return pixels;
}

Pixels direction_pixels(std::span<const double> planes, std::size_t height, std::size_t width) {
  const std::size_t size = height * width;
  check_plane(planes.size(), 3 * size);
  Pixels pixels{height, width, {}};
  for (std::size_t p = 0; p < size; ++p) {
    const double v[] = {planes[p], planes[size + p], planes[2 * size + p]};
    const double length = std::hypot(v[0], v[1], v[2]);
    if (!(length > 0) || !std::isfinite(length)) {
      put(pixels, kNothingColor);
      continue;
    }
    for (const double part : v) {
      pixels.rgb.push_back(static_cast<std::uint8_t>(std::lround(127.5 * (part / length + 1))));
    }
  }
  return pixels;
}

Pixels shrunk(const Pixels& pixels, std::size_t height, std::size_t width) {
  Pixels out{std::min(height, pixels.height), std::min(width, pixels.width), {}};
  for (std::size_t y = 0; y < out.height; ++y) {
    const std::size_t top = y * pixels.height / out.height;
    const std::size_t bottom = (y + 1) * pixels.height / out.height;
    for (std::size_t x = 0; x < out.width; ++x) {
      const std::size_t left = x * pixels.width / out.width;
      const std::size_t right = (x + 1) * pixels.width / out.width;
      const std::size_t count = (bottom - top) * (right - left);
      for (std::size_t c = 0; c < 3; ++c) {
        std::size_t sum = 0;
        for (std::size_t i = top; i < bottom; ++i) {
          for (std::size_t j = left; j < right; ++j) {
            sum += pixels.rgb[3 * (i * pixels.width + j) + c];
          }
        }
        out.rgb.push_back(static_cast<std::uint8_t>((sum + count / 2) / count));
      }
    }
  }
  return out;
}

std::string png_bytes(const Pixels& pixels) {
  DETENTE_CHECK(
      pixels.height > 0 && pixels.width > 0 && pixels.height <= kLongestPngSide &&
          pixels.width <= kLongestPngSide && pixels.rgb.size() == 3 * pixels.height * pixels.width,
      ErrorCode::kShape,
      "[report::png_bytes] a picture of {} x {} pixels with {} numbers; expected sides from "
      "1 to {} and three numbers a pixel.",
      pixels.height,
      pixels.width,
      pixels.rgb.size(),
      kLongestPngSide);
  std::string palette;
  std::string rows = indexed_rows(pixels, palette);
  const bool indexed = !rows.empty();
  if (!indexed) rows = foretold_rows(pixels);
  std::string head;
  put_number(head, static_cast<std::uint32_t>(pixels.width));
  put_number(head, static_cast<std::uint32_t>(pixels.height));
  head += {'\x08', indexed ? '\x03' : '\x02', '\0', '\0', '\0'};
  std::string out = "\x89PNG\r\n\x1a\n";
  put_chunk(out, "IHDR", head);
  if (indexed) put_chunk(out, "PLTE", palette);
  put_chunk(out, "IDAT", deflated(rows));
  put_chunk(out, "IEND", "");
  return out;
}

std::string base64(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 3; ++j) {
      group = group << 8U |
              (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : std::uint32_t{0});
    }
    for (std::size_t j = 0; j < 4; ++j) {
      out += i + j > bytes.size() ? '=' : kBase64[group >> (18 - 6 * j) & 0x3FU];
    }
  }
  return out;
}

namespace {

bool is_base64_after(std::string_view text, std::string_view start) {
  if (!text.starts_with(start) || text.size() % 4 != 0) return false;
  const std::size_t end = text.find_last_not_of('=') + 1;
  return text.size() - end <= 2 &&
         std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(end), [](char c) {
           return std::string_view(kBase64).find(c) != std::string_view::npos;
         });
}

}  // namespace

bool is_png_text(std::string_view text) {
  // The standard's eight bytes and the length of the first block.
  return is_base64_after(text, "iVBORw0KGgoAAAANSUhEUg");
}

bool is_wav_text(std::string_view text) {
  // "RIFF", four bytes of size, "WAVE".
  return text.size() > 16 && is_base64_after(text, "UklGR") && text.substr(11, 5) == "XQVZF";
}

}  // namespace detente::report

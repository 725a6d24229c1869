// SPDX-License-Identifier: Apache-2.0
#include <detente/slides/area_mean.h>

#include <algorithm>
#include <numeric>

namespace detente::slides {
namespace {

std::uint8_t own_color(std::uint32_t value, std::uint32_t alpha) {
  return static_cast<std::uint8_t>(std::min(255U, (value * 255U + alpha / 2) / alpha));
}

std::int64_t ceil_of(std::uint64_t number, std::uint64_t divisor) {
  return static_cast<std::int64_t>((number + divisor - 1) / divisor);
}

// Sums of `kFactor` pixels each, of `factor` where that is 0; the first and the last may be fewer. `rgb` are
// the pixels [x, x + columns).
template <std::int64_t kFactor>
void sum_whole_pixels(std::span<const std::uint8_t> rgb,
                      std::int64_t x,
                      std::int64_t factor,
                      std::span<std::uint64_t> sums) {
  const std::int64_t each = kFactor == 0 ? factor : kFactor;
  const std::int64_t end = x + static_cast<std::int64_t>(rgb.size() / 3);
  const std::uint8_t* pixel = rgb.data();
  std::uint64_t* sum = sums.data();
  for (std::int64_t begin = x; begin < end; sum += 3) {
    const std::int64_t next = std::min(end, (begin / each + 1) * each);
    // At most a block's pixels: 32 bits hold them.
    std::uint32_t red = 0;
    std::uint32_t green = 0;
    std::uint32_t blue = 0;
    for (; begin < next; ++begin, pixel += 3) {
      red += pixel[0];
      green += pixel[1];
      blue += pixel[2];
    }
    sum[0] = red;
    sum[1] = green;
    sum[2] = blue;
  }
}

}  // namespace

void lay_over_background(std::span<const std::uint32_t> argb,
                         std::uint32_t background,
                         std::uint8_t* rgb) {
  for (const std::uint32_t pixel : argb) {
    const std::uint32_t alpha = pixel >> 24U;
    const std::uint32_t color = alpha == 0 ? background : pixel;
    rgb[0] = static_cast<std::uint8_t>(color >> 16U);
    rgb[1] = static_cast<std::uint8_t>(color >> 8U);
    rgb[2] = static_cast<std::uint8_t>(color);
    if (alpha != 255 && alpha != 0) {
      for (int c = 0; c < 3; ++c) rgb[c] = own_color(rgb[c], alpha);
    }
    rgb += 3;
  }
}

// In units of 1/parts of a source's pixel, pixel i of the source is [i * parts, (i + 1) * parts) and pixel o
// of the output [o * whole, (o + 1) * whole).
AreaMean::AreaMean(std::int64_t width,
                   std::int64_t height,
                   std::int64_t out_width,
                   std::int64_t out_height,
                   std::uint8_t* out)
    : width_(width), height_(height), out_width_(out_width), out_height_(out_height), out_(out) {
  const std::int64_t common_x = std::gcd(width, out_width);
  const std::int64_t common_y = std::gcd(height, out_height);
  parts_x_ = static_cast<std::uint64_t>(out_width / common_x);
  whole_x_ = static_cast<std::uint64_t>(width / common_x);
  parts_y_ = static_cast<std::uint64_t>(out_height / common_y);
  whole_y_ = static_cast<std::uint64_t>(height / common_y);
}

std::int64_t AreaMean::rows_within(std::size_t bytes) const {
  const std::uint64_t line = static_cast<std::uint64_t>(out_width_) * 3 * sizeof(std::uint64_t);
  const std::uint64_t lines = bytes / line;
  // n rows touch at most n * parts / whole + 2 of the output's.
  const std::uint64_t rows = lines <= 2 ? 1 : (lines - 2) * whole_y_ / parts_y_;
  return static_cast<std::int64_t>(std::max<std::uint64_t>(rows, 1));
}

void AreaMean::begin_strip(std::int64_t rows) {
  rows_ = rows;
  const std::size_t line = static_cast<std::size_t>(out_width_) * 3;
  const std::int64_t last = ceil_of(static_cast<std::uint64_t>(strip_ + rows) * parts_y_, whole_y_);
  sums_.resize(static_cast<std::size_t>(last - first_) * line, 0);
}

void AreaMean::add(std::int64_t row, std::int64_t x, std::span<const std::uint8_t> rgb) {
  const auto columns = static_cast<std::int64_t>(rgb.size() / 3);
  const std::uint64_t begin_x = static_cast<std::uint64_t>(x) * parts_x_;
  const auto first = static_cast<std::int64_t>(begin_x / whole_x_);
  const std::int64_t last = ceil_of(static_cast<std::uint64_t>(x + columns) * parts_x_, whole_x_);
  line_.assign(static_cast<std::size_t>(last - first) * 3, 0);
  if (parts_x_ == 1) {
    const auto factor = static_cast<std::int64_t>(whole_x_);
    (factor == 2   ? sum_whole_pixels<2>
     : factor == 4 ? sum_whole_pixels<4>
                   : sum_whole_pixels<0>)(rgb, x, factor, line_);
  } else {
    sum_parts(x, rgb, first, last);
  }
  add_line(row, first);
}

// Of one row, the outputs [first, last).
void AreaMean::sum_parts(std::int64_t x,
                         std::span<const std::uint8_t> rgb,
                         std::int64_t first,
                         std::int64_t last) {
  const auto columns = static_cast<std::int64_t>(rgb.size() / 3);
  for (std::int64_t o = first; o < last; ++o) {
    const std::uint64_t from = static_cast<std::uint64_t>(o) * whole_x_;
    const std::uint64_t to = from + whole_x_;
    const auto left = static_cast<std::int64_t>(from / parts_x_);
    const std::int64_t right = ceil_of(to, parts_x_);
    std::uint64_t red = 0;
    std::uint64_t green = 0;
    std::uint64_t blue = 0;
    const auto weigh = [&](std::int64_t i, std::uint64_t weight) {
      const std::uint8_t* pixel = &rgb[static_cast<std::size_t>(i - x) * 3];
      red += weight * pixel[0];
      green += weight * pixel[1];
      blue += weight * pixel[2];
    };
    // Pixels that lie within all count the same; those at the ends by what lies within.
    const std::int64_t inner = ceil_of(from, parts_x_);
    const auto inner_end = static_cast<std::int64_t>(to / parts_x_);
    const std::int64_t stop = std::min(inner_end, x + columns);
    const std::int64_t start = std::max(inner, x);
    if (start < stop) {
      const std::uint8_t* pixel = &rgb[static_cast<std::size_t>(start - x) * 3];
      for (std::int64_t i = start; i < stop; ++i, pixel += 3) {
        red += pixel[0];
        green += pixel[1];
        blue += pixel[2];
      }
      red *= parts_x_;
      green *= parts_x_;
      blue *= parts_x_;
    }
    const auto in_block = [&](std::int64_t i) { return i >= x && i < x + columns; };
    // As no pixel is smaller than the source's, each has an edge of the source in it or at its ends.
    if (left < inner && in_block(left)) {
      weigh(left, static_cast<std::uint64_t>(inner) * parts_x_ - from);
    }
    if (right > inner_end && in_block(inner_end)) {
      weigh(inner_end, to - static_cast<std::uint64_t>(inner_end) * parts_x_);
    }
    std::uint64_t* sum = &line_[static_cast<std::size_t>(o - first) * 3];
    sum[0] = red;
    sum[1] = green;
    sum[2] = blue;
  }
}

// The row's sums, from the output's column `first` on, to those of the rows that it reaches into.
void AreaMean::add_line(std::int64_t row, std::int64_t first) {
  // A row reaches into two of the output's at most, because those are no lower than it.
  const std::uint64_t from = static_cast<std::uint64_t>(strip_ + row) * parts_y_;
  const std::uint64_t to = from + parts_y_;
  for (auto o = static_cast<std::int64_t>(from / whole_y_);
       static_cast<std::uint64_t>(o) * whole_y_ < to;
       ++o) {
    const std::uint64_t top = std::max(from, static_cast<std::uint64_t>(o) * whole_y_);
    const std::uint64_t bottom = std::min(to, static_cast<std::uint64_t>(o + 1) * whole_y_);
    const std::uint64_t weight = bottom - top;
    std::uint64_t* sums = &sums_[static_cast<std::size_t>((o - first_) * out_width_ + first) * 3];
    if (weight == 1) {
      for (std::size_t i = 0; i < line_.size(); ++i) sums[i] += line_[i];
    } else {
      for (std::size_t i = 0; i < line_.size(); ++i) sums[i] += weight * line_[i];
    }
  }
}

void AreaMean::end_strip() {
  strip_ += rows_;
  const std::size_t line = static_cast<std::size_t>(out_width_) * 3;
  const auto done =
      static_cast<std::int64_t>(static_cast<std::uint64_t>(strip_) * parts_y_ / whole_y_);
  const std::size_t count = static_cast<std::size_t>(done - first_) * line;
  const std::uint64_t total = whole_x_ * whole_y_;
  const double inverse = 1.0 / static_cast<double>(total);
  std::uint8_t* out = out_ + static_cast<std::size_t>(first_) * line;
  // Half a unit keeps a sum's quotient off the whole numbers by more than 2^-41, and doubles are near by 2^-44:
  // exact, without a division of 64 bits for each.
  const double half = static_cast<double>(total / 2) + 0.5;
  for (std::size_t i = 0; i < count; ++i) {
    const double sum = static_cast<double>(static_cast<std::int64_t>(sums_[i])) + half;
    out[i] = static_cast<std::uint8_t>(static_cast<std::int32_t>(sum * inverse));
  }
  sums_.erase(sums_.begin(), sums_.begin() + static_cast<std::ptrdiff_t>(count));
  first_ = done;
}

}  // namespace detente::slides

// SPDX-License-Identifier: Apache-2.0
#include <detente/data/tissue.h>

#include <algorithm>
#include <cmath>

namespace detente::data {
namespace {

int saturation(const std::uint8_t* pixel) {
  const int most = std::max({pixel[0], pixel[1], pixel[2]});
  const int least = std::min({pixel[0], pixel[1], pixel[2]});
  return most == 0 ? 0 : (255 * (most - least) + most / 2) / most;
}

// Pixels of a line of `count` whose centres, `scale` apart, lie in [begin, end); at least the one there.
std::pair<std::int64_t, std::int64_t> covered(double begin,
                                              double end,
                                              double scale,
                                              std::int64_t count) {
  auto first = static_cast<std::int64_t>(std::ceil(begin / scale - 0.5));
  auto last = static_cast<std::int64_t>(std::ceil(end / scale - 0.5));
  if (last <= first) {
    first = static_cast<std::int64_t>(std::floor((begin + end) / 2 / scale));
    last = first + 1;
  }
  return {std::clamp<std::int64_t>(first, 0, count), std::clamp<std::int64_t>(last, 0, count)};
}

}  // namespace

int otsu_threshold(std::span<const std::uint64_t, 256> counts) {
  double total = 0;
  double sum = 0;
  for (std::size_t v = 0; v < 256; ++v) {
    total += static_cast<double>(counts[v]);
    sum += static_cast<double>(v) * static_cast<double>(counts[v]);
  }
  double best = 0;
  int threshold = 0;
  double below = 0;
  double below_sum = 0;
  for (std::size_t v = 0; v + 1 < 256; ++v) {
    below += static_cast<double>(counts[v]);
    below_sum += static_cast<double>(v) * static_cast<double>(counts[v]);
    const double above = total - below;
    if (below == 0 || above == 0) continue;
    // The variance between the classes, which with the one within them is constant.
    const double distance = below_sum / below - (sum - below_sum) / above;
    const double between = below * above * distance * distance;
    if (between > best) {
      best = between;
      threshold = static_cast<int>(v);
    }
  }
  return threshold;
}

TissueMask::TissueMask(const slides::Picture& picture, double scale_x, double scale_y)
    : width_(picture.width), height_(picture.height), scale_x_(scale_x), scale_y_(scale_y) {
  std::array<std::uint64_t, 256> counts{};
  for (std::size_t i = 0; i < picture.values.size(); i += 3) {
    ++counts[static_cast<std::size_t>(saturation(&picture.values[i]))];
  }
  threshold_ = std::max(otsu_threshold(counts), kLeastSaturation);
  const auto stride = static_cast<std::size_t>(width_) + 1;
  sums_.assign(stride * (static_cast<std::size_t>(height_) + 1), 0);
  for (std::size_t y = 0; y < static_cast<std::size_t>(height_); ++y) {
    std::uint32_t line = 0;
    for (std::size_t x = 0; x + 1 < stride; ++x) {
      line += saturation(&picture.values[3 * (y * (stride - 1) + x)]) > threshold_ ? 1U : 0U;
      sums_[(y + 1) * stride + x + 1] = sums_[y * stride + x + 1] + line;
    }
  }
}

bool TissueMask::at(std::int64_t x, std::int64_t y) const {
  const auto stride = static_cast<std::size_t>(width_) + 1;
  const std::size_t corner = static_cast<std::size_t>(y) * stride + static_cast<std::size_t>(x);
  return sums_[corner + stride + 1] + sums_[corner] > sums_[corner + 1] + sums_[corner + stride];
}

double TissueMask::share() const {
  return sums_.empty() || width_ * height_ == 0
             ? 0.0
             : static_cast<double>(sums_.back()) / static_cast<double>(width_ * height_);
}

double TissueMask::share(std::int64_t x,
                         std::int64_t y,
                         std::int64_t width,
                         std::int64_t height) const {
  if (width_ * height_ == 0) return 0.0;
  const auto left = static_cast<double>(x);
  const auto top = static_cast<double>(y);
  const double right = left + static_cast<double>(width);
  const double bottom = top + static_cast<double>(height);
  const auto [x0, x1] = covered(left, right, scale_x_, width_);
  const auto [y0, y1] = covered(top, bottom, scale_y_, height_);
  // What lies outside counts as area.
  const double area = std::max(1.0, std::round(static_cast<double>(width) / scale_x_)) *
                      std::max(1.0, std::round(static_cast<double>(height) / scale_y_));
  const auto stride = static_cast<std::size_t>(width_) + 1;
  const auto sum = [&](std::int64_t column, std::int64_t row) {
    return static_cast<double>(
        sums_[static_cast<std::size_t>(row) * stride + static_cast<std::size_t>(column)]);
  };
  const double tissue = sum(x1, y1) - sum(x0, y1) - sum(x1, y0) + sum(x0, y0);
  return std::min(1.0, tissue / std::max(area, static_cast<double>((x1 - x0) * (y1 - y0))));
}

StainStatistics stain_statistics(const slides::Picture& picture, const TissueMask& mask) {
  StainStatistics found;
  std::array<double, 3> sums{};
  std::array<double, 3> squares{};
  double count = 0;
  for (std::int64_t y = 0; y < picture.height; ++y) {
    for (std::int64_t x = 0; x < picture.width; ++x) {
      if (!mask.at(x, y)) continue;
      ++count;
      for (std::size_t c = 0; c < 3; ++c) {
        const double value =
            picture.values[3 * static_cast<std::size_t>(y * picture.width + x) + c];
        const double density = -std::log10((value + 1.0) / 256.0);
        sums[c] += density;
        squares[c] += density * density;
      }
    }
  }
  if (count == 0) return found;
  for (std::size_t c = 0; c < 3; ++c) {
    found.means[c] = sums[c] / count;
    found.deviations[c] =
        std::sqrt(std::max(0.0, squares[c] / count - found.means[c] * found.means[c]));
  }
  return found;
}

}  // namespace detente::data

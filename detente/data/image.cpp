// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/data/image.h>
#include <detente/data/resize_windows.h>

#include <algorithm>
#include <cmath>

namespace detente::data {
namespace {

std::uint8_t rounded(double value) {
  return static_cast<std::uint8_t>(std::clamp(std::lround(value), 0L, 255L));
}

Image cut(
    const Image& image, std::size_t top, std::size_t left, std::size_t height, std::size_t width) {
  const std::size_t channels = image.shape.channels;
  Image result{{height, width, channels}, {}};
  result.values.reserve(result.shape.size());
  for (std::size_t y = 0; y < height; ++y) {
    const auto* row = image.values.data() + ((top + y) * image.shape.width + left) * channels;
    result.values.insert(result.values.end(), row, row + width * channels);
  }
  return result;
}

}  // namespace

std::vector<ResizeWindow> resize_windows(std::size_t from, std::size_t to) {
  const double step = static_cast<double>(from) / static_cast<double>(to);
  const double reach = std::max(1.0, step);
  std::vector<ResizeWindow> result(to);
  for (std::size_t i = 0; i < to; ++i) {
    const double centre = (static_cast<double>(i) + 0.5) * step - 0.5;
    const double last = std::min(static_cast<double>(from - 1), std::floor(centre + reach));
    ResizeWindow& window = result[i];
    window.first = static_cast<std::size_t>(std::max(0.0, std::ceil(centre - reach)));
    double sum = 0;
    for (auto j = static_cast<double>(window.first); j <= last; ++j) {
      window.weights.push_back(std::max(0.0, 1.0 - std::abs(j - centre) / reach));
      sum += window.weights.back();
    }
    for (double& weight : window.weights) weight /= sum;
  }
  return result;
}

Image resize(const Image& image, std::size_t height, std::size_t width) {
  DETENTE_DCHECK(height > 0 && width > 0 && image.shape.size() > 0);
  if (image.shape.height == height && image.shape.width == width) return image;
  const std::size_t channels = image.shape.channels;
  const auto across = resize_windows(image.shape.width, width);
  const auto down = resize_windows(image.shape.height, height);
  std::vector<double> narrowed(image.shape.height * width * channels);
  double* out = narrowed.data();
  for (std::size_t y = 0; y < image.shape.height; ++y) {
    const std::uint8_t* row = image.values.data() + y * image.shape.width * channels;
    for (const ResizeWindow& window : across) {
      for (std::size_t c = 0; c < channels; ++c) {
        double sum = 0;
        for (std::size_t j = 0; j < window.weights.size(); ++j) {
          sum += window.weights[j] * row[(window.first + j) * channels + c];
        }
        *out++ = sum;
      }
    }
  }
  const std::size_t line = width * channels;
  Image result{{height, width, channels}, {}};
  result.values.reserve(result.shape.size());
  std::vector<double> sums(line);
  for (const ResizeWindow& window : down) {
    std::fill(sums.begin(), sums.end(), 0.0);
    for (std::size_t j = 0; j < window.weights.size(); ++j) {
      const double* row = narrowed.data() + (window.first + j) * line;
      for (std::size_t i = 0; i < line; ++i) sums[i] += window.weights[j] * row[i];
    }
    for (const double sum : sums) result.values.push_back(rounded(sum));
  }
  return result;
}

Image resize_and_crop(const Image& image, std::size_t height, std::size_t width) {
  DETENTE_DCHECK(height > 0 && width > 0 && image.shape.size() > 0);
  const double scale =
      std::max(static_cast<double>(height) / static_cast<double>(image.shape.height),
               static_cast<double>(width) / static_cast<double>(image.shape.width));
  const auto scaled = [scale](std::size_t side, std::size_t least) {
    return std::max(least,
                    static_cast<std::size_t>(std::llround(scale * static_cast<double>(side))));
  };
  // What is cut off anyway is not scaled: a strip of 1 x 100,000 would become enormous.
  const auto kept = [scale](std::size_t side, std::size_t wanted) {
    const auto needed = static_cast<std::size_t>(std::ceil(static_cast<double>(wanted) / scale));
    return std::min(side, needed + 2);
  };
  const std::size_t rows = kept(image.shape.height, height);
  const std::size_t columns = kept(image.shape.width, width);
  const Image middle =
      cut(image, (image.shape.height - rows) / 2, (image.shape.width - columns) / 2, rows, columns);
  const Image covering = resize(middle, scaled(rows, height), scaled(columns, width));
  return cut(covering,
             (covering.shape.height - height) / 2,
             (covering.shape.width - width) / 2,
             height,
             width);
}

Image with_channels(const Image& image, std::size_t channels) {
  DETENTE_DCHECK(channels == 1 || channels == 3);
  if (image.shape.channels == channels) return image;
  Image result{{image.shape.height, image.shape.width, channels}, {}};
  result.values.reserve(result.shape.size());
  for (std::size_t i = 0; i < image.shape.pixels(); ++i) {
    if (channels == 3) {
      result.values.insert(result.values.end(), 3, image.values[i]);
    } else {
      const std::uint8_t* rgb = image.values.data() + 3 * i;
      result.values.push_back(rounded(0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]));
    }
  }
  return result;
}

Image oriented(const Image& image, int orientation) {
  if (orientation < 2 || orientation > 8) return image;
  // 5 to 8 exchange rows and columns; then each may run backwards.
  const bool turned = orientation >= 5;
  const bool mirrored =
      orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
  const bool upside = orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
  const std::size_t channels = image.shape.channels;
  Image result{image.shape, {}};
  if (turned) std::swap(result.shape.height, result.shape.width);
  const std::size_t height = result.shape.height;
  const std::size_t width = result.shape.width;
  result.values.reserve(image.values.size());
  for (std::size_t y = 0; y < height; ++y) {
    for (std::size_t x = 0; x < width; ++x) {
      const std::size_t row = upside ? height - 1 - y : y;
      const std::size_t column = mirrored ? width - 1 - x : x;
      const std::size_t from =
          turned ? column * image.shape.width + row : row * image.shape.width + column;
      const std::uint8_t* pixel = image.values.data() + from * channels;
      result.values.insert(result.values.end(), pixel, pixel + channels);
    }
  }
  return result;
}

}  // namespace detente::data

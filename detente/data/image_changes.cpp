// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/data/image_changes.h>
#include <detente/data/resize_windows.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace detente::data {
namespace {

constexpr float kBrightest = 255.0F;
constexpr float kSolarised = 128.0F;
constexpr float kHuge = 1e20F;      // times any difference of two values: more than 1
constexpr double kBlurReach = 3.0;  // in deviations: what lies beyond weighs 0.3 % together

float cut(float value) { return std::min(std::max(value, 0.0F), kBrightest); }

// 0.299 r + 0.587 g + 0.114 b, so written that it is exact where the three are equal.
float grey_of(float red, float green, float blue) {
  return green + 0.299F * (red - green) + 0.114F * (blue - green);
}

// The planes of an image with colours.
struct Colours {
  Colours(std::span<float> image, const ImageShape& shape)
      : count(shape.pixels()), red(image.data()), green(red + count), blue(green + count) {
    DETENTE_DCHECK(shape.channels == 3 && image.size() == shape.size());
  }
  std::size_t count;
  float* red;
  float* green;
  float* blue;
};

float mean_grey(std::span<const float> image, const ImageShape& shape) {
  const std::size_t count = shape.pixels();
  const auto sum = [&](std::size_t channel) {
    // Doubles, several at a time: one after the other each addition would wait for the last.
    double sums[4] = {0, 0, 0, 0};
    const float* plane = image.data() + channel * count;
    std::size_t i = 0;
    for (; i + 4 <= count; i += 4) {
      for (std::size_t j = 0; j < 4; ++j) sums[j] += plane[i + j];
    }
    for (; i < count; ++i) sums[0] += plane[i];
    return sums[0] + sums[1] + sums[2] + sums[3];
  };
  const auto pixels = static_cast<double>(count);
  if (shape.channels == 3) {
    return static_cast<float>((0.299 * sum(0) + 0.587 * sum(1) + 0.114 * sum(2)) / pixels);
  }
  double total = 0;
  for (std::size_t c = 0; c < shape.channels; ++c) total += sum(c);
  return static_cast<float>(total / (pixels * static_cast<double>(shape.channels)));
}

}  // namespace

void resize_part(std::span<const float> image,
                 const ImageShape& shape,
                 const ImagePart& part,
                 std::size_t size,
                 std::span<float> out) {
  DETENTE_DCHECK(part.height > 0 && part.width > 0 && size > 0 &&
                 part.top + part.height <= shape.height && part.left + part.width <= shape.width &&
                 image.size() == shape.size() && out.size() == shape.channels * size * size);
  const auto start = [&](std::size_t channel, std::size_t row) {
    return image.data() + (channel * shape.height + part.top + row) * shape.width + part.left;
  };
  if (part.height == size && part.width == size) {
    for (std::size_t c = 0; c < shape.channels; ++c) {
      for (std::size_t y = 0; y < size; ++y) {
        std::copy_n(start(c, y), size, out.data() + (c * size + y) * size);
      }
    }
    return;
  }
  const auto down = resize_windows(part.height, size);
  const auto across = resize_windows(part.width, size);
  // Every column's first weight, then every column's second, ...; 0 beyond its own. Loops over the
  // columns are long, those over a column's weights would be two steps each.
  std::size_t taps = 0;
  for (const ResizeWindow& columns : across) taps = std::max(taps, columns.weights.size());
  std::vector<float> weights(taps * size);
  std::vector<std::size_t> first(size);
  for (std::size_t x = 0; x < size; ++x) {
    first[x] = across[x].first;
    for (std::size_t j = 0; j < across[x].weights.size(); ++j) {
      weights[j * size + x] = static_cast<float>(across[x].weights[j]);
    }
  }
  std::vector<float> line(part.width + taps);
  float* to = out.data();
  for (std::size_t c = 0; c < shape.channels; ++c) {
    for (const ResizeWindow& rows : down) {
      std::fill_n(line.begin(), part.width, 0.0F);
      for (std::size_t j = 0; j < rows.weights.size(); ++j) {
        const auto weight = static_cast<float>(rows.weights[j]);
        const float* from = start(c, rows.first + j);
        for (std::size_t x = 0; x < part.width; ++x) line[x] += weight * from[x];
      }
      std::fill_n(to, size, 0.0F);
      for (std::size_t j = 0; j < taps; ++j) {
        const float* weight = weights.data() + j * size;
        const float* from = line.data() + j;
        for (std::size_t x = 0; x < size; ++x) to[x] += weight[x] * from[first[x]];
      }
      // The weights' sum is 1 up to rounding only.
      for (std::size_t x = 0; x < size; ++x) to[x] = cut(to[x]);
      to += size;
    }
  }
}

void change_brightness(std::span<float> image, float factor) {
  for (float& value : image) value = cut(factor * value);
}

void change_contrast(std::span<float> image, const ImageShape& shape, float factor) {
  DETENTE_DCHECK(image.size() == shape.size());
  if (image.empty()) return;
  const float mean = mean_grey(image, shape);
  for (float& value : image) value = cut(mean + factor * (value - mean));
}

void change_saturation(std::span<float> image, const ImageShape& shape, float factor) {
  const Colours planes(image, shape);
  for (std::size_t i = 0; i < planes.count; ++i) {
    const float grey = grey_of(planes.red[i], planes.green[i], planes.blue[i]);
    planes.red[i] = cut(grey + factor * (planes.red[i] - grey));
    planes.green[i] = cut(grey + factor * (planes.green[i] - grey));
    planes.blue[i] = cut(grey + factor * (planes.blue[i] - grey));
  }
}

void change_hue(std::span<float> image, const ImageShape& shape, float turn) {
  const Colours planes(image, shape);
  // In sixths of the circle: red, yellow, green, cyan, blue, magenta.
  const float sixths = 6.0F * (turn - std::floor(turn));
  const auto around = [](float hue) { return hue >= 6.0F ? hue - 6.0F : hue; };
  for (std::size_t i = 0; i < planes.count; ++i) {
    const float red = planes.red[i];
    const float green = planes.green[i];
    const float blue = planes.blue[i];
    const float value = std::max(red, std::max(green, blue));
    const float chroma = value - std::min(red, std::min(green, blue));
    const float scale = 1.0F / (chroma > 0.0F ? chroma : 1.0F);
    const float of_red = (green - blue) * scale;
    const float of_green = 2.0F + (blue - red) * scale;
    const float of_blue = 4.0F + (red - green) * scale;
    const float was = value == red ? of_red : (value == green ? of_green : of_blue);
    const float hue = around((was < 0.0F ? was + 6.0F : was) + sixths);
    // Smith's way back: how far each channel stays below the value.
    const auto channel = [&](float offset) {
      const float place = around(offset + hue);
      const float share = std::min(place, 4.0F - place);
      return value - chroma * std::min(std::max(share, 0.0F), 1.0F);
    };
    planes.red[i] = channel(5.0F);
    planes.green[i] = channel(3.0F);
    planes.blue[i] = channel(1.0F);
  }
}

void make_grey(std::span<float> image, const ImageShape& shape) {
  const Colours planes(image, shape);
  for (std::size_t i = 0; i < planes.count; ++i) {
    const float grey = grey_of(planes.red[i], planes.green[i], planes.blue[i]);
    planes.red[i] = planes.green[i] = planes.blue[i] = grey;
  }
}

void blur(std::span<float> image, const ImageShape& shape, double sigma) {
  DETENTE_DCHECK(image.size() == shape.size() && sigma > 0);
  const auto reach = static_cast<std::size_t>(std::ceil(kBlurReach * sigma));
  std::vector<double> exact(reach + 1);
  double sum = 0;
  for (std::size_t i = 0; i <= reach; ++i) {
    const double distance = static_cast<double>(i) / sigma;
    exact[i] = std::exp(-0.5 * distance * distance);
    sum += i == 0 ? exact[i] : 2 * exact[i];
  }
  std::vector<float> weights(reach + 1);
  for (std::size_t i = 0; i <= reach; ++i) weights[i] = static_cast<float>(exact[i] / sum);

  const std::size_t height = shape.height;
  const std::size_t width = shape.width;
  std::vector<float> wide(width + 2 * reach);  // a line with what goes on beyond its ends
  std::vector<float> across(shape.pixels());
  for (std::size_t c = 0; c < shape.channels; ++c) {
    float* plane = image.data() + c * shape.pixels();
    for (std::size_t y = 0; y < height; ++y) {
      const float* from = plane + y * width;
      std::fill_n(wide.begin(), reach, from[0]);
      std::copy_n(from, width, wide.data() + reach);
      std::fill_n(wide.data() + reach + width, reach, from[width - 1]);
      float* to = across.data() + y * width;
      const float* middle = wide.data() + reach;
      for (std::size_t x = 0; x < width; ++x) to[x] = weights[0] * middle[x];
      for (std::size_t i = 1; i <= reach; ++i) {
        const float* right = middle + i;
        const float* left = middle - i;
        for (std::size_t x = 0; x < width; ++x) to[x] += weights[i] * (left[x] + right[x]);
      }
    }
    for (std::size_t y = 0; y < height; ++y) {
      const float* middle = across.data() + y * width;
      float* to = plane + y * width;
      for (std::size_t x = 0; x < width; ++x) to[x] = weights[0] * middle[x];
      for (std::size_t i = 1; i <= reach; ++i) {
        const float* above = across.data() + (y > i ? y - i : 0) * width;
        const float* below = across.data() + std::min(y + i, height - 1) * width;
        for (std::size_t x = 0; x < width; ++x) to[x] += weights[i] * (above[x] + below[x]);
      }
      for (std::size_t x = 0; x < width; ++x) to[x] = cut(to[x]);
    }
  }
}

void solarise(std::span<float> image) {
  for (float& value : image) value = value >= kSolarised ? kBrightest - value : value;
}

void turn(std::span<const float> image,
          const ImageShape& shape,
          int quarters,
          std::span<float> turned) {
  const std::size_t height = shape.height;
  const std::size_t width = shape.width;
  DETENTE_CHECK(quarters % 2 == 0 || height == width,
                ErrorCode::kShape,
                "[data::turn] an image of {} x {} turned by a quarter is of {} x {}; expected a "
                "square one.",
                height,
                width,
                width,
                height);
  const int turns = ((quarters % 4) + 4) % 4;
  for (std::size_t c = 0; c < shape.channels; ++c) {
    const float* from = image.data() + c * shape.pixels();
    float* to = turned.data() + c * shape.pixels();
    for (std::size_t y = 0; y < height; ++y) {
      for (std::size_t x = 0; x < width; ++x) {
        std::size_t source = y * width + x;
        if (turns == 1) source = x * width + (width - 1 - y);
        if (turns == 2) source = (height - 1 - y) * width + (width - 1 - x);
        if (turns == 3) source = (height - 1 - x) * width + y;
        to[y * width + x] = from[source];
      }
    }
  }
}

void cut_out(std::span<float> image,
             const ImageShape& shape,
             std::size_t row,
             std::size_t column,
             std::size_t side) {
  const std::size_t half = side / 2;
  const std::size_t top = row - std::min(row, half);
  const std::size_t bottom = std::min(row + half, shape.height);
  const std::size_t left = column - std::min(column, half);
  const std::size_t right = std::min(column + half, shape.width);
  for (std::size_t c = 0; c < shape.channels; ++c) {
    for (std::size_t y = top; y < bottom; ++y) {
      float* line = image.data() + c * shape.pixels() + y * shape.width;
      std::fill(line + left, line + right, 0.0F);
    }
  }
}

}  // namespace detente::data

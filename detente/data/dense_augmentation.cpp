// SPDX-License-Identifier: Apache-2.0
#include <detente/data/dense_augmentation.h>

#include <algorithm>
#include <cmath>

namespace detente::data {
namespace {

template <class T>
void flip_plane(std::span<T> plane, const DenseShape& shape) {
  for (std::size_t y = 0; y < shape.height; ++y) {
    const auto line = plane.subspan(y * shape.width, shape.width);
    std::reverse(line.begin(), line.end());
  }
}

bool is_whole(const DenseShape& shape, const DenseChange& change) {
  return change.height == shape.height && change.width == shape.width;
}

template <class T>
std::vector<T> nearest(std::span<const T> plane,
                       const DenseShape& shape,
                       const DenseChange& change) {
  std::vector<T> out(plane.begin(), plane.end());
  if (!is_whole(shape, change)) {
    for (std::size_t y = 0; y < shape.height; ++y) {
      const std::size_t from = change.top + y * change.height / shape.height;
      for (std::size_t x = 0; x < shape.width; ++x) {
        out[y * shape.width + x] =
            plane[from * shape.width + change.left + x * change.width / shape.width];
      }
    }
  }
  if (change.flip) flip_plane<T>(out, shape);
  return out;
}

// Where a line of `out` numbers takes its i-th from in a window of `in`: the ends meet the ends.
struct Between {
  std::size_t low = 0;
  std::size_t high = 0;
  float share = 0;  // of `high`
};

std::vector<Between> places(std::size_t in, std::size_t out) {
  std::vector<Between> list(out);
  const double step = out > 1 ? static_cast<double>(in - 1) / static_cast<double>(out - 1) : 0.0;
  for (std::size_t i = 0; i < out; ++i) {
    const double at = step * static_cast<double>(i);
    const auto low = std::min(static_cast<std::size_t>(at), in - 1);
    list[i] = {low, std::min(low + 1, in - 1), static_cast<float>(at - static_cast<double>(low))};
  }
  return list;
}

std::vector<float> bilinear(std::span<const float> planes,
                            const DenseShape& shape,
                            const DenseChange& change) {
  std::vector<float> out(planes.begin(), planes.end());
  const std::size_t count = planes.size() / shape.pixels();
  if (!is_whole(shape, change)) {
    const auto rows = places(change.height, shape.height);
    const auto columns = places(change.width, shape.width);
    for (std::size_t c = 0; c < count; ++c) {
      const float* plane =
          planes.data() + c * shape.pixels() + change.top * shape.width + change.left;
      float* to = out.data() + c * shape.pixels();
      for (const Between& row : rows) {
        const float* above = plane + row.low * shape.width;
        const float* below = plane + row.high * shape.width;
        for (const Between& column : columns) {
          const float first =
              above[column.low] + column.share * (above[column.high] - above[column.low]);
          const float second =
              below[column.low] + column.share * (below[column.high] - below[column.low]);
          *to++ = first + row.share * (second - first);
        }
      }
    }
  }
  if (change.flip) {
    for (std::size_t c = 0; c < count; ++c) {
      flip_plane<float>(std::span(out).subspan(c * shape.pixels(), shape.pixels()), shape);
    }
  }
  return out;
}

}  // namespace

void DenseAugmentation::describe(FieldVisitor& visitor) {
  visitor.numbers(
      "scales",
      scales,
      {.min = 1, .max = 16},
      "A factor of these, drawn anew for each example: a window so much smaller than the "
      "image is brought to its size, and depths are divided by the factor (published: [1, "
      "1.2, 1.5]). None: no scaling.");
  visitor.flag(
      "flip",
      flip,
      "Left and right change places in every second example; normals' x changes its sign.");
}

DenseChange DenseAugmentation::draw(const DenseShape& shape, Rng& rng) const {
  DenseChange change;
  if (!scales.empty()) change.scale = scales[rng.below(scales.size())];
  const auto window = [&](std::size_t side) {
    const auto part = static_cast<std::size_t>(static_cast<double>(side) / change.scale);
    return std::max<std::size_t>(1, part);
  };
  change.height = window(shape.height);
  change.width = window(shape.width);
  if (!scales.empty()) {
    change.top = rng.below(shape.height - change.height + 1);
    change.left = rng.below(shape.width - change.width + 1);
  }
  if (flip) change.flip = rng.below(2) == 1;
  return change;
}

std::vector<float> changed_image(std::span<const float> planes,
                                 const DenseShape& shape,
                                 const DenseChange& change) {
  return bilinear(planes, shape, change);
}

std::vector<float> changed_normals(std::span<const float> planes,
                                   const DenseShape& shape,
                                   const DenseChange& change) {
  std::vector<float> out = bilinear(planes, shape, change);
  if (change.flip) {
    for (std::size_t i = 0; i < shape.pixels(); ++i) out[i] = -out[i];
  }
  return out;
}

std::vector<float> changed_depth(std::span<const float> plane,
                                 const DenseShape& shape,
                                 const DenseChange& change) {
  std::vector<float> out = nearest(plane, shape, change);
  const auto scale = static_cast<float>(change.scale);
  for (float& value : out) value /= scale;
  return out;
}

std::vector<std::int16_t> changed_label(std::span<const std::int16_t> plane,
                                        const DenseShape& shape,
                                        const DenseChange& change) {
  return nearest(plane, shape, change);
}

}  // namespace detente::data

// SPDX-License-Identifier: Apache-2.0
#include <detente/data/dense_targets.h>

#include <cstddef>
#include <limits>

namespace detente::data {
namespace {}  // namespace

std::vector<float> labels_as_floats(std::span<const std::int16_t> label) {
  std::vector<float> out;
  out.reserve(label.size());
  for (const std::int16_t id : label) {
    out.push_back(id == DenseMaps::kNoClass ? kNoTarget : static_cast<float>(id));
  }
  return out;
}

void hide_missing_normals(std::vector<float>& planes, std::size_t pixels) {
  for (std::size_t p = 0; p < pixels; ++p) {
    float* at = planes.data() + p;
    if (at[0] != 0 || at[pixels] != 0 || at[2 * pixels] != 0) continue;
    at[0] = at[pixels] = at[2 * pixels] = kNoTarget;
  }
}

float presence(std::span<const std::int16_t> label, std::int16_t id) {
  bool any = false;
  for (const std::int16_t value : label) {
    if (value == id) return 1;
    any = any || value != DenseMaps::kNoClass;
  }
  return any ? 0 : kNoTarget;
}

std::vector<float> edges_of(std::span<const std::int16_t> label, const DenseShape& shape) {
  std::vector<float> out(label.size(), kNoTarget);
  for (std::size_t y = 0; y < shape.height; ++y) {
    for (std::size_t x = 0; x < shape.width; ++x) {
      const std::size_t at = y * shape.width + x;
      if (label[at] == DenseMaps::kNoClass) continue;
      const auto differs = [&](std::size_t other) {
        return label[other] != DenseMaps::kNoClass && label[other] != label[at];
      };
      const bool edge = (x > 0 && differs(at - 1)) || (x + 1 < shape.width && differs(at + 1)) ||
                        (y > 0 && differs(at - shape.width)) ||
                        (y + 1 < shape.height && differs(at + shape.width));
      out[at] = edge ? 1 : 0;
    }
  }
  return out;
}

}  // namespace detente::data

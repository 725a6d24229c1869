// SPDX-License-Identifier: Apache-2.0
// Targets made of an example's maps. NaN where there is none.
#pragma once

#include <detente/data/dense_file.h>

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace detente::data {

inline constexpr float kNoTarget = std::numeric_limits<float>::quiet_NaN();

std::vector<float> labels_as_floats(std::span<const std::int16_t> label);

// Planes x, y, z one after the other: all three NaN where all are 0.
void hide_missing_normals(std::vector<float>& planes, std::size_t pixels);

// 1 where any pixel has the class, else 0; NaN where none has any.
float presence(std::span<const std::int16_t> label, std::int16_t id);

// 1 where a pixel's left, right, upper or lower neighbour has another class, else 0; NaN without a class.
std::vector<float> edges_of(std::span<const std::int16_t> label, const DenseShape& shape);

}  // namespace detente::data

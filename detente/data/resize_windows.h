// SPDX-License-Identifier: Apache-2.0
// How a line of numbers becomes a longer or shorter one: bilinear, with half-pixel centres; where
// it shrinks, the triangle is as wide as the step (antialiased).
#pragma once

#include <cstddef>
#include <vector>

namespace detente::data {

// The source positions that a target position is the weighted mean of.
struct ResizeWindow {
  std::size_t first = 0;
  std::vector<double> weights;  // sum 1
};

// One per target position; both lengths at least 1. Of equal lengths each position is itself.
std::vector<ResizeWindow> resize_windows(std::size_t from, std::size_t to);

}  // namespace detente::data

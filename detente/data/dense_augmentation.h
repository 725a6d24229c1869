// SPDX-License-Identifier: Apache-2.0
// Random changes of a training image and its maps together, as the code of MTAN (Liu et al. 2019),
// CAGrad, Nash-MTL and FAMO makes them:
//
//   scale  a factor s from the list; a window of ⌊H/s⌋ × ⌊W/s⌋ somewhere in the image is brought to the
//          whole size: images and normals by bilinear interpolation that keeps the corners, class ids and
//          depths by the nearest pixel. What is nearer looks larger: depths are divided by s. Normals
//          keep their direction, though between two of them they become shorter (nobody renormalises).
//   flip   with probability 1/2 left and right change places, and normals' x changes its sign
//
// A factor of 1 without flip changes nothing.
#pragma once

#include <detente/core/fields.h>
#include <detente/core/rng.h>
#include <detente/data/dense_file.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace detente::data {

struct DenseChange {
  double scale = 1;
  std::size_t top = 0;
  std::size_t left = 0;
  std::size_t height = 0;  // of the window
  std::size_t width = 0;
  bool flip = false;
};

struct DenseAugmentation {
  std::vector<double> scales;  // none: no scaling
  bool flip = false;

  void describe(FieldVisitor& visitor);
  bool any() const { return !scales.empty() || flip; }
  // All chance comes from `rng`.
  DenseChange draw(const DenseShape& shape, Rng& rng) const;
};

// Planes of the shape's size, as many as there are; the result has the same size.
std::vector<float> changed_image(std::span<const float> planes,
                                 const DenseShape& shape,
                                 const DenseChange& change);
std::vector<float> changed_normals(std::span<const float> planes,
                                   const DenseShape& shape,
                                   const DenseChange& change);
std::vector<float> changed_depth(std::span<const float> plane,
                                 const DenseShape& shape,
                                 const DenseChange& change);
std::vector<std::int16_t> changed_label(std::span<const std::int16_t> plane,
                                        const DenseShape& shape,
                                        const DenseChange& change);

}  // namespace detente::data

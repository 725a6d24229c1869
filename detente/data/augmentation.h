// SPDX-License-Identifier: Apache-2.0
// Random changes of a training image that leave what it shows as it is.
//
//   flip    with probability 1/2 left and right change places (not for digits and letters)
//   crop    moved by up to so many pixels up or down and left or right; what comes in is black
//           (padding and a random crop, He et al. 2016), or the image mirrored at its edge (pad)
//   erase   with this probability a rectangle of 2 to 33 % of the area, its sides 0.3 to 3.3 to one,
//           becomes the training images' mean (random erasing, Zhong et al. 2020)
//   jitter  brightness and then contrast about the image's own mean, each by a factor within 1 ± jitter
//
//   noise   normal, of this deviation, on every number as the network gets it
//
// In this order: jitter, flip, crop, erase, noise. Values are 0..255, cut to it by jitter; of whitened
// images (data/whitening.h) they are those of whitened images, and 0 stands for black and the mean.
#pragma once

#include <detente/core/fields.h>
#include <detente/core/rng.h>
#include <detente/data/image.h>

#include <cstdint>
#include <span>

namespace detente::data {

struct Augmentation {
  enum class Pad { kBlack, kReflect };

  bool flip = false;
  std::int64_t crop = 0;
  double erase = 0;
  double jitter = 0;
  Pad pad = Pad::kBlack;
  double noise = 0;

  void describe(FieldVisitor& visitor);
  bool any() const { return flip || crop > 0 || erase > 0 || jitter > 0 || noise > 0; }

  // All but noise. `image`: the planes of the channels one after the other, shape.size() numbers. `mean`:
  // one per channel. All chance comes from `rng`.
  void apply(std::span<float> image,
             const ImageShape& shape,
             std::span<const double> mean,
             Rng& rng) const;
  // Then, on what the network gets of it.
  void add_noise(std::span<float> image, Rng& rng) const;
};

// The single changes, on planes.
void flip_columns(std::span<float> image, const ImageShape& shape);
// Moves the content down by `down` and right by `right` (negative: up, left); 0 comes in.
void shift(std::span<float> image, const ImageShape& shape, std::int64_t down, std::int64_t right);
// The same, but the image goes on mirrored at its edges, whose pixels do not come twice.
void shift_reflected(std::span<float> image,
                     const ImageShape& shape,
                     std::int64_t down,
                     std::int64_t right);

}  // namespace detente::data

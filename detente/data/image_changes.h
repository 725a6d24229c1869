// SPDX-License-Identifier: Apache-2.0
// Changes of an image by a given amount; data/views.h draws the amounts. On planes, the channels
// one after the other, of values 0..255: results are cut to these, not rounded to bytes. Each is
// defined as torchvision defines it, or the difference is named.
//
// The grey of a pixel is 0.299 red + 0.587 green + 0.114 blue (ITU-R BT.601, as in Pillow and
// data::with_channels; torchvision's 0.2989 sums to 0.9999 and darkens what is grey already).
#pragma once

#include <detente/data/image.h>

#include <cstddef>
#include <span>

namespace detente::data {

// A part of an image, in pixels.
struct ImagePart {
  std::size_t top = 0;
  std::size_t left = 0;
  std::size_t height = 0;
  std::size_t width = 0;

  bool operator==(const ImagePart&) const = default;
};

// That part, cut out and then brought to `size` x `size` as data::resize does it: bilinear, with
// half-pixel centres, antialiased where it shrinks. A part of that size already is copied as it is.
// `part` lies within the image; `out` holds channels x size x size numbers.
void resize_part(std::span<const float> image,
                 const ImageShape& shape,
                 const ImagePart& part,
                 std::size_t size,
                 std::span<float> out);

// Every value times `factor`, >= 0; 1 changes nothing.
void change_brightness(std::span<float> image, float factor);
// The distance from the image's mean grey times `factor`.
void change_contrast(std::span<float> image, const ImageShape& shape, float factor);
// The distance from the pixel's own grey times `factor`; three channels.
void change_saturation(std::span<float> image, const ImageShape& shape, float factor);
// The hue (as in HSV) turned by `turn`, in [-0.5, 0.5] of its circle; three channels. What is grey
// has none and stays.
void change_hue(std::span<float> image, const ImageShape& shape, float turn);
// Each pixel becomes its grey; three channels.
void make_grey(std::span<float> image, const ImageShape& shape);

// Means of the neighbours with Gaussian weights of deviation `sigma` > 0, in pixels, out to
// ceil(3 sigma). Beyond an edge its last pixels go on, as in Pillow, which the code of DINO blurs
// with, and so that images of any size can be blurred (torchvision mirrors the image there).
void blur(std::span<float> image, const ImageShape& shape, double sigma);

// Values of 128 and more become 255 - value.
void solarise(std::span<float> image);

// `image` turned by quarters of a circle against the clock, to `turned`, of as many numbers; an odd number
// of quarters takes a square image. As torch.rot90(image, quarters, [1, 2]).
void turn(std::span<const float> image,
          const ImageShape& shape,
          int quarters,
          std::span<float> turned);

// A square of this side, in pixels, becomes 0 (Cutout, DeVries and Taylor 2017): of the side/2
// rows before `row` and as many from it on, as far as they are in the image, and columns likewise.
void cut_out(std::span<float> image,
             const ImageShape& shape,
             std::size_t row,
             std::size_t column,
             std::size_t side);

}  // namespace detente::data

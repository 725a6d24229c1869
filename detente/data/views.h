// SPDX-License-Identifier: Apache-2.0
// Random views of an image, for networks that are to say the same of all of them.
//
// A view is a random part of the image, resized to a square, then changed at random, in this order:
//
//   part      area a share of the image's, uniform in [scale_min, scale_max]; width to height
//             log-uniform in [3/4, 4/3]; anywhere. What does not fit is drawn again, ten times in
//             all; then it is the largest middle part of an allowed proportion (torchvision's
//             RandomResizedCrop). Resized bilinearly, antialiased where it shrinks (the code of
//             DINO: bicubic).
//   flip      left and right change places
//   jitter    brightness, contrast, saturation and hue, in random order: the first three by factors
//             within 1 ± their amount, not below 0, hue by up to its amount, of a full circle
//   grey      all three channels become the pixel's grey
//   blur      Gaussian, deviation uniform in [0.1, 2] pixels
//   solarise  values of 128 and more become 255 - value
//
// Whether each happens is drawn by its probability. data/image_changes.h has the single changes.
// Values are 0..255 throughout, cut to it, never rounded.
//
// Whoever wants two draws of one distribution that leaves an image its size, as DDGSD (Xu and Liu
// 2019), takes data::Augmentation and distorted_batch.
#pragma once

#include <detente/core/fields.h>
#include <detente/core/rng.h>
#include <detente/data/augmentation.h>
#include <detente/data/batches.h>
#include <detente/data/image.h>
#include <detente/data/image_changes.h>
#include <detente/data/picture_source.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace detente::data {

// One distribution of views.
struct ViewOptions {
  std::int64_t size = 32;  // side of the view, >= 1
  double scale_min = 0.4;  // > 0
  double scale_max = 1.0;  // up to 1
  // Probabilities.
  double flip = 0.5;
  double jitter = 0.8;
  // Amounts of jitter, where it happens: >= 0, hue up to 0.5; 0 leaves one out.
  double brightness = 0.4;
  double contrast = 0.4;
  double saturation = 0.2;
  double hue = 0.1;
  // Probabilities.
  double grey = 0.2;
  double blur = 0.0;
  double solarise = 0.0;

  bool operator==(const ViewOptions&) const = default;
};

// The part of an image of `shape` that a view shows. All chance comes from `rng`.
ImagePart draw_part(const ImageShape& shape, const ViewOptions& options, Rng& rng);

// `image`: planes of the channels one after the other, values 0..255, of `shape`; `view`: channels
// x size x size likewise. Images of one channel have no colours: saturation, hue and grey are left
// out. All chance comes from `rng`. Throws kInvalidArgument for a size or shares outside their
// ranges, kShape for spans of another length. A view of 32 x 32 x 3 costs some 30 microseconds.
void draw_view(std::span<const float> image,
               const ImageShape& shape,
               const ViewOptions& options,
               Rng& rng,
               std::span<float> view);

// The views of DINO (Caron et al. 2021): a few large (global) ones, of much of the image, and more
// small (local) ones, of little of it. As there, the first global view is always blurred, the
// others are with probability 0.1 and solarised with 0.2, and local ones are blurred with 0.5.
struct MultiCropOptions {
  std::int64_t global_crops = 2;
  std::int64_t local_crops = 4;
  std::int64_t global_size = 0;  // 0: the images' smaller side
  std::int64_t local_size = 0;   // 0: half of global_size, at least 1
  double global_scale = 0.4;     // up to 1
  double local_scale = 0.05;     // up to global_scale
  double flip = 0.5;
  double jitter = 0.8;
  double grey = 0.2;
  bool blur = true;

  void describe(FieldVisitor& visitor);
  // Global views first. Throws kInvalidArgument: a value outside its range, fewer than two views in
  // all, views larger than the images, local_scale above global_scale. Size and share of local
  // views are not looked at where there are none.
  std::vector<ViewOptions> views(const ImageShape& shape) const;
};

// One batch per view: "image" [rows, channels, size, size], standardised as PictureSource::batch does
// it, with the same means and deviations. The chance of view v of row r is stream.fork(r).fork(v)
// and depends on nothing else: not on the other rows, their order or number. `threads` (0: as many
// as there are cores) changes nothing but the time. Throws as draw_view, and
// kInvalidArgument for whitened images.
std::vector<Batch> view_batches(const PictureSource& source,
                                std::span<const std::size_t> rows,
                                std::span<const ViewOptions> views,
                                const Rng& stream,
                                int threads = 1);

// Draw number `view` of the rows under `changes`, with chance as above: one batch like
// PictureSource::batch, and the same as that where `changes` has none.
Batch distorted_batch(const PictureSource& source,
                      std::span<const std::size_t> rows,
                      const Augmentation& changes,
                      const Rng& stream,
                      std::uint64_t view);

// Adds the images of one such batch, of the same sides, behind those of another.
void append_images(Batch& all, const Batch& more);

// View `number` of the row, as view_batches draws it, rounded to bytes, to look at.
Image view_picture(const PictureSource& source,
                   std::size_t row,
                   const ViewOptions& view,
                   const Rng& stream,
                   std::uint64_t number);

}  // namespace detente::data

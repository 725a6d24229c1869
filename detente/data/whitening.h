// SPDX-License-Identifier: Apache-2.0
// Global contrast normalisation and ZCA whitening of images (Krizhevsky 2009, Coates et al. 2011), as the
// literature on learning with few labels prepares CIFAR-10.
//
//   contrast  an image's mean is taken away, and the rest is scaled to a norm (published: 55);
//             an image of one value becomes 0
//   zca       x ↦ M (x − μ), M = (C + λ I)^(−1/2) symmetric, μ and C the mean and covariance (divisor
//             n − 1) of the training images after the first; λ = `zca` (published: 0.1)
//
// An image is its planes, one channel after the other. Fitting n images of p numbers costs O(n p² + p³)
// in double precision and is the same on any number of threads; applying costs O(p²) an image.
#pragma once

#include <detente/core/fields.h>

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

namespace detente::data {

struct WhiteningOptions {
  double contrast = 0;  // norm; 0: not done
  double zca = 0;       // λ; 0: not done

  void describe(FieldVisitor& visitor);
  bool any() const { return contrast > 0 || zca > 0; }
};

class Whitening {
 public:
  // Fits on `images` (`size` numbers each, 0..255) and whitens them in place. Throws kData for fewer than
  // two images to whiten and kInvalidArgument for images of more than 8192 numbers, whose matrix nobody
  // would wait for.
  static Whitening fit(const WhiteningOptions& options,
                       std::span<float> images,
                       std::size_t size,
                       int threads);
  // Whitens others in place, as many numbers each.
  void apply(std::span<float> images, int threads) const;

  // whitening.json, and whitening.npy [1 + p, p] float32: μ, then M. Exact on reload.
  void save(const std::filesystem::path& run) const;
  // Null where the run has none. Throws kIo, and kData for what was not saved so or not for images of
  // `size` numbers.
  static std::shared_ptr<const Whitening> load(const std::filesystem::path& run, std::size_t size);

 private:
  WhiteningOptions options_;
  std::size_t size_ = 0;
  std::vector<float> mean_;    // p; empty: no zca
  std::vector<float> matrix_;  // p × p, symmetric
};

}  // namespace detente::data

// SPDX-License-Identifier: Apache-2.0
// Sources whose examples are pictures of one size, a byte a number: images in memory, tiles of slides. What
// a network sees is the same of all of them, and so are random changes of training examples.
//
// Array of a batch: "image" [B, channels, height, width] float, (value − mean) / deviation; of whitened
// examples (data/whitening.h) the numbers that whitening made.
#pragma once

#include <detente/data/augmentation.h>
#include <detente/data/image_fit.h>
#include <detente/data/source.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace detente::data {

class PictureSource : public Source {
 public:
  std::size_t size() const final { return costs_.size(); }
  std::span<const std::size_t> costs() const final { return costs_; }
  Batch batch(std::span<const std::size_t> rows, const Rng* augment) const final;

  // Rules between options; throws kInvalidArgument.
  virtual void check_options() const = 0;
  // Of an example as a network sees it.
  virtual ImageShape shape() const { return fit_.shape; }
  // Per channel, of training examples, in 0..255.
  const std::vector<double>& means() const { return fit_.means; }
  const std::vector<double>& deviations() const { return fit_.deviations; }
  // Whether what a network gets is whitened: means() and deviations() are not used then.
  virtual bool whitened() const { return false; }
  // What a network gets for a value of 0..255, where it is not whitened.
  float standard(double value, std::size_t channel) const {
    return static_cast<float>((value - fit_.means[channel]) / fit_.deviations[channel]);
  }
  // An example before standardisation. From several threads at once.
  Image example(std::size_t row) const;
  Image picture(std::size_t row) const final { return example(row); }
  std::vector<std::string> class_names(std::string_view column) const final;
  // A batch as batch() makes it, each row under `changes` by a chance of its own.
  Batch changed_batch(std::span<const std::size_t> rows,
                      const Augmentation& changes,
                      const std::function<Rng(std::size_t row)>& chance) const;

 protected:
  // The example's bytes, shape().size() of them, the channels of a pixel together.
  virtual void write_example(std::size_t row, std::uint8_t* out) const = 0;
  // Where it is whitened: the planes of the channels one after the other.
  virtual std::span<const float> whitened_example(std::size_t /*row*/) const { return {}; }
  // Takes them from the table's rows, labels by the names of the classes.
  void read_targets(const Table& table, const std::vector<TargetColumn>& targets);
  // Means and deviations of the examples in `rows`.
  void fit_scale(std::span<const std::size_t> rows, const std::string& source);

  ImageFit fit_;
  std::vector<std::size_t> costs_;  // all 1
  Augmentation augmentation_;
};

}  // namespace detente::data

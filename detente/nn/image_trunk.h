// SPDX-License-Identifier: Apache-2.0
// What trunks for images (data/image_source.h), recordings (data/audio_source.h), clips
// (data/video_source.h) and arrays of three to five dimensions (data/array_source.h) have in common: all
// but the layers. The energies of a recording are an image of one channel, bands high and frames wide;
// or, for networks that look along time alone, one pixel high with a channel for each band. So are
// arrays [n, c, t]. Of a clip each frame is an image, and the features are the mean of the frames'
// (their order says nothing then); or the network looks at the whole clip.
#pragma once

#include <detente/data/image.h>
#include <detente/nn/image_layers.h>
#include <detente/nn/trunk.h>

#include <string>

namespace detente::nn {

class ImageTrunk : public Trunk {
 public:
  void prepare(data::Source& source) const override;
  void build(const data::Source& fitted, Draw& draw) override;
  // Images of other sides than build was given are taken where takes_sides() says so (views of an image,
  // data/views.h); kShape otherwise.
  at::Tensor features(const data::Batch& batch, Rng* random = nullptr) const override;
  // kUnsupported for images that are whitened.
  // "image" [B, C, H, W] float32 with values as in a picture, 0 to 255, "clip" [B, C, T, H, W] likewise;
  // "audio" [B, bands, frames] float32, log-mel energies (data/log_mel.h); "series" [B, c, t] float32; of
  // arrays as in the file, channels first.
  PortableInputs portable_inputs(const data::Source& fitted) const override;
  TensorList portable_views(const TensorList& inputs, const data::Source& fitted) const override;

  // Whether images may have these sides beside those that build was given.
  virtual bool takes_sides(std::int64_t /*height*/, std::int64_t /*width*/) const { return false; }

  // Without a source: for images.
  virtual void build(const data::ImageShape& shape, Draw& draw) = 0;

 protected:
  // The batch's array as forward() takes it, on the parameters' device and in their type; kShape as
  // features().
  at::Tensor images_of(const data::Batch& batch) const;
  // Whether the bands of a recording are channels. Such a trunk takes no images.
  virtual bool along_time() const { return false; }
  // Whether it takes clips, whole, and nothing else.
  virtual bool whole_clips() const { return false; }
  // From standardised images [B, C, H, W] of the shape that build was given or sides that it takes, or clips [B, C, T, H, W].
  virtual at::Tensor forward(at::Tensor x, Dropout& drop, BatchStatistics statistics) const = 0;

  data::ImageShape shape_;
  std::size_t frames_ = 0;  // of a clip, before build; 0: there are none

 private:
  // The same of frames as of images, see above.
  at::Tensor pooled(const at::Tensor& x, Dropout& drop, BatchStatistics statistics) const;

  std::string array_ = "image";  // of a batch
  mutable BatchStatisticsRule statistics_;
};

}  // namespace detente::nn

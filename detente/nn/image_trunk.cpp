// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/data/array_source.h>
#include <detente/data/audio_source.h>
#include <detente/data/picture_source.h>
#include <detente/data/video_source.h>
#include <detente/nn/image_trunk.h>
#include <fmt/ranges.h>
#include <torch/types.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace detente::nn {
namespace {

// What a source's examples are to these trunks.
struct GridForm {
  std::string array = "image";
  data::ImageShape shape;  // of a series: height 1, the channels its own
  std::vector<double> means;
  std::vector<double> deviations;
  std::string meaning;     // of the array's numbers outside Detente
  std::size_t frames = 0;  // of a clip

  bool is_series() const { return array == "audio" || array == "series"; }
};

// What a trunk takes, in messages.
struct GridTaste {
  const char* kind;
  bool along_time;
  bool whole_clips;

  const char* words() const {
    if (whole_clips) return "clips and arrays [n, c, t, h, w]";
    return along_time ? "recordings and arrays [n, c, t]"
                      : "images, recordings, clips and arrays of three to five dimensions";
  }
};

[[noreturn]] void refuse_grid(const data::Source& source, const GridTaste& taste) {
  fail(ErrorCode::kInvalidArgument,
       "[nn::ImageTrunk] model.kind {} takes {}; data.kind is {}. Use data.kind: {} or another "
       "model.",
       taste.kind,
       taste.words(),
       source.kind(),
       taste.whole_clips  ? "video"
       : taste.along_time ? "audio"
                          : "images");
}

std::string picture_meaning(std::size_t channels) {
  return channels == 1 ? "Brightness from 0 to 255" : "Red, green and blue from 0 to 255";
}

GridForm array_form(const data::ArraySource& arrays, const GridTaste& taste) {
  const auto& sides = arrays.sides();
  const bool fits = sides.size() == 4   ? !taste.along_time
                    : sides.size() == 3 ? !taste.along_time && !taste.whole_clips
                                        : sides.size() == 2 && !taste.whole_clips;
  DETENTE_CHECK(fits,
                ErrorCode::kInvalidArgument,
                "[nn::ImageTrunk] model.kind {} takes {}; those of data.inputs have {} dimensions. "
                "Use model.kind: {}.",
                taste.kind,
                taste.words(),
                sides.size() + 1,
                sides.size() == 1   ? "mlp"
                : sides.size() == 2 ? "convnet1d or convnet"
                : sides.size() == 3 ? "convnet or resnet"
                                    : "convnet3d or convnet");
  GridForm form{.means = arrays.means(),
                .deviations = arrays.deviations(),
                .meaning = "As in the array of the inputs, channels first"};
  if (sides.size() == 2) {
    form.array = "series";
    form.shape = {1, sides[1], sides[0]};
  } else if (sides.size() == 3) {
    form.shape = {sides[1], sides[2], sides[0]};
  } else {
    form.array = "clip";
    form.shape = {sides[2], sides[3], sides[0]};
    form.frames = sides[1];
  }
  return form;
}

GridForm grid_form(const data::Source& source, const GridTaste& taste) {
  if (const auto* arrays = dynamic_cast<const data::ArraySource*>(&source)) {
    return array_form(*arrays, taste);
  }
  if (const auto* video = dynamic_cast<const data::VideoSource*>(&source);
      video != nullptr && !taste.along_time) {
    return {"clip",
            video->shape(),
            video->means(),
            video->deviations(),
            picture_meaning(video->shape().channels),
            video->frames()};
  }
  if (const auto* audio = dynamic_cast<const data::AudioSource*>(&source);
      audio != nullptr && !taste.whole_clips) {
    return {"audio",
            {1, audio->frames(), audio->bands()},
            audio->means(),
            audio->deviations(),
            "Log-mel energies by band and frame, as the section data.mel of the recipe has them"};
  }
  const auto* images = dynamic_cast<const data::PictureSource*>(&source);
  if (images == nullptr || taste.along_time || taste.whole_clips) refuse_grid(source, taste);
  return {"image",
          images->shape(),
          images->means(),
          images->deviations(),
          picture_meaning(images->shape().channels)};
}

// One number per channel, or per band of a recording, as it stands beside the inputs.
at::Tensor per_channel(const std::vector<double>& values, at::IntArrayRef sizes) {
  return torch::tensor(values, torch::kFloat64).to(torch::kFloat32).view(sizes);
}

}  // namespace

void ImageTrunk::prepare(data::Source& source) const {
  // What their options say of the examples is known before any is read.
  if (const auto* audio = dynamic_cast<const data::AudioSource*>(&source)) audio->check_options();
  if (const auto* video = dynamic_cast<const data::VideoSource*>(&source)) video->check_options();
  if (const auto* images = dynamic_cast<const data::PictureSource*>(&source)) {
    images->check_options();
  }
  // The dimensions of arrays are known after reading alone.
  if (dynamic_cast<const data::ArraySource*>(&source) != nullptr) return;
  grid_form(source, {kind(), along_time(), whole_clips()});
}

void ImageTrunk::build(const data::Source& fitted, Draw& draw) {
  const GridForm form = grid_form(fitted, {kind(), along_time(), whole_clips()});
  array_ = form.array;
  frames_ = form.frames;
  data::ImageShape shape = form.shape;
  if (form.is_series() && !along_time()) shape = {shape.channels, shape.width, 1};
  build(shape, draw);
}

at::Tensor ImageTrunk::pooled(const at::Tensor& x,
                              Dropout& drop,
                              BatchStatistics statistics) const {
  if (frames_ == 0 || whole_clips()) return forward(x, drop, statistics);
  const auto side = [](std::size_t n) { return static_cast<std::int64_t>(n); };
  const at::Tensor frames = x.transpose(1, 2).reshape(
      {-1, side(shape_.channels), side(shape_.height), side(shape_.width)});
  return forward(frames, drop, statistics).reshape({-1, side(frames_), width()}).mean(1);
}

at::Tensor ImageTrunk::images_of(const data::Batch& batch) const {
  // As the array has it, and as the layers take it.
  std::vector<std::size_t> sides = {shape_.channels, shape_.height, shape_.width};
  Sizes view = {-1};
  if (frames_ > 0) sides.insert(sides.begin() + 1, frames_);
  for (const std::size_t side : sides) view.push_back(static_cast<std::int64_t>(side));
  if (array_ == "audio" || array_ == "series") {
    sides = {along_time() ? shape_.channels : shape_.height, shape_.width};
  }
  const data::Array* array = data::find_array(batch, array_);
  if (array != nullptr && array_ == "image" && array->shape.size() == 4) {
    const auto height = static_cast<std::int64_t>(array->shape[2]);
    const auto width = static_cast<std::int64_t>(array->shape[3]);
    if (takes_sides(height, width)) {
      sides[1] = array->shape[2];
      sides[2] = array->shape[3];
      view = {-1, view[1], height, width};
    }
  }
  const bool fits = array != nullptr && array->shape.size() == sides.size() + 1 &&
                    array->shape[0] > 0 &&
                    std::equal(sides.begin(), sides.end(), array->shape.begin() + 1);
  DETENTE_CHECK(fits,
                ErrorCode::kShape,
                "[nn::ImageTrunk] a batch needs at least one '{}' of {}{}.",
                array_,
                fmt::join(sides, " x "),
                array_ == "audio"    ? " (bands, frames)"
                : array_ == "series" ? " (channels, frames)"
                : array_ == "clip"   ? " (channels, frames, height, width)"
                                     : " (channels, height, width)");
  return tensor_of(*array).view(view).to(parameters_.trained().front().second.options());
}

at::Tensor ImageTrunk::features(const data::Batch& batch, Rng* random) const {
  const at::Tensor images = images_of(batch);
  Dropout drop(random);
  return pooled(images, drop, statistics_.next(random));
}

PortableInputs ImageTrunk::portable_inputs(const data::Source& fitted) const {
  const GridForm form = grid_form(fitted, {kind(), along_time(), whole_clips()});
  const auto* images = dynamic_cast<const data::PictureSource*>(&fitted);
  DETENTE_CHECK(images == nullptr || !images->whitened(),
                ErrorCode::kUnsupported,
                "[nn::ImageTrunk] whitened images (data.contrast, data.zca) have no form outside "
                "Detente yet; expected a model of images as they are read.");
  Sizes sizes = {2, static_cast<std::int64_t>(form.shape.channels)};
  if (form.frames > 0) sizes.push_back(static_cast<std::int64_t>(form.frames));
  if (!form.is_series()) sizes.push_back(static_cast<std::int64_t>(form.shape.height));
  sizes.push_back(static_cast<std::int64_t>(form.shape.width));
  std::vector<std::string> axes(sizes.size());
  axes[0] = "batch";
  PortableInputs inputs;
  inputs.list.push_back({form.array, std::move(axes), form.meaning});
  inputs.examples.push_back(torch::zeros(sizes, torch::kFloat32));
  return inputs;
}

TensorList ImageTrunk::portable_views(const TensorList& inputs, const data::Source& fitted) const {
  const GridForm form = grid_form(fitted, {kind(), along_time(), whole_clips()});
  Sizes sizes(static_cast<std::size_t>(inputs.at(0).dim()), 1);
  sizes[1] = -1;
  at::Tensor images =
      (inputs.at(0) - per_channel(form.means, sizes)) / per_channel(form.deviations, sizes);
  if (form.is_series()) images = images.unsqueeze(along_time() ? 2 : 1);
  Dropout off(nullptr);
  return {pooled(images, off, BatchStatistics::kRunning)};
}

}  // namespace detente::nn

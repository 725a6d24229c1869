// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/data/array_source.h>
#include <detente/data/audio_source.h>
#include <detente/data/image_source.h>
#include <detente/nn/image_trunk.h>
#include <torch/types.h>

#include <string_view>
#include <utility>
#include <vector>

namespace detente::nn {
namespace {

// What a source's examples are to these trunks.
struct GridForm {
  const char* array = "image";
  data::ImageShape shape;  // of a series: height 1, the channels its own
  std::vector<double> means;
  std::vector<double> deviations;
  const char* meaning = "";  // of the array's numbers outside Detente

  bool is_series() const { return std::string_view(array) != "image"; }
};

[[noreturn]] void refuse_grid(const data::Source& source, const char* kind, bool along_time) {
  fail(ErrorCode::kInvalidArgument,
       "[nn::ImageTrunk] model.kind {} takes {}; data.kind is {}. Use data.kind: {} or another "
       "model.",
       kind,
       along_time ? "recordings and arrays [n, c, t]"
                  : "images, recordings and arrays [n, c, h, w] and [n, c, t]",
       source.kind(),
       along_time ? "audio" : "images");
}

GridForm grid_form(const data::Source& source, const char* kind, bool along_time) {
  if (const auto* audio = dynamic_cast<const data::AudioSource*>(&source)) {
    return {"audio",
            {1, audio->frames(), audio->bands()},
            audio->means(),
            audio->deviations(),
            "Log-mel energies by band and frame, as the section data.mel of the recipe has them"};
  }
  if (const auto* arrays = dynamic_cast<const data::ArraySource*>(&source)) {
    const auto& sides = arrays->sides();
    const char* meaning = "As in the array of the inputs, channels first";
    if (sides.size() == 2) {
      return {"series",
              {1, sides[1], sides[0]},
              arrays->means(),
              arrays->deviations(),
              meaning};
    }
    DETENTE_CHECK(sides.size() == 3 && !along_time,
                  ErrorCode::kInvalidArgument,
                  "[nn::ImageTrunk] model.kind {} takes arrays {}; an example has {} dimensions "
                  "here. Use model.kind: {}.",
                  kind,
                  along_time ? "[n, c, t]" : "[n, c, h, w] and [n, c, t]",
                  sides.size(),
                  sides.size() == 1   ? "mlp"
                  : sides.size() == 3 ? "convnet or resnet"
                                      : "frames or convnet3d");
    return {"image",
            {sides[1], sides[2], sides[0]},
            arrays->means(),
            arrays->deviations(),
            meaning};
  }
  const auto* images = dynamic_cast<const data::ImageSource*>(&source);
  if (images == nullptr || along_time) refuse_grid(source, kind, along_time);
  return {"image",
          images->shape(),
          images->means(),
          images->deviations(),
          images->shape().channels == 1 ? "Brightness from 0 to 255"
                                        : "Red, green and blue from 0 to 255"};
}

// One number per channel, or per band of a recording, as it stands beside the inputs.
at::Tensor per_channel(const std::vector<double>& values, at::IntArrayRef sizes) {
  return torch::tensor(values, torch::kFloat64).to(torch::kFloat32).view(sizes);
}

}  // namespace

void ImageTrunk::prepare(data::Source& source) const {
  if (const auto* audio = dynamic_cast<const data::AudioSource*>(&source)) {
    audio->check_options();
  } else if (const auto* images = dynamic_cast<const data::ImageSource*>(&source);
             images != nullptr && !along_time()) {
    images->check_options();
  } else if (dynamic_cast<const data::ArraySource*>(&source) == nullptr) {
    refuse_grid(source, kind(), along_time());
  }
}

void ImageTrunk::build(const data::Source& fitted, Draw& draw) {
  const GridForm form = grid_form(fitted, kind(), along_time());
  array_ = form.array;
  data::ImageShape shape = form.shape;
  if (form.is_series() && !along_time()) shape = {shape.channels, shape.width, 1};
  build(shape, draw);
}

at::Tensor ImageTrunk::features(const data::Batch& batch, Rng* random) const {
  const data::Array* array = data::find_array(batch, array_);
  const bool is_series = array_ != "image";
  const std::size_t bands = along_time() ? shape_.channels : shape_.height;
  const auto fits = [&] {
    const auto& found = array->shape;
    if (is_series) {
      return found.size() == 3 && found[0] > 0 && found[1] == bands && found[2] == shape_.width;
    }
    return found.size() == 4 && found[0] > 0 && found[1] == shape_.channels &&
           found[2] == shape_.height && found[3] == shape_.width;
  };
  if (array == nullptr || !fits()) {
    DETENTE_CHECK(!is_series,
                  ErrorCode::kShape,
                  "[nn::ImageTrunk] a batch needs at least one '{}' of {} {} and {} frames.",
                  array_,
                  bands,
                  array_ == "audio" ? "bands" : "channels",
                  shape_.width);
    fail(ErrorCode::kShape,
         "[nn::ImageTrunk] a batch needs at least one 'image' of {} channels and {} x {} pixels.",
         shape_.channels,
         shape_.height,
         shape_.width);
  }
  const at::Tensor images = tensor_of(*array)
                                .view({-1,
                                       static_cast<std::int64_t>(shape_.channels),
                                       static_cast<std::int64_t>(shape_.height),
                                       static_cast<std::int64_t>(shape_.width)})
                                .to(parameters_.trained().front().second.options());
  Dropout drop(random);
  const BatchStatistics statistics = statistics_.next(random);
  return forward(images, drop, statistics);
}

PortableInputs ImageTrunk::portable_inputs(const data::Source& fitted) const {
  const GridForm form = grid_form(fitted, kind(), along_time());
  const auto channels = static_cast<std::int64_t>(form.shape.channels);
  const auto height = static_cast<std::int64_t>(form.shape.height);
  const auto width = static_cast<std::int64_t>(form.shape.width);
  const Sizes sizes =
      form.is_series() ? Sizes{2, channels, width} : Sizes{2, channels, height, width};
  std::vector<std::string> axes(sizes.size());
  axes[0] = "batch";
  PortableInputs inputs;
  inputs.list.push_back({form.array, std::move(axes), form.meaning});
  inputs.examples.push_back(torch::zeros(sizes, torch::kFloat32));
  return inputs;
}

TensorList ImageTrunk::portable_views(const TensorList& inputs, const data::Source& fitted) const {
  const GridForm form = grid_form(fitted, kind(), along_time());
  const Sizes sizes = form.is_series() ? Sizes{1, -1, 1} : Sizes{1, -1, 1, 1};
  at::Tensor images = (inputs.at(0) - per_channel(form.means, sizes)) /
                      per_channel(form.deviations, sizes);
  if (form.is_series()) images = images.unsqueeze(along_time() ? 2 : 1);
  Dropout off(nullptr);
  return {forward(images, off, BatchStatistics::kRunning)};
}

}  // namespace detente::nn

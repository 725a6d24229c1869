// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/data/audio_source.h>
#include <detente/data/image_source.h>
#include <detente/nn/image_trunk.h>
#include <torch/types.h>

#include <vector>

namespace detente::nn {
namespace {

const data::AudioSource* audio_of(const data::Source& source) {
  return dynamic_cast<const data::AudioSource*>(&source);
}

const data::ImageSource& image_source(const data::Source& source,
                                      const char* kind,
                                      bool along_time) {
  const auto* images = dynamic_cast<const data::ImageSource*>(&source);
  DETENTE_CHECK(images != nullptr && !along_time,
                ErrorCode::kInvalidArgument,
                "[nn::ImageTrunk] model.kind {} takes {}; data.kind is {}. Use data.kind: {} or "
                "another model.",
                kind,
                along_time ? "recordings" : "images and recordings",
                source.kind(),
                along_time ? "audio" : "images");
  return *images;
}

// One number per channel, or per band of a recording, as it stands beside the inputs.
at::Tensor per_channel(const std::vector<double>& values, at::IntArrayRef sizes) {
  return torch::tensor(values, torch::kFloat64).to(torch::kFloat32).view(sizes);
}

}  // namespace

void ImageTrunk::prepare(data::Source& source) const {
  if (const auto* audio = audio_of(source)) {
    audio->check_options();
  } else {
    image_source(source, kind(), along_time()).check_options();
  }
}

void ImageTrunk::build(const data::Source& fitted, Draw& draw) {
  const auto* audio = audio_of(fitted);
  is_audio_ = audio != nullptr;
  if (!is_audio_) {
    build(image_source(fitted, kind(), along_time()).shape(), draw);
  } else if (along_time()) {
    build({1, audio->frames(), audio->bands()}, draw);
  } else {
    build({audio->bands(), audio->frames(), 1}, draw);
  }
}

at::Tensor ImageTrunk::features(const data::Batch& batch, Rng* random) const {
  const data::Array* array = data::find_array(batch, is_audio_ ? "audio" : "image");
  const std::size_t bands = along_time() ? shape_.channels : shape_.height;
  const auto fits = [&] {
    const auto& found = array->shape;
    if (is_audio_) {
      return found.size() == 3 && found[0] > 0 && found[1] == bands && found[2] == shape_.width;
    }
    return found.size() == 4 && found[0] > 0 && found[1] == shape_.channels &&
           found[2] == shape_.height && found[3] == shape_.width;
  };
  if (array == nullptr || !fits()) {
    DETENTE_CHECK(!is_audio_,
                  ErrorCode::kShape,
                  "[nn::ImageTrunk] a batch needs at least one 'audio' of {} bands and {} frames.",
                  bands,
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
  PortableInputs inputs;
  if (const auto* audio = audio_of(fitted)) {
    inputs.list.push_back({"audio",
                           {"batch", "", ""},
                           "Log-mel energies by band and frame, as the section data.mel of the "
                           "recipe has them"});
    inputs.examples.push_back(torch::zeros(
        {2, static_cast<std::int64_t>(audio->bands()), static_cast<std::int64_t>(audio->frames())},
        torch::kFloat32));
    return inputs;
  }
  const data::ImageShape shape = image_source(fitted, kind(), along_time()).shape();
  const Sizes sizes = {2,
                       static_cast<std::int64_t>(shape.channels),
                       static_cast<std::int64_t>(shape.height),
                       static_cast<std::int64_t>(shape.width)};
  inputs.list.push_back(
      {"image",
       {"batch", "", "", ""},
       shape.channels == 1 ? "Brightness from 0 to 255" : "Red, green and blue from 0 to 255"});
  inputs.examples.push_back(torch::zeros(sizes, torch::kFloat32));
  return inputs;
}

TensorList ImageTrunk::portable_views(const TensorList& inputs, const data::Source& fitted) const {
  at::Tensor images;
  if (const auto* audio = audio_of(fitted)) {
    const at::Tensor energies = (inputs.at(0) - per_channel(audio->means(), {1, -1, 1})) /
                                per_channel(audio->deviations(), {1, -1, 1});
    images = energies.unsqueeze(along_time() ? 2 : 1);
  } else {
    const data::ImageSource& source = image_source(fitted, kind(), along_time());
    images = (inputs.at(0) - per_channel(source.means(), {1, -1, 1, 1})) /
             per_channel(source.deviations(), {1, -1, 1, 1});
  }
  Dropout off(nullptr);
  return {forward(images, off, BatchStatistics::kRunning)};
}

}  // namespace detente::nn

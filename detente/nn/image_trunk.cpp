// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/data/image_source.h>
#include <detente/nn/image_trunk.h>
#include <torch/types.h>

namespace detente::nn {
namespace {

const data::ImageSource& image_source(const data::Source& source, const char* kind) {
  const auto* images = dynamic_cast<const data::ImageSource*>(&source);
  DETENTE_CHECK(
      images != nullptr,
      ErrorCode::kInvalidArgument,
      "[nn::ImageTrunk] model.kind {} takes images; data.kind is {}. Use data.kind: images "
      "or another model.",
      kind,
      source.kind());
  return *images;
}

}  // namespace

void ImageTrunk::prepare(data::Source& source) const {
  image_source(source, kind()).check_options();
}

void ImageTrunk::build(const data::Source& fitted, Draw& draw) {
  build(image_source(fitted, kind()).shape(), draw);
}

at::Tensor ImageTrunk::features(const data::Batch& batch, Rng* random) const {
  const data::Array* array = data::find_array(batch, "image");
  const auto fits = [&] {
    const auto& found = array->shape;
    return found.size() == 4 && found[0] > 0 && found[1] == shape_.channels &&
           found[2] == shape_.height && found[3] == shape_.width;
  };
  DETENTE_CHECK(array != nullptr && fits(),
                ErrorCode::kShape,
                "[nn::ImageTrunk] a batch needs at least one 'image' of {} channels and {} x {} "
                "pixels.",
                shape_.channels,
                shape_.height,
                shape_.width);
  const at::Tensor images = tensor_of(*array).to(parameters_.trained().front().second.options());
  Dropout drop(random);
  const BatchStatistics statistics = statistics_.next(random);
  return forward(images, drop, statistics);
}

PortableInputs ImageTrunk::portable_inputs(const data::Source& fitted) const {
  const data::ImageShape shape = image_source(fitted, kind()).shape();
  const Sizes sizes = {2,
                       static_cast<std::int64_t>(shape.channels),
                       static_cast<std::int64_t>(shape.height),
                       static_cast<std::int64_t>(shape.width)};
  PortableInputs inputs;
  inputs.list.push_back(
      {"image",
       {"batch", "", "", ""},
       shape.channels == 1 ? "Brightness from 0 to 255" : "Red, green and blue from 0 to 255"});
  inputs.examples.push_back(torch::zeros(sizes, torch::kFloat32));
  return inputs;
}

TensorList ImageTrunk::portable_views(const TensorList& inputs, const data::Source& fitted) const {
  const data::ImageSource& source = image_source(fitted, kind());
  const auto channels = [](const std::vector<double>& values) {
    return torch::tensor(values, torch::kFloat64).to(torch::kFloat32).view({1, -1, 1, 1});
  };
  const at::Tensor images =
      (inputs.at(0) - channels(source.means())) / channels(source.deviations());
  Dropout off(nullptr);
  return {forward(images, off, BatchStatistics::kRunning)};
}

}  // namespace detente::nn

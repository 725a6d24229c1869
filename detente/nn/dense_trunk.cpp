// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/data/dense_source.h>
#include <detente/nn/dense_trunk.h>
#include <torch/types.h>

namespace detente::nn {
namespace {

const data::DenseSource& dense_source(const data::Source& source, const char* kind) {
  const auto* dense = dynamic_cast<const data::DenseSource*>(&source);
  DETENTE_CHECK(dense != nullptr,
                ErrorCode::kInvalidArgument,
                "[nn::DenseTrunk] model.kind {} takes images with maps; data.kind is {}. Use "
                "data.kind: dense or another model.",
                kind,
                source.kind());
  return *dense;
}

}  // namespace

void DenseTrunk::prepare(data::Source& source) const { dense_source(source, kind()); }

void DenseTrunk::build(const data::Source& fitted, Draw& draw) {
  build(dense_source(fitted, kind()).shape(), draw);
}

void DenseTrunk::build(const data::DenseShape& shape, Draw& draw) {
  validate();
  const auto least = static_cast<std::size_t>(smallest_side());
  DETENTE_CHECK(shape.height >= least && shape.width >= least,
                ErrorCode::kInvalidArgument,
                "[nn::DenseTrunk] model.kind {} halves the image until nothing is left of {} x {} "
                "pixels; expected sides of at least {}.",
                kind(),
                shape.height,
                shape.width,
                least);
  shape_ = shape;
  parameters_ = Parameters();
  own_.clear();
  add_layers(draw);
}

TensorList DenseTrunk::task_features(const data::Batch& batch, Rng* random) const {
  const data::Array* array = data::find_array(batch, "image");
  const auto fits = [&] {
    const auto& found = array->shape;
    return found.size() == 4 && found[0] > 0 && found[1] == shape_.channels &&
           found[2] == shape_.height && found[3] == shape_.width;
  };
  DETENTE_CHECK(array != nullptr && fits(),
                ErrorCode::kShape,
                "[nn::DenseTrunk] a batch needs at least one 'image' of {} channels and {} x {} "
                "pixels.",
                shape_.channels,
                shape_.height,
                shape_.width);
  const at::Tensor images = tensor_of(*array).to(parameters_.trained().front().second.options());
  return forward(images, statistics_.next(random));
}

PortableInputs DenseTrunk::portable_inputs(const data::Source& fitted) const {
  const data::DenseShape& shape = dense_source(fitted, kind()).shape();
  PortableInputs inputs;
  inputs.list.push_back({"image",
                         {"batch", "", "", ""},
                         "Images by channel, row and column, in the numbers that the data has"});
  // No two numbers of a pool are equal: the first largest is the largest.
  const auto count = static_cast<std::int64_t>(2 * shape.channels * shape.pixels());
  inputs.examples.push_back(((torch::arange(count, torch::kFloat32) * 37) % 251 / 251)
                                .view({2,
                                       static_cast<std::int64_t>(shape.channels),
                                       static_cast<std::int64_t>(shape.height),
                                       static_cast<std::int64_t>(shape.width)}));
  return inputs;
}

TensorList DenseTrunk::portable_views(const TensorList& inputs, const data::Source& fitted) const {
  const data::DenseSource& source = dense_source(fitted, kind());
  const auto by_channel = [](const std::vector<double>& values) {
    return torch::tensor(values, torch::kFloat64).to(torch::kFloat32).view({1, -1, 1, 1});
  };
  const at::Tensor images =
      (inputs.at(0) - by_channel(source.means())) / by_channel(source.deviations());
  return forward(images, BatchStatistics::kRunning);
}

at::Tensor DenseTrunk::features(const data::Batch& batch, Rng* random) const {
  return task_features(batch, random).front();
}

}  // namespace detente::nn

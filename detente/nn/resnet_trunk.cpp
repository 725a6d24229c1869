// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/nn/resnet_trunk.h>
#include <torch/types.h>

namespace detente::nn {
namespace {

constexpr const char* kResNetTrunk = "nn::ResNetTrunk";

}  // namespace

void ResNetTrunk::describe(FieldVisitor& model) {
  std::string depth = std::to_string(options_.depth);
  model.choice_text("depth", depth, {"18", "34", "50"}, "Layers, in the count of the paper.");
  options_.depth = std::stoll(depth);
  model.flag("small",
             options_.small,
             "For images of about 32 pixels: begin with a 3x3 convolution without stride in place "
             "of a 7x7 one and a pool, which leave a quarter of each side.");
  model.choice("norm",
               options_.norm,
               {{"group", ImageNorm::kGroup}, {"batch", ImageNorm::kBatch}},
               "group: each example by itself, so that tasks and parts of a batch do not depend on "
               "each other; batch: over the batch as published, with running statistics for "
               "predictions.");
  model.number("dropout",
               dropout_,
               {.min = 0, .max = 1, .max_open = true},
               "Share of features dropped in training.");
}

void ResNetTrunk::prepare(data::Source& source) const {
  image_source(source, kResNetTrunk).check_options();
}

void ResNetTrunk::build(const data::Source& fitted, Draw& draw) {
  build(image_source(fitted, kResNetTrunk).shape(), draw);
}

void ResNetTrunk::build(const data::ImageShape& shape, Draw& draw) {
  shape_ = shape;
  options_.channels = static_cast<std::int64_t>(shape.channels);
  parameters_ = Parameters();
  add_resnet(parameters_, draw, options_);
}

at::Tensor ResNetTrunk::features(const data::Batch& batch, Rng* random) const {
  const at::Tensor images =
      image_tensor(batch, shape_, parameters_("conv1.weight").options(), kResNetTrunk);
  Dropout drop(random);
  const BatchStatistics statistics = statistics_.next(random);
  return forward(images, drop, statistics);
}

at::Tensor ResNetTrunk::forward(const at::Tensor& images,
                                Dropout& drop,
                                BatchStatistics statistics) const {
  return drop(resnet(parameters_, images, options_, statistics), dropout_);
}

PortableInputs ResNetTrunk::portable_inputs(const data::Source& fitted) const {
  return portable_image(image_source(fitted, kResNetTrunk));
}

TensorList ResNetTrunk::portable_views(const TensorList& inputs, const data::Source& fitted) const {
  const at::Tensor image = standardised_image(inputs.at(0), image_source(fitted, kResNetTrunk));
  Dropout off(nullptr);
  return {forward(image, off, BatchStatistics::kRunning)};
}

}  // namespace detente::nn

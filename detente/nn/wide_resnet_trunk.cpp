// SPDX-License-Identifier: Apache-2.0
#include <detente/nn/wide_resnet_trunk.h>
#include <torch/types.h>

namespace detente::nn {

void WideResNetTrunk::describe(FieldVisitor& model) {
  model.integer("depth",
                options_.depth,
                {.min = 10, .max = 1e4},
                "Layers, in the count of the paper: 4 more than a multiple of 6.");
  model.integer("widen",
                options_.widen,
                {.min = 1, .max = 64},
                "Channels are 16, 32 and 64 times this (28 and 2: WRN-28-2).");
  model.number("leak",
               options_.leak,
               {.min = 0, .max = 1},
               "Slope of the leaky ReLU below 0; 0: a plain one, as in the first paper.");
  describe_image_norm(model, options_.norm);
  model.number("dropout",
               dropout_,
               {.min = 0, .max = 1, .max_open = true},
               "Share of features dropped in training.");
}

void WideResNetTrunk::build(const data::ImageShape& shape, Draw& draw) {
  shape_ = shape;
  options_.channels = static_cast<std::int64_t>(shape.channels);
  parameters_ = Parameters();
  add_wide_resnet(parameters_, draw, options_);
}

at::Tensor WideResNetTrunk::forward(at::Tensor x, Dropout& drop, BatchStatistics statistics) const {
  return drop(wide_resnet(parameters_, x, options_, statistics), dropout_);
}

}  // namespace detente::nn

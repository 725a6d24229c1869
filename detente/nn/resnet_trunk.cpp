// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/nn/resnet_trunk.h>
#include <torch/types.h>

namespace detente::nn {
void ResNetTrunk::describe(FieldVisitor& model) {
  std::string depth = std::to_string(options_.depth);
  model.choice_text("depth", depth, {"18", "34", "50"}, "Layers, in the count of the paper.");
  options_.depth = std::stoll(depth);
  model.flag("small",
             options_.small,
             "For images of about 32 pixels: begin with a 3x3 convolution without stride in place "
             "of a 7x7 one and a pool, which leave a quarter of each side.");
  describe_image_norm(model, options_.norm);
  model.number("dropout",
               dropout_,
               {.min = 0, .max = 1, .max_open = true},
               "Share of features dropped in training.");
}

void ResNetTrunk::build(const data::ImageShape& shape, Draw& draw) {
  shape_ = shape;
  options_.channels = static_cast<std::int64_t>(shape.channels);
  parameters_ = Parameters();
  add_resnet(parameters_, draw, options_);
}

at::Tensor ResNetTrunk::forward(at::Tensor x, Dropout& drop, BatchStatistics statistics) const {
  return drop(resnet(parameters_, x, options_, statistics), dropout_);
}

}  // namespace detente::nn

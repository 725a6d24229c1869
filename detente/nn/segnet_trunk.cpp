// SPDX-License-Identifier: Apache-2.0
#include <detente/nn/segnet_trunk.h>
#include <torch/types.h>

namespace detente::nn {

void SegNetTrunk::describe(FieldVisitor& model) {
  model.integer("width",
                options_.width,
                {.min = 1, .max = 4096},
                "Channels at full resolution; deeper stages have up to eight times as many "
                "(published: 64).");
  model.choice(
      "norm",
      options_.norm,
      {{"batch", ImageNorm::kBatch}, {"group", ImageNorm::kGroup}},
      "batch: over the batch, as published, with running statistics for predictions; group: "
      "each example by itself.");
}

SegNetOptions SegNetTrunk::segnet_options() const {
  SegNetOptions options = options_;
  options.channels = static_cast<std::int64_t>(shape_.channels);
  return options;
}

void SegNetTrunk::add_layers(Draw& draw) { add_segnet(parameters_, draw, segnet_options()); }

TensorList SegNetTrunk::forward(const at::Tensor& images, BatchStatistics statistics) const {
  return {segnet(parameters_, images, segnet_options(), statistics).decoder_last[0]};
}

}  // namespace detente::nn

// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/nn/conv_blocks.h>
#include <detente/nn/options.h>

#include <algorithm>

namespace detente::nn {

void ConvBlocks::describe(FieldVisitor& model,
                          const char* block,
                          const char* side,
                          double largest) {
  model.numbers("channels", channels, {.min = 1, .max = 65536}, block);
  model.integer("kernel", kernel, {.min = 1, .max = largest}, side);
  model.integer("hidden", hidden, {.min = 1, .max = 1e6}, "Width of the layer over the blocks.");
  model.choice("norm",
               norm,
               {{"group", ImageNorm::kGroup}, {"batch", ImageNorm::kBatch}},
               "group: each example by itself, so that tasks and parts of a batch do not depend on "
               "each other; batch: over the batch, with running statistics for predictions.");
  model.number("dropout",
               dropout,
               {.min = 0, .max = 1, .max_open = true},
               "Share of features dropped in training.");
}

void ConvBlocks::validate(const char* where) const {
  check_sizes(where, "channels", channels, "block");
  DETENTE_CHECK(kernel % 2 == 1,
                ErrorCode::kInvalidArgument,
                "[{}] 'kernel' is {}; expected an odd number.",
                where,
                kernel);
}

std::string ConvBlocks::name(std::size_t block, const char* layer) {
  return "blocks." + std::to_string(block) + "." + layer;
}

// A channel normalised by itself no longer says how bright an image is; four together do better.
std::int64_t ConvBlocks::groups(std::int64_t channels) {
  return std::clamp<std::int64_t>(channels / 4, 1, 8);
}

}  // namespace detente::nn

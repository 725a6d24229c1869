// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/nn/map_head.h>
#include <detente/nn/segnet.h>
#include <torch/types.h>

namespace detente::nn {
namespace {

constexpr std::int64_t kSpaceSides = 3;
constexpr double kSmallestSquare = 1e-12;  // as of the loss cosine

}  // namespace

std::int64_t map_outputs(TaskKind kind, std::int64_t classes) {
  switch (kind) {
    case TaskKind::kSegmentation:
      return classes;
    case TaskKind::kDepth:
      return 1;
    case TaskKind::kNormals:
      return kSpaceSides;
    default:
      fail(ErrorCode::kInternal, "[nn::map_outputs] {} tasks have no maps.", name_of(kind));
  }
}

void add_map_head(Parameters& parameters,
                  Draw& draw,
                  const std::string& name,
                  std::int64_t features,
                  std::int64_t outputs) {
  add_biased_convolution(parameters, draw, name + ".conv", features, features, 3);
  add_biased_convolution(parameters, draw, name + ".out", features, outputs, 1);
}

at::Tensor map_head(const Parameters& parameters,
                    const at::Tensor& features,
                    const std::string& name) {
  DETENTE_CHECK(
      features.dim() == 4,
      ErrorCode::kShape,
      "[nn::map_head] '{}' answers for each pixel and needs maps of features [B, F, H, W]; "
      "got {} dimensions.",
      name,
      features.dim());
  return biased_convolution(
      parameters, biased_convolution(parameters, features, name + ".conv"), name + ".out");
}

at::Tensor map_answer(TaskKind kind, const at::Tensor& prediction) {
  switch (kind) {
    case TaskKind::kSegmentation:
      return torch::softmax(prediction, 1);
    case TaskKind::kNormals:
      return prediction * (prediction.square().sum(1, /*keepdim=*/true) + kSmallestSquare).rsqrt();
    default:
      return prediction;
  }
}

}  // namespace detente::nn

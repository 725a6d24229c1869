// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <detente/core/error.h>
#include <detente/distill/dino_head.h>
#include <detente/distill/internal/checks.h>

#include <cmath>
#include <string>

namespace detente::distill {
namespace {

constexpr double kDeviation = 0.02;
constexpr double kSmallestLength = 1e-12;
constexpr std::string_view kLastLayer = "last_layer.";

std::string mlp_name(std::int64_t layer) { return "mlp." + std::to_string(layer); }

}  // namespace

void DinoHeadOptions::describe(FieldVisitor& visitor) {
  visitor.integer(
      "layers", layers, {.min = 1, .max = 100}, "Linear layers before the normalisation.");
  visitor.integer("hidden", hidden, {.min = 1, .max = 1e5}, "Width between them.");
  visitor.integer("bottleneck", bottleneck, {.min = 1, .max = 1e5}, "Width of what is normalised.");
  visitor.integer("out",
                  out,
                  {.min = 2, .max = 1e6},
                  "Prototypes: the logits of an example; 65,536 as published.");
  visitor.flag("norm_last_layer",
               norm_last_layer,
               "Whether the rows of the last layer keep the length 1, so that logits are cosines: "
               "steadier; without it sometimes better.");
}

at::Tensor dino_head(const at::Tensor& features,
                     const TensorList& mlp,
                     const at::Tensor& direction,
                     const at::Tensor& gain) {
  DETENTE_CHECK(mlp.size() >= 2 && mlp.size() % 2 == 0 && mlp[0].dim() == 2 &&
                    features.dim() == 2 && features.size(1) == mlp[0].size(1),
                ErrorCode::kShape,
                "[distill::DinoHead] the features have shape {}; expected [n, {}].",
                internal::shape_text(features),
                mlp.empty() || mlp[0].dim() != 2 ? "in" : std::to_string(mlp[0].size(1)));
  at::Tensor x = features;
  for (std::size_t i = 0; i < mlp.size(); i += 2) {
    if (i > 0) x = at::gelu(x);
    x = at::linear(x, mlp[i], mlp[i + 1]);
  }
  x = x / x.norm(2, {1}, /*keepdim=*/true).clamp_min(kSmallestLength);
  return at::linear(x, direction * (gain / direction.norm(2, {1}, /*keepdim=*/true)));
}

DinoHead::DinoHead(const DinoHeadOptions& options, std::int64_t in, nn::Draw& draw)
    : layers_(options.layers) {
  DinoHeadOptions checked = options;
  validate_fields([&](FieldVisitor& visitor) { checked.describe(visitor); }, "[distill::DinoHead]");
  DETENTE_CHECK(in >= 1,
                ErrorCode::kInvalidArgument,
                "[distill::DinoHead] the features' width must be >= 1, got {}.",
                in);
  std::int64_t width = in;
  for (std::int64_t i = 0; i < layers_; ++i) {
    const std::int64_t next = i + 1 == layers_ ? options.bottleneck : options.hidden;
    // The published initialisation truncates at a hundred deviations, which is to say not at all.
    parameters_.add(mlp_name(i) + ".weight", draw.normal({next, width}, kDeviation));
    parameters_.add(mlp_name(i) + ".bias", at::zeros({next}, at::kFloat));
    width = next;
  }
  const double bound = 1.0 / std::sqrt(static_cast<double>(width));
  parameters_.add("last_layer.weight_v", draw.uniform({options.out, width}, bound));
  const at::Tensor gain = at::ones({options.out, 1}, at::kFloat);
  if (options.norm_last_layer) {
    parameters_.add_fixed("last_layer.weight_g", gain);
  } else {
    parameters_.add("last_layer.weight_g", gain);
  }
}

at::Tensor DinoHead::operator()(const at::Tensor& features) const {
  TensorList mlp;
  for (std::int64_t i = 0; i < layers_; ++i) {
    mlp.push_back(parameters_(mlp_name(i) + ".weight"));
    mlp.push_back(parameters_(mlp_name(i) + ".bias"));
  }
  return dino_head(
      features, mlp, parameters_("last_layer.weight_v"), parameters_("last_layer.weight_g"));
}

bool DinoHead::is_last_layer(std::string_view name) {
  const std::size_t at = name.rfind(kLastLayer);
  return at != std::string_view::npos && (at == 0 || name[at - 1] == '.');
}

}  // namespace detente::distill

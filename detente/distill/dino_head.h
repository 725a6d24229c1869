// SPDX-License-Identifier: Apache-2.0
// DINO's projection head (Caron et al., ICCV 2021, arXiv 2104.14294, appendix C): from a backbone's
// features to logits over K prototypes that mean nothing yet.
//
//   h = MLP(x)                    `layers` linear: in → hidden → ... → bottleneck, GELU between
//   u = h / max(|h|, 1e-12)
//   y_k = g_k u · v_k / |v_k|     no bias; g = 1, fixed with norm_last_layer
//
// With g = 1 the logits are cosines, in [−1, 1]: what keeps large batches from running away.
// Weights of the MLP start as N(0, 0.02²), its biases as 0, v uniformly within 1/√bottleneck.
#pragma once

#include <detente/core/fields.h>
#include <detente/nn/parameters.h>
#include <detente/tensor/fwd.h>

#include <cstdint>
#include <string_view>

namespace detente::distill {

struct DinoHeadOptions {
  std::int64_t layers = 3;        // >= 1
  std::int64_t hidden = 2048;     // >= 1; without meaning for one layer
  std::int64_t bottleneck = 256;  // >= 1
  std::int64_t out = 65536;       // K >= 2
  bool norm_last_layer = true;

  void describe(FieldVisitor& visitor);
};

// The head as a function of parameters that lie elsewhere: `mlp` the weight and the bias of each
// linear layer in turn, v = `direction` [K, bottleneck], g = `gain` [K, 1]. features [n, in] →
// [n, K]; kShape for anything else.
at::Tensor dino_head(const at::Tensor& features,
                     const TensorList& mlp,
                     const at::Tensor& direction,
                     const at::Tensor& gain);

// A copy has tensors of its own: the teacher begins as one of the student's.
class DinoHead {
 public:
  // Parameters "mlp.<i>.weight", "mlp.<i>.bias", "last_layer.weight_v" [K, bottleneck] and
  // "last_layer.weight_g" [K, 1], which is fixed with norm_last_layer. Throws kInvalidArgument for
  // options that are not legal and in < 1.
  DinoHead(const DinoHeadOptions& options, std::int64_t in, nn::Draw& draw);

  // [n, in] → [n, K]; kShape for anything else.
  at::Tensor operator()(const at::Tensor& features) const;

  const nn::Parameters& parameters() const { return parameters_; }
  nn::Parameters& parameters() { return parameters_; }

  // Whether a parameter, whatever stands before its name, is of the last layer: the one whose
  // gradients are dropped in the first epoch (dropped, not set to zero: zeros would still decay
  // it).
  static bool is_last_layer(std::string_view name);

 private:
  std::int64_t layers_;
  nn::Parameters parameters_;
};

}  // namespace detente::distill

// SPDX-License-Identifier: Apache-2.0
// What the functions of this folder ask of their tensors.
#pragma once

#include <detente/tensor/fwd.h>

#include <cstdint>
#include <span>
#include <string>

namespace detente::distill::internal {

// "[8, 64]".
std::string shape_text(const at::Tensor& tensor);

// At least float32: half precision has no room for sums of probabilities.
at::Tensor widened(const at::Tensor& tensor);

// kInvalidArgument unless both are logits [n, C] of one shape with n >= 1, C >= 2. `where` opens
// the message.
void check_logits(const char* where, const at::Tensor& a, const at::Tensor& b);
// kInvalidArgument unless > 0 and finite.
void check_temperature(const char* where, double temperature);

// KL(p ‖ q) of each row from logarithms of probabilities [n, C]; [n].
at::Tensor divergences(const at::Tensor& log_p, const at::Tensor& log_q);

// Features [n, d], n >= 1, finite, with a label per row, and as wide as `width` where that is not
// 0: kInvalidArgument, for infinities and NaN kNumeric. `what` is "training" or "test".
void check_features(const char* where,
                    const char* what,
                    const at::Tensor& features,
                    std::int64_t width);
void check_labels(const char* where,
                  const char* what,
                  const at::Tensor& features,
                  std::span<const std::int64_t> labels);

}  // namespace detente::distill::internal

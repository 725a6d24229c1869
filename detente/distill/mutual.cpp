// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <detente/core/error.h>
#include <detente/distill/internal/checks.h>
#include <detente/distill/mutual.h>

namespace detente::distill {

at::Tensor mutual_term(const at::Tensor& own_logits, const std::vector<at::Tensor>& peers_logits) {
  DETENTE_CHECK(!peers_logits.empty(),
                ErrorCode::kInvalidArgument,
                "[distill::mutual_term] there are no peers; expected one or more. A network alone "
                "has nobody to learn from.");
  for (const at::Tensor& peer : peers_logits) {
    internal::check_logits("mutual_term", own_logits, peer);
  }
  const at::Tensor own = at::log_softmax(internal::widened(own_logits), 1);
  at::Tensor sum;
  for (const at::Tensor& peer : peers_logits) {
    const at::Tensor aim = at::log_softmax(peer.detach().to(own.device(), own.scalar_type()), 1);
    const at::Tensor one = internal::divergences(aim, own).mean();
    sum = sum.defined() ? sum + one : one;
  }
  return sum / static_cast<double>(peers_logits.size());
}

}  // namespace detente::distill

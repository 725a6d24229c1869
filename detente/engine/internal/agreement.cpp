// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <detente/core/error.h>
#include <detente/engine/internal/agreement.h>

#include <cmath>
#include <limits>

namespace detente::engine::internal {

Agreement agree(tensor::Group& group,
                const std::vector<double>& losses,
                const std::vector<double>& shares,
                int way,
                bool remembers) {
  const std::size_t k = losses.size();
  // Presence, shares and losses of the tasks, then the way and its square, and what is remembered.
  std::vector<double> sums(3 * k + 3, 0.0);
  std::vector<bool> here(k);
  for (std::size_t i = 0; i < k; ++i) {
    here[i] = shares[i] > 0;
    if (!here[i]) continue;
    sums[i] = 1.0;
    sums[k + i] = shares[i];
    sums[2 * k + i] = shares[i] * losses[i];
  }
  sums[3 * k] = way;
  sums[3 * k + 1] = static_cast<double>(way) * way;
  sums[3 * k + 2] = remembers ? 1.0 : 0.0;
  group.sum(sums);
  const auto size = static_cast<double>(group.size());
  DETENTE_CHECK(sums[3 * k] * sums[3 * k] == size * sums[3 * k + 1],
                ErrorCode::kInvalidArgument,
                "[engine::MultiTaskBackward] the {} processes of the run are about to do different "
                "things. Give all of them the same method, options, groups and kinds of input, and "
                "snapshots of one step.",
                group.size());
  Agreement result;
  result.all_remember = sums[3 * k + 2] == size;
  result.losses.assign(k, std::numeric_limits<double>::quiet_NaN());
  result.parts.assign(k, 0.0);
  for (std::size_t i = 0; i < k; ++i) {
    if (sums[i] == 0) continue;
    result.present.push_back(i);
    // One process's loss is its own, to the bit.
    const bool alone = group.size() == 1;
    result.losses[i] = alone ? losses[i] : sums[2 * k + i] / sums[k + i];
    if (here[i]) result.parts[i] = alone ? 1.0 : shares[i] / sums[k + i];
  }
  return result;
}

void sum_gradients(tensor::Group& group, TensorList& gradients, const TensorList& parameters) {
  if (group.size() == 1) return;
  const at::NoGradGuard no_grad;
  std::vector<double> defined;
  for (const auto& gradient : gradients) defined.push_back(gradient.defined() ? 1.0 : 0.0);
  group.sum(defined);
  TensorList there;
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    if (defined[i] == 0) continue;
    if (!gradients[i].defined()) gradients[i] = at::zeros_like(parameters[i]).detach();
    there.push_back(gradients[i]);
  }
  tensor::sum_all(group, there);
}

at::Tensor no_loss(const at::Tensor& like) {
  const at::AutoGradMode with_graph(true);
  const at::Tensor zero = at::zeros({}, like.options()).detach().requires_grad_(true);
  return zero * 1.0;
}

}  // namespace detente::engine::internal

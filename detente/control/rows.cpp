// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <detente/control/rows.h>

namespace detente::control {

at::Tensor rows_of(std::span<const float> numbers, std::size_t width) {
  const auto columns = static_cast<std::int64_t>(width);
  // at::from_blob takes what it may write to; nobody does.
  return at::from_blob(const_cast<float*>(numbers.data()),
                       {std::ssize(numbers) / columns, columns},
                       at::TensorOptions(at::kFloat));
}

std::span<const float> numbers_of(const at::Tensor& tensor) {
  return {tensor.const_data_ptr<float>(), static_cast<std::size_t>(tensor.numel())};
}

Transitions transitions_of(const worlds::ReplayBatch& batch,
                           const worlds::Spec& spec,
                           tensor::Device device) {
  const auto place = tensor::tensor_options(device, tensor::DType::kFloat32).device();
  const auto rows = [&](const std::vector<float>& numbers, std::size_t width) {
    return rows_of(numbers, width).to(place);
  };
  Transitions made{.observations = rows(batch.observations, spec.observation),
                   .actions = rows(batch.actions, spec.action),
                   .rewards = rows(batch.rewards, 1).squeeze(1),
                   .next_observations = rows(batch.next, spec.observation),
                   .continues = rows(batch.not_done, 1).squeeze(1)};
  for (std::size_t k = 0; k + 1 < batch.begin.size(); ++k) {
    made.counts.push_back(static_cast<std::int64_t>(batch.begin[k + 1] - batch.begin[k]));
  }
  return made;
}

}  // namespace detente::control

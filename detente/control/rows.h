// SPDX-License-Identifier: Apache-2.0
// Plain numbers as an agent's tensors and back.
#pragma once

#include <ATen/core/Tensor.h>
#include <detente/control/agent.h>
#include <detente/tensor/device.h>
#include <detente/worlds/replay.h>

#include <cstddef>
#include <span>

namespace detente::control {

// [N, width] over the numbers themselves, which must outlive it.
at::Tensor rows_of(std::span<const float> numbers, std::size_t width);
// Of a contiguous float32 tensor on the host; as long as it lives.
std::span<const float> numbers_of(const at::Tensor& tensor);

// Over the batch's own numbers on the CPU, copies on other devices.
Transitions transitions_of(const worlds::ReplayBatch& batch,
                           const worlds::Spec& spec,
                           tensor::Device device);

}  // namespace detente::control

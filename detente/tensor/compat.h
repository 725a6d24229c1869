// SPDX-License-Identifier: Apache-2.0
// Everything that differs between LibTorch 1.13 and 2.13, behind one face.
#pragma once

#include <detente/tensor/fwd.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string>

namespace detente::tensor {

// "2.13.0", the version of the LibTorch compiled against.
std::string engine_version();

// Runs `body`; an error of LibTorch becomes a detente::Error (kInternal; kUnsupported when the
// device is out of memory) with `where` in front and only the first line of its text, which
// otherwise carries a C++ stack trace. Detente's own errors pass unchanged.
void translate_errors(const char* where, const std::function<void()>& body);

// Drops every .grad. (zero_grad(set_to_none) takes no argument in 1.13 and keeps zeros there, with
// which an optimiser would still move parameters of absent tasks.)
void clear_gradients(const TensorList& parameters);

// The learning rate of one parameter group.
void set_learning_rate(torch::optim::Optimizer& optimizer, std::size_t group, double rate);

// The moments and step counts of an AdamW optimiser as named tensors ("<name>.exp_avg",
// "<name>.exp_avg_sq", "<name>.step"), for snapshots. `names` go with the parameters in the order
// of the optimiser's groups; parameters it never stepped are left out.
NamedTensors adamw_state(const torch::optim::AdamW& optimizer, std::span<const std::string> names);
// The reverse; kData when a tensor has another shape or is unknown.
void load_adamw_state(torch::optim::AdamW& optimizer,
                      std::span<const std::string> names,
                      const NamedTensors& state);

}  // namespace detente::tensor

// SPDX-License-Identifier: Apache-2.0
// What a snapshot is put together from.
#pragma once

#include <detente/tensor/fwd.h>

#include <functional>
#include <string>

namespace detente::train {

// When the tensors of a part change while steps go on.
enum class StateChanges {
  kAnyTime,
  kInUpdate,            // when the optimiser moves the parameters, and only then
  kParametersInUpdate,  // those that require gradients; the others at any time (running means)
};

// One part of a run that has tensors to keep.
struct StatePart {
  std::string prefix;  // of its names among all, with a dot at the end: "optimizer."
  std::function<NamedTensors()> save;
  // Gets back what save() gave, nothing where the snapshot has nothing of it; kData when that does
  // not fit.
  std::function<void(const NamedTensors&)> load;
  // A snapshot may copy what changes in the update alone while the next gradients are computed.
  StateChanges changes = StateChanges::kAnyTime;
};

}  // namespace detente::train

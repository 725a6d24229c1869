// SPDX-License-Identifier: Apache-2.0
// What a snapshot is put together from.
#pragma once

#include <detente/tensor/fwd.h>

#include <functional>
#include <string>

namespace detente::train {

// One part of a run that has tensors to keep.
struct StatePart {
  std::string prefix;  // of its names among all, with a dot at the end: "optimizer."
  std::function<NamedTensors()> save;
  // Gets back what save() gave, nothing where the snapshot has nothing of it; kData when that does
  // not fit.
  std::function<void(const NamedTensors&)> load;
};

}  // namespace detente::train

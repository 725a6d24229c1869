// SPDX-License-Identifier: Apache-2.0
// The balancing methods of one run and their state as a snapshot keeps it.
#pragma once

#include <detente/balance/method.h>
#include <detente/core/json.h>
#include <detente/tensor/fwd.h>

#include <cstddef>
#include <memory>
#include <vector>

namespace detente::train {

// The methods of one run: a single one for the whole model, or one per group.
using MethodList = std::vector<std::shared_ptr<balance::Method>>;

// n new methods with the options of this one and no state.
MethodList methods_like(balance::Method& method, std::size_t n);

// The state of all; that of a single method is the method's own. Throws kData.
Json methods_state(const MethodList& methods);
void load_methods_state(const MethodList& methods, const Json& state);

// The same for the large arrays; the names of several methods' start with "0.", "1.", ...
std::vector<balance::StateArray> methods_arrays(const MethodList& methods);
void load_methods_arrays(const MethodList& methods, std::vector<balance::StateArray> arrays);
NamedTensors methods_tensors(const MethodList& methods);
void load_methods_tensors(const MethodList& methods, const NamedTensors& tensors);

}  // namespace detente::train

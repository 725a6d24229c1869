// SPDX-License-Identifier: Apache-2.0
// Self-distillation as Python sees it: the functions of detente/distill under their names, with None for what
// is undefined. Gradients flow through LibTorch's own operations, so whatever is given here with a graph comes
// back with one.
#pragma once

#include <pybind11/pybind11.h>

namespace detente::python {

void bind_distill(pybind11::module_& m);

}  // namespace detente::python

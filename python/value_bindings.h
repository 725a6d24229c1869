// SPDX-License-Identifier: Apache-2.0
// Data valuation as Python sees it: the functions of detente/valuation on NumPy's arrays, float32
// features [rows, width] and float64 labels [tasks, rows], both C-contiguous. What callers may hand
// over instead, and classes as ids, is in python/detente/value.py.
//
// The interpreter's lock is released while numbers are computed and taken for functions of the
// caller's, whose exceptions go through. Ctrl-C is heard at least where Progress is told.
#pragma once

#include <pybind11/pybind11.h>

namespace detente::python {

void bind_value(pybind11::module_& m);

}  // namespace detente::python

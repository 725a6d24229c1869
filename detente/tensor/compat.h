// SPDX-License-Identifier: Apache-2.0
// Everything that differs between LibTorch 1.13 and 2.13, behind one face.
#pragma once

#include <detente/tensor/fwd.h>

#include <functional>
#include <string>

namespace detente::tensor {

// "2.13.0", the version of the LibTorch compiled against.
std::string engine_version();

// Runs `body`; an error of LibTorch becomes a detente::Error (kInternal; kUnsupported when the
// device is out of memory) with `where` in front and only the first line of its text, which
// otherwise carries a C++ stack trace. Detente's own errors pass unchanged.
void translate_errors(const char* where, const std::function<void()>& body);

// Drops every .grad. (An optimiser's zero_grad takes no argument in 1.13 and leaves zeros, with
// which it would still move the parameters of absent tasks.)
void clear_gradients(const TensorList& parameters);

}  // namespace detente::tensor

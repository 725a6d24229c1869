// SPDX-License-Identifier: Apache-2.0
// What differs between the LibTorch versions Detente builds on (2.7 to 2.14), behind one face;
// graph_compat.h has what concerns autograd's nodes.
#pragma once

#include <detente/tensor/fwd.h>

#include <functional>
#include <string>
#include <string_view>

namespace detente::tensor {

// "2.13.0", the version of the LibTorch compiled against.
std::string engine_version();

// Of an error's text: what follows in LibTorch's is a C++ stack trace.
std::string first_line(std::string_view text);

// Runs `body`; an error of LibTorch becomes a detente::Error (kInternal; kUnsupported when the
// device is out of memory) with `where` in front and only the first line of its text, which
// otherwise carries a C++ stack trace. Detente's own errors pass unchanged.
void translate_errors(const char* where, const std::function<void()>& body);

// Drops every .grad. (Zeros instead would still move the parameters of absent tasks.)
void clear_gradients(const TensorList& parameters);

}  // namespace detente::tensor

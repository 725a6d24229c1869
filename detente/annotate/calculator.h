// SPDX-License-Identifier: Apache-2.0
// Arithmetic for a model: numbers, + - * / ^ %, brackets, unary signs. ^ binds strongest and to the right, -2^2 is -4.
#pragma once

#include <string>
#include <string_view>

namespace detente::annotate {

// The value as the shortest text that reads back as it. kInvalidArgument for what is no such expression, nests
// deeper than 64 or is longer than 1,000 bytes, and for a value that is no finite number.
std::string calculate(std::string_view expression);

}  // namespace detente::annotate

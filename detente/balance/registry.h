// SPDX-License-Identifier: Apache-2.0
// The table of all methods: the command line, recipes, benchmarks, tests and documentation read it.
#pragma once

#include <detente/balance/method_info.h>

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace detente::balance {

// In the order of docs/methods.
std::span<const MethodInfo> registry();

// Null when there is none of that name.
const MethodInfo* find_method(std::string_view name);
std::vector<std::string> method_names();

// A method with its default options; throws kInvalidArgument with the nearest name.
std::unique_ptr<Method> make_method(std::string_view name);

}  // namespace detente::balance

// SPDX-License-Identifier: Apache-2.0
// The command line as a library, so that tests can call it in-process.
#pragma once

#include <iosfwd>
#include <span>
#include <string>

namespace detente::cli {

// args without the program's name. Returns the exit code: 0 ok, 1 internal, 2 usage or recipe,
// 3 data or file, 4 numeric, 130 interrupted. Never throws.
int run(std::span<const std::string> args, std::ostream& out, std::ostream& err);

}  // namespace detente::cli

// SPDX-License-Identifier: Apache-2.0
// Another program, run to its end with this one's input, output and environment.
#pragma once

#include <string>
#include <vector>

namespace detente {

// `arguments`: the program, looked for in PATH, and what it gets; no shell reads them. Its exit code,
// or 128 and the signal that ended it. Throws kIo when it cannot be started.
int run_program(const std::vector<std::string>& arguments);

}  // namespace detente

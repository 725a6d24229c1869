// SPDX-License-Identifier: Apache-2.0
// The flags that train, eval, predict and recipe share.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace detente::cli {

// --set key=value, as often as wanted.
void add_set_flag(CLI::App& command, std::vector<std::string>& overrides);

}  // namespace detente::cli

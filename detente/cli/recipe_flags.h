// SPDX-License-Identifier: Apache-2.0
// The flags that train, eval, predict and recipe share.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace detente::cli {

// --set key=value, as often as wanted.
void add_set_flag(CLI::App& command, std::vector<std::string>& overrides);

// --accept-changed: a run, or its data, changed on purpose.
CLI::Option* add_accept_changed_flag(CLI::App& command, bool& accept_changed);

}  // namespace detente::cli

// SPDX-License-Identifier: Apache-2.0
// What two texts of one kind of recipe say differently.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace detente::config {

// One line for each scalar that is another in `now`, or that one of them lacks, by its dotted path in alphabetical
// order: "optimizer.lr: 0.001 -> 0.01", "(none)" for one that is not there. `ignored` says which paths do not count.
// Both are YAML; throws as parse_yaml.
std::vector<std::string> differences(const std::string& before,
                                     const std::string& now,
                                     const std::function<bool(const std::string&)>& ignored);

}  // namespace detente::config

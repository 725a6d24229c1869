// SPDX-License-Identifier: Apache-2.0
#include <detente/config/differences.h>
#include <detente/config/tree.h>

#include <map>
#include <utility>

namespace detente::config {

std::vector<std::string> differences(const std::string& before,
                                     const std::string& now,
                                     const std::function<bool(const std::string&)>& ignored) {
  std::map<std::string, std::pair<std::string, std::string>> values;
  for (const auto& [key, value] : flatten(parse_yaml(before, "snapshot"))) {
    values[key].first = value;
  }
  for (const auto& [key, value] : flatten(parse_yaml(now, "recipe"))) values[key].second = value;
  const auto shown = [](const std::string& value) { return value.empty() ? "(none)" : value; };
  std::vector<std::string> lines;
  for (const auto& [key, pair] : values) {
    if (pair.first == pair.second || ignored(key)) continue;
    lines.push_back(key + ": " + shown(pair.first) + " -> " + shown(pair.second));
  }
  return lines;
}

}  // namespace detente::config

// SPDX-License-Identifier: Apache-2.0
#include <detente/data/set_hint.h>
#include <fmt/format.h>

#include <system_error>

namespace detente::data {

std::string set_hint(const std::filesystem::path& path) {
  std::error_code ignored;
  for (std::filesystem::path set = path; set.has_relative_path(); set = set.parent_path()) {
    const auto readme = set / "README.md";
    if (!std::filesystem::exists(set.parent_path() / "sets.csv", ignored)) continue;
    if (!std::filesystem::exists(readme, ignored)) return {};
    return fmt::format(" '{}' says where these files come from; so does `detente data get {}`.",
                       readme.string(),
                       set.filename().string());
  }
  return {};
}

}  // namespace detente::data

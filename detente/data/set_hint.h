// SPDX-License-Identifier: Apache-2.0
// Where the files of a recipe come from, for the message that they are not there.
#pragma once

#include <filesystem>
#include <string>

namespace detente::data {

// For a path in a set of a data folder (one with a sets.csv beside the sets): a sentence, with a blank
// before it, that names the command and the page that say where the set comes from. Else empty.
std::string set_hint(const std::filesystem::path& path);

}  // namespace detente::data

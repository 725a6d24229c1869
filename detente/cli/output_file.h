// SPDX-License-Identifier: Apache-2.0
// Files that commands write where the user says.
#pragma once

#include <string>
#include <vector>

namespace detente::cli {

// What a command makes must not take the place of what it comes from: kInvalidArgument when `out` is
// one of the sources (by whatever path) or a file of a run itself. "-" is fine.
void demand_harmless(const char* command,
                     const std::string& out,
                     const std::vector<std::string>& sources);

// TSV has no quoting: tabs and line ends inside a cell (possible in CSV) become blanks.
std::string tsv_cell(std::string cell);

}  // namespace detente::cli

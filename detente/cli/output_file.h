// SPDX-License-Identifier: Apache-2.0
// Files that commands write where the user says.
#pragma once

#include <detente/data/table.h>

#include <optional>
#include <string>
#include <vector>

namespace detente::cli {

// What a command makes must not take the place of what it comes from: kInvalidArgument when `out` is
// one of the sources (by whatever path) or a file of a run itself. "-" is fine.
void demand_harmless(const char* command,
                     const std::string& out,
                     const std::vector<std::string>& sources);

// Of a table to write, by the ending of its name in any case: .jsonl, .csv, and as of files that are read .tsv, .tab or
// .txt. Nothing for another one.
std::optional<data::TableFormat> format_by_ending(const std::string& out);

// TSV has no quoting: tabs and line ends inside a cell (possible in CSV) become blanks.
std::string tsv_cell(std::string cell);

}  // namespace detente::cli

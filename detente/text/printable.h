// SPDX-License-Identifier: Apache-2.0
// Words of others (names, paths, cells of data) on their way to a terminal, which takes control
// characters for commands: to colour, to overwrite, to answer as if someone had typed.
#pragma once

#include <string>
#include <string_view>

namespace detente::text {

// On one line: control characters (line ends and tabs, too) and those that turn the direction of
// writing become \x1b, \n, \u202e; bytes that are no UTF-8 become \xff. All else stays.
std::string printable(std::string_view text);

// The same for text of several lines, as messages are: line ends stay.
std::string printable_lines(std::string_view text);

}  // namespace detente::text

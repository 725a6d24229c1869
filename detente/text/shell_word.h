// SPDX-License-Identifier: Apache-2.0
// Words of a command line that readers copy into a shell.
#pragma once

#include <string>
#include <string_view>

namespace detente::text {

// The word as a POSIX shell reads it back: as it is where it holds letters of ASCII, digits and
// -_=./,: alone, else in single quotes.
std::string shell_word(std::string_view word);

}  // namespace detente::text

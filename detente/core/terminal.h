// SPDX-License-Identifier: Apache-2.0
// The terminal that standard error may be.
#pragma once

#include <cstddef>

namespace detente {

bool error_is_terminal();

// Of the terminal that standard error is; 80 by 24 where it is none or does not say.
struct TerminalSize {
  std::size_t columns = 80;
  std::size_t rows = 24;
};
TerminalSize terminal_size();

}  // namespace detente

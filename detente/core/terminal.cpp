// SPDX-License-Identifier: Apache-2.0
#include <detente/core/terminal.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace detente {

bool error_is_terminal() { return ::isatty(STDERR_FILENO) == 1; }

TerminalSize terminal_size() {
  TerminalSize result;
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0) return result;
  // Some say 0.
  if (size.ws_col > 20) result.columns = size.ws_col;
  if (size.ws_row > 5) result.rows = size.ws_row;
  return result;
}

}  // namespace detente

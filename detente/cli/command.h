// SPDX-License-Identifier: Apache-2.0
// What every command gets. A command is one file: it registers its flags on a CLI::App and leaves
// a callback; errors are thrown as detente::Error and turned into messages and exit codes by run(),
// output that was lost (a full disk, a closed pipe) included. What others have named or written goes
// to people through text::printable(); JSON and files hold it as it is.
#pragma once

#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
}

namespace detente::cli {

struct Context {
  std::ostream& out;  // results: tables for people, JSON with --json
  std::ostream& err;  // progress, warnings, errors
  int exit_code = 0;  // a command may set it (doctor --strict, an interrupted run)
  // The whole command line, the program's name left out.
  std::vector<std::string> arguments = {};
};

// "WORD: TEXT" on err, e.g. of a warning; the text may hold words of others.
void tell(Context& context, const char* word, std::string_view text);

// Whether results go straight to a terminal, where even data must not command it.
bool shown_on_terminal(const Context& context);

using AddCommand = void (*)(CLI::App& app, Context& context);

}  // namespace detente::cli

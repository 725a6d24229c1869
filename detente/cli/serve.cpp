// SPDX-License-Identifier: Apache-2.0
// detente serve DIR: runs in the browser while they train.
#include <detente/cli/command.h>
#include <detente/core/interrupt.h>
#include <detente/serve/http_server.h>
#include <detente/text/printable.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <ostream>
#include <string>

namespace detente::cli {
namespace {

struct ServeFlags {
  std::string folder;
  int port = 0;
};

void run_serve(const ServeFlags& flags, Context& context) {
  const InterruptGuard guard;
  serve::HttpServer server(flags.folder,
                           flags.port == 0 ? std::nullopt : std::optional<int>(flags.port));
  context.out << fmt::format("Serving {} at http://127.0.0.1:{}/ (Ctrl-C ends it)\n",
                             text::printable(flags.folder),
                             server.port())
              << std::flush;
  server.run([&] { return guard.interrupted(); });
  context.exit_code = 130;
}

}  // namespace

void add_serve(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("serve", "Show runs in the browser while they train");
  auto flags = std::make_shared<ServeFlags>();
  command
      ->add_option("DIR", flags->folder, "A run, a folder of runs, or one of `compare --methods`")
      ->required();
  command
      ->add_option("--port",
                   flags->port,
                   fmt::format("Port of 127.0.0.1; 0: {}, or the next one that is free",
                               serve::kDefaultPort))
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  command->footer(
      "Example:\n  detente serve runs\n"
      "Reads only, and answers this machine alone; docs/serve.md has the rest.");
  command->callback([flags, &context] { run_serve(*flags, context); });
}

}  // namespace detente::cli

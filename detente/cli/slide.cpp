// SPDX-License-Identifier: Apache-2.0
// detente slide: what whole slides are, and pictures of them. A subcommand is a file.
#include <detente/cli/command.h>
#include <detente/cli/slide.h>

#include <CLI/CLI.hpp>

namespace detente::cli {

void add_slide(CLI::App& app, Context& context) {
  CLI::App* group = app.add_subcommand(
      "slide", "Look at whole slides (pathology): what a file is, and pictures of it");
  group->require_subcommand(1);
  add_slide_info(*group, context);
  add_slide_thumbnail(*group, context);
  add_slide_tiles(*group, context);
  add_slide_make(*group, context);
}

void add_slide_flags(CLI::App& command, SlideFlags& flags) {
  command.add_option("FILE", flags.file, "The slide's file")->required();
  command.add_option("--limit", flags.limit, "Seconds for one request, then the slide is given up")
      ->check(CLI::Range(0.01, 1e6))
      ->capture_default_str();
  command.add_flag("--json", flags.json, "Print JSON");
  command.footer(
      "OpenSlide reads the formats of Aperio, Hamamatsu, Leica, MIRAX, Philips, Ventana and "
      "others, and tiled\n"
      "TIFF; `detente doctor --slides` says whether it is here. Files are decoded in a process of "
      "its own.\n"
      "See docs/slides.md.");
}

slides::SlideWorkersOptions slide_options(const SlideFlags& flags) {
  return {.seconds = flags.limit};
}

}  // namespace detente::cli

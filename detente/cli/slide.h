// SPDX-License-Identifier: Apache-2.0
// The subcommands of detente slide, and the flags that they share.
#pragma once

#include <detente/cli/command.h>
#include <detente/slides/slide_workers.h>

#include <string>

namespace detente::cli {

struct SlideFlags {
  std::string file;
  double limit = 300;
  bool json = false;
};

// FILE, --limit, --json, and the footer.
void add_slide_flags(CLI::App& command, SlideFlags& flags);
slides::SlideWorkersOptions slide_options(const SlideFlags& flags);

void add_slide_info(CLI::App& group, Context& context);
void add_slide_make(CLI::App& group, Context& context);
void add_slide_thumbnail(CLI::App& group, Context& context);
void add_slide_tiles(CLI::App& group, Context& context);

}  // namespace detente::cli

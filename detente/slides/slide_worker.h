// SPDX-License-Identifier: Apache-2.0
// The program that decodes slides, detente-slide-worker, and where it lies. Slides of strangers reach no other
// process: what makes it crash, hang or grow costs that slide (slide_workers.h).
//
// It holds itself to limits: memory, no new files, no core files, no new rights; open slides are kept, those
// used last, and their decoded tiles within a limit.
#pragma once

#include <string>
#include <vector>

namespace detente::slides {

// The file of the program: DETENTE_SLIDE_WORKER; else detente-slide-worker beside this program, in ../libexec or
// ../bin seen from there, or in bin beside the library that this code is part of (the Python package). Throws kIo where there is none, or it cannot be run.
std::string find_slide_worker();

// The program itself, with its arguments ("--handles N --cache-mib N --memory-mib N"). Its orders come from
// standard input (internal/protocol.h); returns its exit code when that is closed.
int run_slide_worker(const std::vector<std::string>& arguments);

// Why a file cannot be given to a reader: "there is no such file", "it is a folder"; empty where it can.
// Nothing is opened, so a pipe or a device does no harm.
std::string why_no_file(const std::string& file);

}  // namespace detente::slides

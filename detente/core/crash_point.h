// SPDX-License-Identifier: Apache-2.0
// Named places at which a test ends the program as a power cut would: DETENTE_CRASH_AT=NAME, or
// NAME:N for the N-th time. Without that variable a place costs one comparison.
#pragma once

#include <string_view>

namespace detente {

// In the order in which a run meets them; `detente doctor --json` lists them.
inline constexpr std::string_view kCrashPoints[] = {
    "run.marked",         // the folder is known as a run's, and is empty
    "run.fitted",         // tokenizer or columns are written
    "run.recipe",         // so is the recipe
    "epoch.evaluated",    // the epoch's model is not kept yet
    "epoch.model",        // it is, and what it answered is not
    "epoch.answers",      // so are its answers, and the log does not know
    "epoch.logged",       // the log does, and no snapshot
    "snapshot.folder",    // under its temporary name, empty
    "snapshot.part",      // one file of it is on the disk
    "snapshot.manifest",  // all of them are
    "snapshot.renamed",   // under its final name
    "snapshot.pruned",    // and older ones are gone
    "finish.summary",     // the last step is saved, the summary written, the page not
};

// Ends the process with SIGKILL when DETENTE_CRASH_AT says so. Throws kInvalidArgument when the
// variable names no such place: a test that waits for it would pass for nothing.
void crash_point(std::string_view name);

}  // namespace detente

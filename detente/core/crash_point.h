// SPDX-License-Identifier: Apache-2.0
// Named places at which a test ends the program as a power cut would: DETENTE_CRASH_AT=NAME, or
// NAME:N for the N-th time. Of several processes that train together each passes those that are marked so, and
// rank 0 all; DETENTE_CRASH_RANK=R is for rank R alone. Without DETENTE_CRASH_AT a place costs one comparison.
#pragma once

#include <string_view>

namespace detente {

// In the order in which a run meets them; `detente doctor --json` lists them.
inline constexpr std::string_view kCrashPoints[] = {
    "start.alike",        // every process: all have the same model and rows, nothing is written
    "run.marked",         // the folder is known as a run's, and is empty
    "run.fitted",         // tokenizer or columns are written
    "run.recipe",         // so is the recipe
    "step.losses",        // every process: a part of a batch is computed, and nobody knows of it
    "step.gradients",     // every process: they are those of all, and nothing is changed by them
    "step.updated",       // every process: the parameters are
    "step.asked",         // every process: it knows what all do next, to save or to go on
    "epoch.trained",      // every process: rank 0 measures now, the others wait for it
    "epoch.evaluated",    // the epoch's model is not kept yet
    "epoch.model",        // it is, and what it answered is not
    "epoch.answers",      // so are its answers, and the log does not know
    "epoch.logged",       // the log does, and no snapshot
    "snapshot.due",       // every process: nothing of it is there
    "snapshot.folder",    // under its temporary name, empty
    "snapshot.part",      // one file of it is on the disk
    "snapshot.manifest",  // all of them are
    "snapshot.renamed",   // under its final name
    "snapshot.pruned",    // and older ones are gone
    "finish.summary",     // the last step is saved, the summary written, the page not
    "finish.saved",       // every process: all that was to be done here is, the others may be at it
};

// Ends the process with SIGKILL when DETENTE_CRASH_AT says so. Throws kInvalidArgument when the
// variable names no such place, or DETENTE_CRASH_RANK is no number: a test that waits for it would pass for
// nothing.
void crash_point(std::string_view name);

// Which process of a run this is, before it passes the first place; 0 where nobody says.
void set_crash_rank(int rank);

}  // namespace detente

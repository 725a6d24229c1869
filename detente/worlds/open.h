// SPDX-License-Identifier: Apache-2.0
// Environments by name, of whichever kind.
#pragma once

#include <detente/worlds/worker_worlds.h>

#include <memory>
#include <string_view>

namespace detente::worlds {

// "point-mass" (4 goals) and "point-mass:K" are native and take seed and horizon of the options; all
// else is WorkerWorlds. Throws what those throw, and kInvalidArgument for goals that are no number.
// Whether a name is one of those that need no workers.
bool is_native(std::string_view environment);

std::unique_ptr<Worlds> open_worlds(const WorkerOptions& options);

// What `python` (empty: $DETENTE_PYTHON, else python3) has of what Meta-World needs:
//   {"program", "python", "packages": {NAME: VERSION or null}, "missing": [NAME], "mt10": [NAME],
//    "start_s", "step_ms", "observation" (these three where it runs), "problem": "" or why not,
//    "command": what to run to get it}
// Throws kIo where there is no such program, kPeerLost where it ends or has not answered after
// `limit` seconds.
Json probe_metaworld(const std::string& python, double limit = 300);

}  // namespace detente::worlds

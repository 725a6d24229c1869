// SPDX-License-Identifier: Apache-2.0
// Looks at this machine and this process without calling LibTorch.
#pragma once

#include <detente/machine/facts.h>

namespace detente::machine {

// Everything in Facts but the engine. Under a millisecond; the names of OpenBLAS' functions are
// looked up in the process, so nothing is loaded that is not there.
Facts look_at_process();

// The processors that this process may use, at least 1.
int usable_cores();

// The most memory this process has held at once (resident), in MiB; NaN where the system does not
// say.
double peak_memory_mib();

}  // namespace detente::machine

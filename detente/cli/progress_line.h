// SPDX-License-Identifier: Apache-2.0
// How far a long command is, on standard error.
#pragma once

#include <detente/cli/command.h>
#include <detente/core/interrupt.h>

#include <cstddef>
#include <functional>

namespace detente::cli {

// Whether progress goes to people who watch.
bool is_on_terminal(const Context& context);

// A line on a terminal that is written over, elsewhere one every ten seconds. Its argument must outlive it.
std::function<void(std::size_t done, std::size_t total)> progress_line(Context& context);
// The same; false after Ctrl-C. Both arguments must outlive it.
std::function<bool(std::size_t done, std::size_t total)> progress_line(
    const InterruptGuard& interrupt, Context& context);

// Of work whose share alone is known, from 0 to 1: "37 %, 2 min left". Its argument must outlive it.
std::function<void(double share)> share_line(Context& context);

}  // namespace detente::cli

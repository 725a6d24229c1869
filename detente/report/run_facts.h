// SPDX-License-Identifier: Apache-2.0
// What a reader needs to judge a run's times and to train it again.
#pragma once

#include <detente/report/run_data.h>
#include <detente/report/table.h>

#include <string>

namespace detente::report {

// Where a step's time went: per part of the log's `ms` its median, its mean and its share of the
// total; "rest" is what no part has. Without rows where the run holds no times.
Table time_table(const RunData& run);

// Versions, machine and seed, as far as the summary says; without rows where it says nothing.
Table environment_table(const RunData& run);

// The command that trains the run again, given in the folder that holds the run's; "" without a
// recipe.
std::string repeat_command(const RunData& run);

}  // namespace detente::report

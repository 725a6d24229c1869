// SPDX-License-Identifier: Apache-2.0
// An inspection's numbers as tables, for the terminal and for pages.
#pragma once

#include <detente/report/inspection.h>
#include <detente/report/table.h>

#include <cstddef>
#include <string>

namespace detente::report {

// The most opposed pairs, at most `top`.
Table pair_table(const Inspection& run, std::size_t top);
Table task_table(const Inspection& run);
Table group_table(const Inspection& run);  // without rows where no groups were logged
Table triad_table(const Inspection& run);  // without rows where nothing of it was measured
std::string curvature_words(const Inspection& run);  // "" where none was measured

}  // namespace detente::report

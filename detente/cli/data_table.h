// SPDX-License-Identifier: Apache-2.0
// What `detente data check` found, as people read it in a terminal.
#pragma once

#include <detente/data/inspect.h>

#include <cstddef>
#include <iosfwd>

namespace detente::cli {

// Parts, targets, pairs of tasks, inputs; of pairs, classes and inputs at most `top` rows. Warnings
// are not among them.
void print_data_findings(const data::DataFindings& found, std::size_t top, std::ostream& out);

}  // namespace detente::cli

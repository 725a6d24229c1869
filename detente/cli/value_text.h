// SPDX-License-Identifier: Apache-2.0
// What `value` and `value clean` share, and what stands beside the values on the terminal and for --json: removal
// curves, rows that are there twice.
#pragma once

#include <detente/core/json.h>
#include <detente/data/repeated_rows.h>
#include <detente/valuation/removal.h>

#include <cstddef>
#include <filesystem>
#include <iosfwd>
#include <string>
#include <vector>

namespace detente::cli {

// Earlier files of these names are not written over unasked; anything else in the folder stays as it is. Throws
// kInvalidArgument for a run's folder.
void check_value_folder(const std::filesystem::path& folder,
                        const std::vector<const char*>& names,
                        bool force);

// A table for each: a row per order, a column per share.
void print_curves(const std::vector<valuation::RemovalCurve>& curves, std::ostream& out);

// [{"task", "metric", "lines": [{"order", "shares", "removed", "scores", "low", "high"}]}]
Json curves_json(const std::vector<valuation::RemovalCurve>& curves);

// A sentence for each kind of rows that are there twice; none where no row is. `dev`: validation rows.
std::vector<std::string> repeated_warnings(const data::RepeatedRows& repeated, std::size_t dev);

// {"validation": {"count", "other_target", "rows": [[row, training row], ...]}, "training": the same}, the
// first ten of each.
Json repeated_json(const data::RepeatedRows& repeated);

}  // namespace detente::cli

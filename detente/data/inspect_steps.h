// SPDX-License-Identifier: Apache-2.0
// The steps of inspect_parts (data/inspect.h), one file each. Not installed.
#pragma once

#include <detente/data/dense_source.h>
#include <detente/data/inspect.h>

#include <cstdint>
#include <span>
#include <vector>

namespace detente::data::internal {

using Parts = std::span<const InspectedPart>;

void inspect_targets(Parts parts, std::span<const TargetColumn> targets, DataFindings& findings);
void inspect_inputs(Parts parts, std::span<const InputColumn> inputs, DataFindings& findings);
void inspect_duplicates(Parts parts, std::span<const InputColumn> inputs, DataFindings& findings);
void inspect_leaks(Parts parts, std::span<const InputColumn> inputs, DataFindings& findings);

// Of a source with maps, part by part; findings.kind and what a source says are not filled.
DataFindings inspect_maps(const DenseSource& source,
                          const SourceFiles& files,
                          std::span<const TargetColumn> targets);

// A column's cells as numbers: number and date columns what they spell, NaN where they spell none.
std::vector<double> cell_numbers(const Table& table, const InputColumn& input);

// A number per row: equal ones for equal cells, from 0 on in the order of appearance.
std::vector<std::uint32_t> cell_ids(const Table& table, const InputColumn& input);
std::vector<std::uint32_t> value_ids(std::span<const double> values);

// "line 7", of a joined table with the file.
std::string line_text(const Table& table, std::size_t row);

// "12 of 340 rows (3.5 %)".
std::string count_text(std::size_t count, std::size_t of, const char* what);

}  // namespace detente::data::internal

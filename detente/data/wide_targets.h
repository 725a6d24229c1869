// SPDX-License-Identifier: Apache-2.0
// Targets of several numbers per row; read_target (targets.h) hands them over.
#pragma once

#include <detente/data/targets.h>

#include <cstddef>
#include <string>
#include <vector>

namespace detente::data::internal {

// TargetColumn::columns, each read by read_target. Warnings name the column.
Target read_columns(const Table& table,
                    const TargetColumn& column,
                    std::size_t rows,
                    std::vector<std::string>& warnings);

// Words of one column. Throws kData for an unknown word, naming line and the nearest, and where no row
// has a target; a label that no row or every row has is a warning.
Target read_words(const Table& table,
                  const TargetColumn& column,
                  std::size_t rows,
                  std::vector<std::string>& warnings);

}  // namespace detente::data::internal

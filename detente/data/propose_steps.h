// SPDX-License-Identifier: Apache-2.0
// The steps of propose_recipe (data/propose.h). Not installed.
#pragma once

#include <detente/data/propose.h>

#include <span>
#include <string>
#include <vector>

namespace detente::data::internal {

// "" where the column can be a target.
std::string why_no_target(const ColumnSurvey& column);
bool looks_like_target(const std::string& name);
ProposedTask propose_task(const ColumnSurvey& column);

// The wanted targets, or those that are found; `why` says how.
std::vector<ProposedTask> propose_targets(const Table& table,
                                          std::span<const ColumnSurvey> columns,
                                          const std::vector<std::string>& wanted,
                                          std::string& why);

// Which of the columns that are no targets are to be no inputs; of the others the names and kinds.
void propose_inputs(const Table& table,
                    std::span<const ColumnSurvey> columns,
                    RecipeProposal& proposal);

}  // namespace detente::data::internal

// SPDX-License-Identifier: Apache-2.0
// The steps of propose_recipe (data/propose.h). Not installed.
#pragma once

#include <detente/data/propose.h>
#include <detente/data/propose_files.h>

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace detente::data::internal {

// "" where the column can be a target.
std::string why_no_target(const ColumnSurvey& column);
bool looks_like_target(const std::string& name);
ProposedTask propose_task(const Table& table, const ColumnSurvey& column);

// The column's words from the lowest step to the highest, where all are steps of one common scale (low,
// medium, high; S, M, L; never, sometimes, always ...), each another one; empty where not.
std::vector<std::string> words_in_order(const ColumnSurvey& column);

// Where cells hold combinations of few words: what stands between them, and the words by name.
struct CellLabels {
  char separator = '|';
  std::vector<std::string> words;
};
std::optional<CellLabels> labels_in_cells(const Table& table, const ColumnSurvey& column);

// why_no_target, but for cells that hold combinations of labels.
std::string why_no_task(const Table& table, const ColumnSurvey& column);

// The wanted targets, or those that are found; `why` says how.
std::vector<ProposedTask> propose_targets(const Table& table,
                                          std::span<const ColumnSurvey> columns,
                                          const std::vector<std::string>& wanted,
                                          std::string& why);

// Which of the columns that are no targets are to be no inputs; of the others the names and kinds.
void propose_inputs(const Table& table,
                    std::span<const ColumnSurvey> columns,
                    RecipeProposal& proposal);

// "it counts the rows" or "it names the rows"; "" where it does neither, or rows are too few to tell.
std::string why_name_of_rows(const ColumnSurvey& column);
// "patient", "user_id": what several rows may share.
bool is_called_group(const std::string& name);

// Widths, dropout and training that suit small networks on so many rows; nothing is measured.
void choose_sizes(RecipeProposal& proposal);

// Shares with a seed that leaves every part a target of every task, unless a column says the parts.
void propose_split(const Table& table, FileProposal& proposal);
void propose_training(FileProposal& proposal);
// Of convolutions that halve the shortest side, three at most: `first` and twice as many each time.
std::vector<std::int64_t> propose_channels(std::size_t shortest, std::int64_t first);

}  // namespace detente::data::internal

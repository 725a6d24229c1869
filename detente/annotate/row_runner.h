// SPDX-License-Identifier: Apache-2.0
// One row, one task: a pattern carried out.
#pragma once

#include <detente/annotate/client.h>
#include <detente/annotate/examples.h>
#include <detente/annotate/pattern.h>
#include <detente/annotate/retriever.h>
#include <detente/annotate/vote.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace detente::annotate {

struct Task {
  std::string name;
  std::vector<std::string> labels;
  std::string about;  // what it is about, in the user's words; may be empty
};

// "mood:bad,fine,good". kInvalidArgument: no name, fewer than two labels, labels that are the same once normalised,
// control characters.
Task parse_task(const std::string& text);

using Cells = std::vector<std::pair<std::string, std::string>>;  // column and cell

struct Row {
  std::int64_t index = 0;
  Cells shown;
  Cells others;                // that the lookup tool may give
  std::vector<double> vector;  // for nearest examples
};

// What is shown of a row: of one column the cell between marks, of several each behind its column's name.
std::string shown_text(const Cells& cells);
// The cells, one a line.
std::string plain_text(const Cells& cells);

enum class RowStatus {
  kLabelled,
  kNoLabel,       // the model's answers say none of the labels plainly, or the row has no text
  kNotInSources,  // it says that the passages do not settle it
  kFailed,        // a call failed for good; see failure
};

struct RowResult {
  RowStatus status = RowStatus::kFailed;
  std::optional<std::size_t> label;
  double share = 0;  // of the votes
  std::string note;  // why there is no label
  Failure failure;
};

struct RowContext {
  const Pattern* pattern = nullptr;
  std::string model;
  std::int64_t seed = 0;
  const Examples* examples = nullptr;
  const Documents* documents = nullptr;
  const Retriever* retriever = nullptr;
};

// The first request of a row, as it would be sent. Searches passages where the pattern shows some.
ChatRequest first_request(const RowContext& context,
                          const Task& task,
                          std::size_t task_index,
                          const Row& row,
                          std::vector<Hit>& hits,
                          CallKey& key);

RowResult run_row(const RowContext& context,
                  const Task& task,
                  std::size_t task_index,
                  const Row& row,
                  Client& client);

}  // namespace detente::annotate

// SPDX-License-Identifier: Apache-2.0
// All rows and tasks, several at a time, until they are done, the budget is spent, somebody interrupts or the
// endpoint is of no use.
#pragma once

#include <detente/annotate/row_runner.h>

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace detente::annotate {

struct AnnotateOptions {
  std::size_t concurrency = 4;
  // Rows that fail one after the other, by failures that pass or the same refusal, before all is stopped.
  std::size_t most_failures = 3;
};

struct Annotations {
  // results[task][row]; nothing: not reached, or stopped in the middle.
  std::vector<std::vector<std::optional<RowResult>>> results;
  std::optional<Failure> ended;  // what stopped all; of a budget or Ctrl-C kind kStopped
};

// `progress` is called after each (row, task), by one thread at a time. Throws kIo for a transcript that cannot be
// written; what is recorded stays.
Annotations annotate_rows(const RowContext& context,
                          const std::vector<Task>& tasks,
                          const std::vector<Row>& rows,
                          Client& client,
                          const AnnotateOptions& options,
                          const std::function<void(std::size_t done, std::size_t total)>& progress);

}  // namespace detente::annotate

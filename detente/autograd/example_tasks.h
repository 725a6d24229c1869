// SPDX-License-Identifier: Apache-2.0
// Which examples of a joint batch belong to which task.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace detente::autograd {

struct ExampleTasks {
  std::vector<std::int64_t> task_of;  // per example: index of a present task, or -1
  bool contiguous = false;            // every task's examples are one stretch of the batch
  std::vector<std::int64_t> begin;    // per task, when contiguous
  std::vector<std::int64_t> end;

  bool empty() const { return task_of.empty(); }
  std::int64_t size() const { return static_cast<std::int64_t>(task_of.size()); }
  // Fills in the rest from task_of.
  void find_stretches(std::size_t tasks);
  // Examples [from, to) are of `task`. False when the batch is not of `batch` examples or one of
  // them is of another task already.
  bool claim(std::int64_t batch, std::int64_t from, std::int64_t to, std::int64_t task);
};

}  // namespace detente::autograd

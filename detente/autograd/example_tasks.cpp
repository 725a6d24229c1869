// SPDX-License-Identifier: Apache-2.0
#include <detente/autograd/example_tasks.h>

namespace detente::autograd {

void ExampleTasks::find_stretches(std::size_t tasks) {
  begin.assign(tasks, 0);
  end.assign(tasks, 0);
  contiguous = true;
  for (std::size_t r = 0; r < task_of.size(); ++r) {
    if (task_of[r] < 0) continue;
    const auto k = static_cast<std::size_t>(task_of[r]);
    const auto row = static_cast<std::int64_t>(r);
    if (end[k] == 0) {
      begin[k] = row;
    } else if (end[k] != row) {
      contiguous = false;
    }
    end[k] = row + 1;
  }
}

bool ExampleTasks::claim(std::int64_t batch,
                         std::int64_t from,
                         std::int64_t to,
                         std::int64_t task) {
  if (task_of.empty()) task_of.assign(static_cast<std::size_t>(batch), -1);
  if (size() != batch) return false;
  for (std::int64_t r = from; r < to; ++r) {
    std::int64_t& owner = task_of[static_cast<std::size_t>(r)];
    if (owner >= 0 && owner != task) return false;
    owner = task;
  }
  return true;
}

}  // namespace detente::autograd

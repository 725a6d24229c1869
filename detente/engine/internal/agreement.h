// SPDX-License-Identifier: Apache-2.0
// What all processes of a run know before the first pass of a step: which tasks take part anywhere,
// their losses, what each process's part counts, and that all go the same way. One sum.
#pragma once

#include <ATen/core/Tensor.h>
#include <detente/tensor/fwd.h>
#include <detente/tensor/group.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace detente::engine::internal {

struct Agreement {
  std::vector<std::size_t> present;  // tasks that some process has
  std::vector<double> losses;        // per task: the mean, counted by shares; NaN where absent
  // Per task: this process's part of all shares; 0 where it lacks the task.
  std::vector<double> parts;
  bool all_remember = false;  // what agree() was asked, true in all processes
};

// `losses` per task, NaN for absent ones; `shares` what they count (> 0 where present). `way`: a
// small number that tells what the process is about to do; kInvalidArgument, in all processes, when
// they differ.
Agreement agree(tensor::Group& group,
                const std::vector<double>& losses,
                const std::vector<double>& shares,
                int way,
                bool remembers = false);

// Sums each gradient over the processes; one that none has stays undefined.
void sum_gradients(tensor::Group& group, TensorList& gradients, const TensorList& parameters);

// A loss of 0 that reaches no parameter: what a process without a task's examples takes part with.
at::Tensor no_loss(const at::Tensor& like);

}  // namespace detente::engine::internal

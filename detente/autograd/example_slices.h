// SPDX-License-Identifier: Apache-2.0
// Whether the tasks have examples of their own in one joint batch, told by the slices that their
// heads take from the border; and where the batch then enters the trunk.
#pragma once

#include <detente/autograd/border.h>
#include <detente/autograd/example_tasks.h>

#include <cstdint>
#include <span>
#include <unordered_set>
#include <vector>

namespace detente::autograd {

struct JointBatch {
  ExampleTasks examples;            // empty when the slices tell nothing
  std::vector<Edge> origins;        // tensors with the batch in dimension 0
  std::unordered_set<Node*> above;  // splits along the batch, of the trunk but above the origins
};

// `given`: task of each example, in place of what slices say.
JointBatch find_joint_batch(const Trunk& trunk,
                            std::size_t tasks,
                            std::span<const std::int64_t> given);

}  // namespace detente::autograd

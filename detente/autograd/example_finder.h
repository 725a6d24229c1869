// SPDX-License-Identifier: Apache-2.0
// Where the heads pick their examples in a way that the graph does not tell (a mask, an index), the
// gradients at the shared representation do: outside a task's examples its gradient is zero. The
// passes through the heads are not lost, the one through the trunk starts where they end.
#pragma once

#include <detente/autograd/graph.h>
#include <detente/autograd/step_tensors.h>

#include <cstdint>
#include <vector>

namespace detente::autograd {

class ExampleFinder {
 public:
  // False when there is nothing to find, or where heads look at the trunk at several depths; models are
  // what they are, so after some steps without success nothing more is tried.
  bool find(const StepTensors& step, const Graph& graph);
  void clear();

  // What was found last.
  std::vector<std::int64_t> task_of_example;
  std::vector<Edge> edges;      // where the passes ended,
  TensorList gradients;         // with the sum of the tasks' gradients there
  std::vector<TensorList> own;  // per task, of its own parameters

 private:
  int tries_ = 0;  // steps in a row without success
};

}  // namespace detente::autograd

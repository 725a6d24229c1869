// SPDX-License-Identifier: Apache-2.0
#include <detente/autograd/example_slices.h>
#include <detente/tensor/graph_compat.h>
#include <torch/csrc/autograd/generated/Functions.h>

#include <algorithm>
#include <string>

namespace detente::autograd {
namespace {

namespace gen = torch::autograd::generated;
using tensor::as_int;
using tensor::as_int_or;
using tensor::as_ints;
using tensor::shape_at;

// The slice of the batch that `node` hands to a head, and the tensor it is cut from.
bool add_slice(const Node& node, std::uint32_t output, int loss, ExampleTasks& examples) {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  const Edge& whole = node.next_edge(0);
  const Shape shape = shape_at(*whole.function, whole.input_nr);
  if (shape.empty()) return false;
  if (const auto* slice = dynamic_cast<const gen::SliceBackward0*>(&node)) {
    if (wrap(slice->dim, shape.size()) != 0 || as_int(slice->step) != 1) return false;
    begin = as_int_or(slice->start, 0);
    end = std::min(as_int_or(slice->end, shape[0]), shape[0]);
    if (begin < 0) begin += shape[0];
    if (end < 0) end += shape[0];
  } else if (const auto* split = dynamic_cast<const gen::SplitBackward0*>(&node)) {
    if (wrap(split->dim, shape.size()) != 0) return false;
    begin = as_int(split->split_size) * output;
    end = std::min(begin + as_int(split->split_size), shape[0]);
  } else if (const auto* sized = dynamic_cast<const gen::SplitWithSizesBackward0*>(&node)) {
    if (wrap(sized->dim, shape.size()) != 0) return false;
    const auto sizes = as_ints(sized->split_sizes);
    for (std::uint32_t i = 0; i < output; ++i) begin += sizes[i];
    end = begin + sizes[output];
  } else {
    return false;
  }
  return examples.claim(shape[0], begin, end, loss);
}

}  // namespace

JointBatch find_joint_batch(const Trunk& trunk,
                            std::size_t tasks,
                            std::span<const std::int64_t> given) {
  JointBatch batch;
  bool known = !trunk.crossings.empty();
  for (const Crossing& crossing : trunk.crossings) {
    if (!known) break;
    const Edge& edge = crossing.edge;
    const std::string name = edge.function->name();
    if (name == "SplitBackward0" || name == "SplitWithSizesBackward0") {
      const Edge& whole = edge.function->next_edge(0);
      if (given.empty()) {
        known = add_slice(*edge.function, edge.input_nr, crossing.loss, batch.examples);
      }
      batch.origins.push_back(whole);
      batch.above.insert(edge.function.get());
      continue;
    }
    if (given.empty()) {
      known = crossing.from != nullptr && crossing.from->num_outputs() == 1 &&
              add_slice(*crossing.from, 0, crossing.loss, batch.examples);
    }
    batch.origins.push_back(edge);
  }
  if (!given.empty()) {
    batch.examples.task_of.assign(given.begin(), given.end());
  } else if (!known) {
    batch.examples.task_of.clear();
  }
  if (!batch.examples.empty()) batch.examples.find_stretches(tasks);
  return batch;
}

}  // namespace detente::autograd

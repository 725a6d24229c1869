// SPDX-License-Identifier: Apache-2.0
// In which form the tasks' gradients of each parameter are kept, and what is asked of the graph for
// them. A parameter's form follows from all places where it is used: one that cannot be handled
// sends it the general way.
#pragma once

#include <detente/autograd/embedding_table.h>
#include <detente/autograd/ghost_layer.h>
#include <detente/autograd/graph.h>
#include <detente/autograd/step_tensors.h>

#include <cstddef>
#include <vector>

namespace detente::autograd {

enum class Form {
  kNamed,     // LibTorch computes the whole gradient, copied into the parameter's block
  kDirect,    // computed from the layer straight into the block
  kGhost,     // never formed per task
  kCompact,   // embedding: touched entries only
  kUnneeded,  // a batch-free tensor whose parameters go the general way
};

// Which layers get no gradient per task.
enum class GhostRule { kByCost, kAlways, kNever };

struct LayerPlan {
  std::vector<Form> forms;  // per parameter; then per batch-free tensor, kDirect or kUnneeded
  std::vector<GhostLayer> ghosts;
  std::vector<EmbeddingTable> tables;
  std::vector<std::size_t> captured;  // uses whose output gradient is asked for
  std::vector<int> named;             // parameters asked for by name

  bool has_block(std::size_t parameter) const {
    return forms[parameter] == Form::kNamed || forms[parameter] == Form::kDirect;
  }
};

// One pass for all tasks, each with examples of its own.
LayerPlan plan_segments(const StepTensors& step, const Graph& graph);
// One pass per task. `inputs` of the uses, read where readable_by_pass() allows it.
LayerPlan plan_passes(const StepTensors& step,
                      const Graph& graph,
                      const std::vector<LayerInput>& inputs,
                      GhostRule rule);

// What one run of LibTorch per task goes through: places in LayerPlan::captured and named, and the
// parameters with blocks that are complete after it.
struct PlanPart {
  std::vector<std::size_t> captured;
  std::vector<std::size_t> named;
  std::vector<int> blocks;
  std::vector<Edge> border;  // where the next one starts; empty for the last
};
// One part, or several where the output gradients of a whole pass would not stay in the cache until
// they are used: then all tasks go through one stretch of the model before the next.
std::vector<PlanPart> parts_of(const LayerPlan& plan, const StepTensors& step, const Graph& graph);

}  // namespace detente::autograd

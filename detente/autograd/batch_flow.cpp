// SPDX-License-Identifier: Apache-2.0
#include <detente/autograd/batch_flow.h>
#include <detente/autograd/node_flow.h>
#include <detente/tensor/graph_compat.h>
#include <torch/csrc/autograd/generated/Functions.h>

#include <algorithm>
#include <string>
#include <vector>

namespace detente::autograd {
namespace {

namespace gen = torch::autograd::generated;
using tensor::shape_at;

// The batch, `own` elements apart in dimension `dim` of the output, goes to dimension `to` of the
// input.
std::int64_t moved(
    std::size_t dim, std::int64_t own, const Shape& out, const Shape& in, std::size_t to) {
  if (to >= in.size() || in[to] != out[dim]) return BatchFlow::kUnknown;
  return own * stride_of(in, to);
}

}  // namespace

BatchFlow::BatchFlow(const Trunk& trunk, const JointBatch& batch, Statistics statistics)
    : batch_(batch.examples.size()), statistics_(statistics) {
  if (batch.examples.empty()) return;
  for (const Edge& edge : batch.origins) {
    const Shape shape = shape_at(*edge.function, edge.input_nr);
    const bool fits = !shape.empty() && shape[0] == batch_;
    set_inner(edge, fits ? numel(shape) / batch_ : kUnknown);
  }
  for (const Node* node : trunk.nodes) {
    if (batch.above.count(const_cast<Node*>(node)) != 0) continue;
    const auto& edges = node->next_edges();
    for (std::size_t j = 0; j < edges.size(); ++j) {
      if (edges[j].is_valid() && trunk.inside.count(edges[j].function.get()) != 0) {
        const std::int64_t inner = inner_below(*node, j);
        set_inner(edges[j], inner);
        if (inner == kUnknown && inner_at(*node, 0) > 0 && lost_at_.empty())
          lost_at_ = node->name();
      }
    }
  }
}

void BatchFlow::set_inner(const Edge& edge, std::int64_t inner) {
  const auto [entry, is_new] = inner_.try_emplace(Place{edge.function.get(), edge.input_nr}, inner);
  if (!is_new && entry->second != inner) entry->second = kUnknown;
}

// Several outputs (a split) must agree in what they say of the input, which inner_below_split
// checks one by one.
std::int64_t BatchFlow::inner_at(const Node& node, std::uint32_t output) const {
  const auto found = inner_.find({&node, output});
  return found == inner_.end() ? kUnknown : found->second;
}

bool BatchFlow::batch_free(const Edge& edge) const {
  return inner_at(*edge.function, edge.input_nr) == kBatchFree;
}

bool BatchFlow::batch_free(const Node& node) const {
  auto entry = inner_.lower_bound({&node, 0});
  bool any = false;
  for (; entry != inner_.end() && entry->first.first == &node; ++entry) {
    if (entry->second != kBatchFree) return false;
    any = true;
  }
  return any;
}

std::optional<BatchFlow::BatchDim> BatchFlow::locate(const Shape& shape, std::int64_t inner) const {
  if (inner <= 0) return std::nullopt;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    const std::int64_t stride = stride_of(shape, d);
    if (inner % stride != 0) continue;
    const std::int64_t own = inner / stride;
    if (own * batch_ <= shape[d] && shape[d] % (own * batch_) == 0) return BatchDim{d, own};
  }
  return std::nullopt;
}

std::int64_t BatchFlow::inner_below(const Node& node, std::size_t edge_index) const {
  if (batch_free(node)) return kBatchFree;
  const Edge& edge = node.next_edge(edge_index);
  const Shape in = shape_at(*edge.function, edge.input_nr);
  const std::string name = node.name();
  const Flow flow = flow_of(name);
  if (flow == Flow::kMixes) return kUnknown;
  if (flow == Flow::kSplit) return inner_below_split(node, in);
  const Shape out = shape_at(node, 0);
  const std::int64_t inner = inner_at(node, 0);
  const auto at = locate(out, inner);
  if (!at) return kUnknown;
  switch (flow) {
    case Flow::kReshape:
      return numel(in) == numel(out) ? inner : kUnknown;
    case Flow::kElementwise:
      return inner_below_elementwise(*at, out, in);
    case Flow::kLeading:
      if (at->dim != 0 || at->inner != 1) return kUnknown;
      if (edge_index > 0 && has_parameters(name)) return kBatchFree;
      return moved(at->dim, at->inner, out, in, 0);
    case Flow::kMatrix:
    case Flow::kBatchMatrix: {
      const std::size_t left = left_factor(name);
      if (edge_index < left) return inner_below_elementwise(*at, out, in);
      if (flow == Flow::kBatchMatrix && at->dim == 0) return moved(0, at->inner, out, in, 0);
      // The batch lies in the rows of the product, or in its columns.
      const bool in_rows = at->dim + 2 == out.size();
      if (edge_index != (in_rows ? left : left + 1)) return kBatchFree;
      return moved(at->dim, at->inner, out, in, at->dim);
    }
    case Flow::kPermute:
      return moved(at->dim, at->inner, out, in, permuted(node, at->dim, out.size()));
    case Flow::kAlong:
      return !along(node, out.size())[at->dim] ? moved(at->dim, at->inner, out, in, at->dim)
                                               : std::int64_t{kUnknown};
    case Flow::kReduce:
      return moved(at->dim, at->inner, out, in, unreduced(node, at->dim, in.size()));
    case Flow::kSelect: {
      const auto* select = dynamic_cast<const gen::SelectBackward0*>(&node);
      const std::size_t gone = wrap(select->dim, in.size());
      return moved(at->dim, at->inner, out, in, at->dim < gone ? at->dim : at->dim + 1);
    }
    case Flow::kStack: {
      const std::size_t made = wrap(static_cast<const gen::StackBackward0&>(node).dim, out.size());
      if (at->dim == made) return kUnknown;
      return moved(at->dim, at->inner, out, in, at->dim < made ? at->dim : at->dim - 1);
    }
    case Flow::kRepeat: {
      // Where the batch is repeated it cannot have been before; and where it was, it may not be.
      const Repeat repeat = read_repeat(node);
      const std::size_t lead = repeat.times.size() - in.size();
      const std::int64_t wide = at->dim < lead ? 1 : in[at->dim - lead];
      if (repeat.times[at->dim] > 1) {
        return batch_ > 1 && at->inner % wide == 0 ? kBatchFree : std::int64_t{kUnknown};
      }
      return moved(at->dim, at->inner, out, in, at->dim - lead);
    }
    case Flow::kIndex: {
      const std::size_t to = unindexed(node, at->dim, in.size());
      return moved(at->dim, at->inner, out, in, to);
    }
    case Flow::kBatchNorm: {
      const auto* norm = dynamic_cast<const gen::NativeBatchNormBackward0*>(&node);
      if (norm == nullptr || (norm->training && statistics_ == Statistics::kMix)) return kUnknown;
      return edge_index == 0 ? moved(at->dim, at->inner, out, in, at->dim)
                             : std::int64_t{kBatchFree};
    }
    case Flow::kNormalize:
      return edge_index == 0 ? moved(at->dim, at->inner, out, in, at->dim)
                             : std::int64_t{kBatchFree};
    case Flow::kLookUp:
      return batch_ > 1 ? kBatchFree : kUnknown;
    case Flow::kSplit:
    case Flow::kMixes:
      break;
  }
  return kUnknown;
}

// Broadcasting aligns dimensions from the right.
std::int64_t BatchFlow::inner_below_elementwise(const BatchDim& at,
                                                const Shape& out,
                                                const Shape& in) const {
  if (in.size() > out.size()) return kUnknown;
  const std::size_t lead = out.size() - in.size();
  const bool broadcast = at.dim < lead || (in[at.dim - lead] == 1 && out[at.dim] > 1);
  if (broadcast) return batch_ > 1 ? kBatchFree : kUnknown;
  return moved(at.dim, at.inner, out, in, at.dim - lead);
}

std::int64_t BatchFlow::inner_below_split(const Node& node, const Shape& in) const {
  std::size_t dim = 0;
  bool gone = false;  // from the outputs
  if (const auto* split = dynamic_cast<const gen::SplitBackward0*>(&node)) {
    dim = wrap(split->dim, in.size());
  } else if (const auto* chunk = dynamic_cast<const gen::UnsafeSplitBackward0*>(&node)) {
    dim = wrap(chunk->dim, in.size());
  } else if (const auto* sized = dynamic_cast<const gen::SplitWithSizesBackward0*>(&node)) {
    dim = wrap(sized->dim, in.size());
  } else if (const auto* unbind = dynamic_cast<const gen::UnbindBackward0*>(&node)) {
    dim = wrap(unbind->dim, in.size());
    gone = true;
  }
  std::optional<std::int64_t> result;
  for (std::uint32_t i = 0; i < node.num_inputs(); ++i) {
    const auto part = inner_.find({&node, i});
    if (part == inner_.end()) continue;  // nothing needs it
    const Shape out = shape_at(node, i);
    const auto at = locate(out, part->second);
    if (!at || (!gone && at->dim == dim)) return kUnknown;
    const std::size_t to = gone && at->dim >= dim ? at->dim + 1 : at->dim;
    const std::int64_t below = moved(at->dim, at->inner, out, in, to);
    if (result.has_value() && below != *result) return kUnknown;
    result = below;
  }
  return result.value_or(kUnknown);
}

}  // namespace detente::autograd

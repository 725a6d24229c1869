// SPDX-License-Identifier: Apache-2.0
#include <detente/autograd/batch_flow.h>
#include <detente/tensor/graph_compat.h>
#include <torch/csrc/autograd/generated/Functions.h>

#include <algorithm>
#include <string>
#include <unordered_map>
#include <vector>

namespace detente::autograd {
namespace {

namespace gen = torch::autograd::generated;
using tensor::shape_at;

// What a kind of node does to the examples.
enum class Rule {
  kMixes,        // unknown, or mixes examples
  kReshape,      // same elements in the same order
  kElementwise,  // with broadcasting
  kLeading,      // dimension 0 is the batch and stays it
  kLastReduced,  // works along the last dimension
  kMatrix,       // rows times matrix
  kBatchMatrix,  // one product per entry of dimension 0
  kPermute,
  kAlong,   // works along one dimension of the output
  kReduce,  // sum or mean over dimensions
  kSelect,
  kSplit,
  kBatchNorm,
  kNormalize,  // per example, input first
};

Rule flow_of(const std::string& name) {
  static const std::unordered_map<std::string, Rule> rules = [] {
    std::unordered_map<std::string, Rule> table;
    const auto add = [&](Rule rule, std::initializer_list<const char*> names) {
      for (const char* base : names) table[base] = rule;
    };
    add(Rule::kReshape,
        {"ViewBackward0",
         "UnsafeViewBackward0",
         "ReshapeAliasBackward0",
         "UnsqueezeBackward0",
         "UnsqueezeBackward1",
         "SqueezeBackward0",
         "SqueezeBackward1",
         "SqueezeBackward2",
         "AliasBackward0",
         "CloneBackward0",
         "ToCopyBackward0"});
    add(Rule::kElementwise, {"AddBackward0",        "AddBackward1",        "SubBackward0",
                             "SubBackward1",        "RsubBackward1",       "MulBackward0",
                             "MulBackward1",        "DivBackward0",        "DivBackward1",
                             "NegBackward0",        "ReluBackward0",       "GeluBackward0",
                             "TanhBackward0",       "SigmoidBackward0",    "SiluBackward0",
                             "MishBackward0",       "EluBackward0",        "LeakyReluBackward0",
                             "LeakyReluBackward1",  "SoftplusBackward0",   "HardtanhBackward0",
                             "HardtanhBackward1",   "HardswishBackward0",  "HardsigmoidBackward0",
                             "ExpBackward0",        "LogBackward0",        "Log1PBackward0",
                             "SqrtBackward0",       "RsqrtBackward0",      "AbsBackward0",
                             "PowBackward0",        "PowBackward1",        "SquareBackward0",
                             "ReciprocalBackward0", "SinBackward0",        "CosBackward0",
                             "ErfBackward0",        "ClampBackward0",      "ClampBackward1",
                             "ClampMinBackward0",   "ClampMaxBackward0",   "NativeDropoutBackward0",
                             "MaskedFillBackward0", "WhereBackward0",      "ExpandBackward0",
                             "MaximumBackward0",    "MinimumBackward0",    "ThresholdBackward0",
                             "ThresholdBackward1",  "LogSigmoidBackward0", "FmodBackward0"});
    add(Rule::kLeading,
        {"ConvolutionBackward0",
         "NativeGroupNormBackward0",
         "MaxPool2DWithIndicesBackward0",
         "MaxPool3DWithIndicesBackward0",
         "AvgPool2DBackward0",
         "AvgPool3DBackward0",
         "AdaptiveAvgPool2DBackward0",
         "AdaptiveAvgPool3DBackward0",
         "AdaptiveMaxPool2DBackward0",
         "MkldnnAdaptiveAvgPool2DBackward0",
         "UpsampleNearest2DBackward0",
         "UpsampleBilinear2DBackward0",
         "ConstantPadNdBackward0",
         "ReflectionPad2DBackward0",
         "ReplicationPad2DBackward0",
         "ScaledDotProductFlashAttentionForCpuBackward0",
         "ScaledDotProductEfficientAttentionBackward0",
         "ScaledDotProductFlashAttentionBackward0"});
    add(Rule::kMatrix, {"AddmmBackward0", "MmBackward0"});
    add(Rule::kBatchMatrix, {"BmmBackward0", "BaddbmmBackward0"});
    add(Rule::kPermute, {"PermuteBackward0", "TransposeBackward0", "TBackward0"});
    add(Rule::kAlong,
        {"SoftmaxBackward0", "LogSoftmaxBackward0", "SliceBackward0", "CatBackward0"});
    add(Rule::kReduce, {"MeanBackward1", "SumBackward1"});
    add(Rule::kSelect, {"SelectBackward0"});
    add(Rule::kSplit, {"SplitBackward0", "SplitWithSizesBackward0"});
    add(Rule::kBatchNorm, {"NativeBatchNormBackward0"});
    add(Rule::kNormalize, {"NativeLayerNormBackward0", "FusedRmsNormBackward0"});
    return table;
  }();
  const auto found = rules.find(name);
  return found == rules.end() ? Rule::kMixes : found->second;
}

std::size_t matrix_input(const std::string& name) { return name == "AddmmBackward0" ? 1 : 0; }

std::size_t permuted(const Node& node, std::size_t dim, std::size_t dims) {
  if (const auto* permute = dynamic_cast<const gen::PermuteBackward0*>(&node)) {
    return wrap(permute->dims[dim], dims);
  }
  std::size_t a = 0;
  std::size_t b = 1;
  if (const auto* transpose = dynamic_cast<const gen::TransposeBackward0*>(&node)) {
    a = wrap(transpose->dim0, dims);
    b = wrap(transpose->dim1, dims);
  }
  return dim == a ? b : dim == b ? a : dim;
}

std::size_t along(const Node& node, std::size_t dims) {
  if (const auto* softmax = dynamic_cast<const gen::SoftmaxBackward0*>(&node)) {
    return wrap(softmax->dim, dims);
  }
  if (const auto* log_softmax = dynamic_cast<const gen::LogSoftmaxBackward0*>(&node)) {
    return wrap(log_softmax->dim, dims);
  }
  if (const auto* slice = dynamic_cast<const gen::SliceBackward0*>(&node)) {
    return wrap(slice->dim, dims);
  }
  return wrap(dynamic_cast<const gen::CatBackward0*>(&node)->dim, dims);
}

// The dimension of the input that becomes dimension `dim` of a sum or mean.
std::size_t unreduced(const Node& node, std::size_t dim, std::size_t dims) {
  std::vector<bool> reduced(dims, false);
  bool keep = false;
  const auto read = [&](const auto& op) {
    keep = op.keepdim;
    const auto& list = op.dim.list;
    if (!list.has_value() || list->empty()) reduced.assign(dims, true);
    if (list.has_value()) {
      for (const std::int64_t d : *list) reduced[wrap(d, dims)] = true;
    }
  };
  if (const auto* mean = dynamic_cast<const gen::MeanBackward1*>(&node)) read(*mean);
  if (const auto* sum = dynamic_cast<const gen::SumBackward1*>(&node)) read(*sum);
  if (keep) return reduced[dim] ? dims : dim;
  std::size_t kept = 0;
  for (std::size_t d = 0; d < dims; ++d) {
    if (reduced[d]) continue;
    if (kept++ == dim) return d;
  }
  return dims;
}

// The batch, `own` elements apart in dimension `dim` of the output, goes to dimension `to` of the
// input.
std::int64_t moved(
    std::size_t dim, std::int64_t own, const Shape& out, const Shape& in, std::size_t to) {
  if (to >= in.size() || in[to] != out[dim]) return BatchFlow::kUnknown;
  return own * stride_of(in, to);
}

}  // namespace

BatchFlow::BatchFlow(const Trunk& trunk, const JointBatch& batch) : batch_(batch.examples.size()) {
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
        set_inner(edges[j], inner_below(*node, j));
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

std::optional<BatchFlow::BatchDim> BatchFlow::locate(const Shape& shape, std::int64_t inner) const {
  if (inner == kUnknown) return std::nullopt;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    const std::int64_t stride = stride_of(shape, d);
    if (inner % stride != 0) continue;
    const std::int64_t own = inner / stride;
    if (own * batch_ <= shape[d] && shape[d] % (own * batch_) == 0) return BatchDim{d, own};
  }
  return std::nullopt;
}

std::int64_t BatchFlow::inner_below(const Node& node, std::size_t edge_index) const {
  const Edge& edge = node.next_edge(edge_index);
  const Shape in = shape_at(*edge.function, edge.input_nr);
  const std::string name = node.name();
  const Rule rule = flow_of(name);
  if (rule == Rule::kMixes) return kUnknown;
  if (rule == Rule::kSplit) return inner_below_split(node, in);
  const Shape out = shape_at(node, 0);
  const std::int64_t inner = inner_at(node, 0);
  const auto at = locate(out, inner);
  if (!at) return kUnknown;
  switch (rule) {
    case Rule::kReshape:
      return numel(in) == numel(out) ? inner : kUnknown;
    case Rule::kElementwise: {
      // Broadcasting aligns dimensions from the right.
      const std::size_t lead = out.size() - in.size();
      if (in.size() > out.size() || at->dim < lead) return kUnknown;
      return moved(at->dim, at->inner, out, in, at->dim - lead);
    }
    case Rule::kLeading:
      return at->dim == 0 && at->inner == 1 ? moved(at->dim, at->inner, out, in, 0) : kUnknown;
    case Rule::kLastReduced:
      return at->dim + 1 < out.size() ? moved(at->dim, at->inner, out, in, at->dim) : kUnknown;
    case Rule::kMatrix:
      return edge_index == matrix_input(name) && at->dim == 0
                 ? moved(at->dim, at->inner, out, in, 0)
                 : kUnknown;
    case Rule::kBatchMatrix:
      return at->dim == 0 ? moved(at->dim, at->inner, out, in, 0) : kUnknown;
    case Rule::kPermute:
      return moved(at->dim, at->inner, out, in, permuted(node, at->dim, out.size()));
    case Rule::kAlong:
      return at->dim != along(node, out.size()) ? moved(at->dim, at->inner, out, in, at->dim)
                                                : kUnknown;
    case Rule::kReduce:
      return moved(at->dim, at->inner, out, in, unreduced(node, at->dim, in.size()));
    case Rule::kSelect: {
      const auto* select = dynamic_cast<const gen::SelectBackward0*>(&node);
      const std::size_t gone = wrap(select->dim, in.size());
      return moved(at->dim, at->inner, out, in, at->dim < gone ? at->dim : at->dim + 1);
    }
    case Rule::kBatchNorm: {
      const auto* norm = dynamic_cast<const gen::NativeBatchNormBackward0*>(&node);
      // Statistics of the whole batch make every example depend on every other.
      return norm != nullptr && !norm->training && edge_index == 0
                 ? moved(at->dim, at->inner, out, in, at->dim)
                 : kUnknown;
    }
    case Rule::kNormalize:
      return edge_index == 0 ? moved(at->dim, at->inner, out, in, at->dim) : kUnknown;
    case Rule::kSplit:
    case Rule::kMixes:
      break;
  }
  return kUnknown;
}

std::int64_t BatchFlow::inner_below_split(const Node& node, const Shape& in) const {
  std::size_t dim = 0;
  if (const auto* split = dynamic_cast<const gen::SplitBackward0*>(&node)) {
    dim = wrap(split->dim, in.size());
  } else if (const auto* sized = dynamic_cast<const gen::SplitWithSizesBackward0*>(&node)) {
    dim = wrap(sized->dim, in.size());
  }
  std::int64_t result = -1;
  for (std::uint32_t i = 0; i < node.num_inputs(); ++i) {
    const std::int64_t inner = inner_at(node, i);
    if (inner == kUnknown) continue;  // an unused part
    const Shape out = shape_at(node, i);
    const auto at = locate(out, inner);
    const std::int64_t below =
        at && at->dim != dim ? moved(at->dim, at->inner, out, in, at->dim) : std::int64_t{kUnknown};
    if (result >= 0 && below != result) return kUnknown;
    result = below;
  }
  return std::max<std::int64_t>(result, kUnknown);
}

}  // namespace detente::autograd

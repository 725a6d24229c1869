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
  kBatchMatrix,  // one product per entry of dimension 0, which may be the batch
  kPermute,
  kAlong,   // works along one dimension of the output
  kReduce,  // sum or mean over dimensions
  kSelect,
  kStack,
  kRepeat,
  kIndex,
  kSplit,
  kBatchNorm,
  kNormalize,  // per example, input first
  kLookUp,     // of the input's rows; the indices are the examples'
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
    add(Rule::kElementwise,
        {"AddBackward0",           "AddBackward1",         "SubBackward0",
         "SubBackward1",           "RsubBackward1",        "MulBackward0",
         "MulBackward1",           "DivBackward0",         "DivBackward1",
         "NegBackward0",           "ReluBackward0",        "GeluBackward0",
         "TanhBackward0",          "SigmoidBackward0",     "SiluBackward0",
         "MishBackward0",          "EluBackward0",         "LeakyReluBackward0",
         "LeakyReluBackward1",     "SoftplusBackward0",    "HardtanhBackward0",
         "HardtanhBackward1",      "HardswishBackward0",   "HardsigmoidBackward0",
         "ExpBackward0",           "LogBackward0",         "Log1PBackward0",
         "SqrtBackward0",          "RsqrtBackward0",       "AbsBackward0",
         "PowBackward0",           "PowBackward1",         "SquareBackward0",
         "ReciprocalBackward0",    "SinBackward0",         "CosBackward0",
         "ErfBackward0",           "ClampBackward0",       "ClampBackward1",
         "ClampMinBackward0",      "ClampMaxBackward0",    "NativeDropoutBackward0",
         "MaskedFillBackward0",    "WhereBackward0",       "ExpandBackward0",
         "MaximumBackward0",       "MinimumBackward0",     "ThresholdBackward0",
         "ThresholdBackward1",     "LogSigmoidBackward0",  "FmodBackward0",
         "RemainderBackward0",     "CeluBackward0",        "SoftshrinkBackward0",
         "HardshrinkBackward0",    "Expm1Backward0",       "Log2Backward0",
         "Log10Backward0",         "TanBackward0",         "SinhBackward0",
         "CoshBackward0",          "AsinBackward0",        "AcosBackward0",
         "AtanBackward0",          "Atan2Backward0",       "ErfcBackward0",
         "NanToNumBackward0",      "PreluKernelBackward0", "AddcmulBackward0",
         "AddcdivBackward0",       "LerpBackward0",        "LerpBackward1",
         "TrilBackward0",          "TriuBackward0",        "LogitBackward0",
         "CopysignBackward0",      "ClampMinBackward1",    "ClampMaxBackward1",
         "RreluWithNoiseBackward0"});
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
         "UpsampleNearest1DBackward0",
         "UpsampleNearest2DBackward0",
         "UpsampleNearestExact2DBackward0",
         "UpsampleLinear1DBackward0",
         "UpsampleBilinear2DBackward0",
         "UpsampleBicubic2DBackward0",
         "PixelShuffleBackward0",
         "PixelUnshuffleBackward0",
         "Im2ColBackward0",
         "GridSampler2DBackward0",
         "ReflectionPad1DBackward0",
         "ReplicationPad1DBackward0",
         "ConstantPadNdBackward0",
         "ReflectionPad2DBackward0",
         "ReplicationPad2DBackward0",
         "ScaledDotProductFlashAttentionForCpuBackward0",
         "ScaledDotProductEfficientAttentionBackward0",
         "ScaledDotProductFlashAttentionBackward0",
         "ScaledDotProductCudnnAttentionBackward0",
         "ScaledDotProductFusedAttentionOverrideableBackward0"});
    add(Rule::kMatrix, {"AddmmBackward0", "MmBackward0"});
    add(Rule::kBatchMatrix, {"BmmBackward0", "BaddbmmBackward0"});
    add(Rule::kPermute, {"PermuteBackward0", "TransposeBackward0", "TBackward0"});
    add(Rule::kAlong,
        {"SoftmaxBackward0",
         "LogSoftmaxBackward0",
         "SafeSoftmaxBackward0",
         "SliceBackward0",
         "CatBackward0",
         "CumsumBackward0",
         "CumprodBackward0",
         "IndexSelectBackward0",
         "GatherBackward0",
         "GluBackward0",
         "TopkBackward0",
         "SortBackward0",
         "UnfoldBackward0",
         "RollBackward0",
         "FlipBackward0"});
    add(Rule::kReduce,
        {"MeanBackward1",
         "SumBackward1",
         "AmaxBackward0",
         "AminBackward0",
         "MaxBackward0",
         "MinBackward0",
         "VarBackward0",
         "StdBackward0",
         "LogsumexpBackward0",
         "LinalgVectorNormBackward0",
         "NormBackward1",
         "ProdBackward1"});
    add(Rule::kSelect, {"SelectBackward0"});
    add(Rule::kStack, {"StackBackward0"});
    add(Rule::kRepeat, {"RepeatBackward0"});
    add(Rule::kIndex, {"IndexBackward0"});
    add(Rule::kSplit,
        {"SplitBackward0", "SplitWithSizesBackward0", "UnsafeSplitBackward0", "UnbindBackward0"});
    add(Rule::kBatchNorm, {"NativeBatchNormBackward0"});
    add(Rule::kLookUp, {"EmbeddingBackward0"});
    add(Rule::kNormalize, {"NativeLayerNormBackward0", "FusedRmsNormBackward0"});
    return table;
  }();
  const auto found = rules.find(name);
  return found == rules.end() ? Rule::kMixes : found->second;
}

// Of a product of matrices: the left factor's edge. An addend comes before it.
std::size_t left_factor(const std::string& name) {
  return name == "AddmmBackward0" || name == "BaddbmmBackward0" ? 1 : 0;
}

// A kind that works on dimension 0 as the batch and has parameters for arguments after the first.
bool has_parameters(const std::string& name) {
  return name == "ConvolutionBackward0" || name == "NativeGroupNormBackward0";
}

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

// A node keeps the dimensions it works on as one number, a list, or a list that may be missing; the
// last, missing or empty, means all.
void mark(std::int64_t dim, std::vector<bool>& marked) { marked[wrap(dim, marked.size())] = true; }
void mark(const std::vector<std::int64_t>& list, std::vector<bool>& marked) {
  for (const std::int64_t d : list) mark(d, marked);
}
template <class OptionalList>
auto mark(const OptionalList& dims, std::vector<bool>& marked) -> decltype(dims.list, void()) {
  if (!dims.list.has_value() || dims.list->empty()) marked.assign(marked.size(), true);
  if (dims.list.has_value()) {
    for (const std::int64_t d : *dims.list) mark(d, marked);
  }
}

// Tries kinds of nodes until the node is of one.
template <class... Kinds, class Read>
void read_as(const Node& node, const Read& read) {
  const auto try_kind = [&]<class Kind>(const Kind*) {
    const auto* op = dynamic_cast<const Kind*>(&node);
    if (op != nullptr) read(*op);
    return op != nullptr;
  };
  (try_kind(static_cast<const Kinds*>(nullptr)) || ...);
}

// The dimensions of `dims` that the node works along.
std::vector<bool> along(const Node& node, std::size_t dims) {
  std::vector<bool> marked(dims, false);
  read_as<gen::SoftmaxBackward0,
          gen::LogSoftmaxBackward0,
          gen::SafeSoftmaxBackward0,
          gen::SliceBackward0,
          gen::CatBackward0,
          gen::CumsumBackward0,
          gen::CumprodBackward0,
          gen::IndexSelectBackward0,
          gen::GatherBackward0,
          gen::GluBackward0,
          gen::TopkBackward0,
          gen::SortBackward0>(node, [&](const auto& op) { mark(op.dim, marked); });
  read_as<gen::RollBackward0, gen::FlipBackward0>(node,
                                                  [&](const auto& op) { mark(op.dims, marked); });
  if (const auto* unfold = dynamic_cast<const gen::UnfoldBackward0*>(&node)) {
    marked[wrap(unfold->dimension, dims - 1)] = true;  // of the input, which has one less
    marked[dims - 1] = true;
  }
  return marked;
}

// The dimension of the input that becomes dimension `dim` of a sum, a mean, a norm, ...
std::size_t unreduced(const Node& node, std::size_t dim, std::size_t dims) {
  std::vector<bool> reduced(dims, false);
  bool keep = false;
  read_as<gen::MeanBackward1,
          gen::SumBackward1,
          gen::AmaxBackward0,
          gen::AminBackward0,
          gen::MaxBackward0,
          gen::MinBackward0,
          gen::VarBackward0,
          gen::StdBackward0,
          gen::LogsumexpBackward0,
          gen::LinalgVectorNormBackward0,
          gen::NormBackward1,
          gen::ProdBackward1>(node, [&](const auto& op) {
    keep = op.keepdim;
    mark(op.dim, reduced);
  });
  if (keep) return reduced[dim] ? dims : dim;
  std::size_t kept = 0;
  for (std::size_t d = 0; d < dims; ++d) {
    if (reduced[d]) continue;
    if (kept++ == dim) return d;
  }
  return dims;
}

// The dimension of the input that dimension `dim` of the output comes from, entry by entry, where one
// dimension is indexed; or where the first two are, the first by 0, 1, ... (one position of each example).
std::size_t unindexed(const Node& node, std::size_t dim, std::size_t dims) {
  const auto& index = static_cast<const gen::IndexBackward0&>(node);
  std::vector<std::pair<std::size_t, at::Tensor>> given;
  for (std::size_t d = 0; d < index.indices_.size(); ++d) {
    at::Tensor one = index.indices_[d].unpack();
    if (one.defined()) given.emplace_back(d, std::move(one));
  }
  if (given.empty() || given[0].second.scalar_type() == at::kBool) return dims;
  const auto [first, index_of] = given[0];
  if (given.size() == 1) {
    const auto made = static_cast<std::size_t>(index_of.dim());
    if (dim < first) return dim;
    return dim < first + made ? dims : dim + 1 - made;
  }
  const bool one_of_each = given.size() == 2 && first == 0 && given[1].first == 1 && dim == 0 &&
                           index_of.dim() == 1 && given[1].second.dim() == 1 &&
                           index_of.equal(at::arange(index_of.numel(), index_of.options()));
  return one_of_each ? 0 : dims;
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
    case Rule::kElementwise:
      return inner_below_elementwise(*at, out, in);
    case Rule::kLeading:
      if (at->dim != 0 || at->inner != 1) return kUnknown;
      if (edge_index > 0 && has_parameters(name)) return kBatchFree;
      return moved(at->dim, at->inner, out, in, 0);
    case Rule::kLastReduced:
      return at->dim + 1 < out.size() ? moved(at->dim, at->inner, out, in, at->dim) : kUnknown;
    case Rule::kMatrix:
    case Rule::kBatchMatrix: {
      const std::size_t left = left_factor(name);
      if (edge_index < left) return inner_below_elementwise(*at, out, in);
      if (rule == Rule::kBatchMatrix && at->dim == 0) return moved(0, at->inner, out, in, 0);
      // The batch lies in the rows of the product, or in its columns.
      const bool in_rows = at->dim + 2 == out.size();
      if (edge_index != (in_rows ? left : left + 1)) return kBatchFree;
      return moved(at->dim, at->inner, out, in, at->dim);
    }
    case Rule::kPermute:
      return moved(at->dim, at->inner, out, in, permuted(node, at->dim, out.size()));
    case Rule::kAlong:
      return !along(node, out.size())[at->dim] ? moved(at->dim, at->inner, out, in, at->dim)
                                               : std::int64_t{kUnknown};
    case Rule::kReduce:
      return moved(at->dim, at->inner, out, in, unreduced(node, at->dim, in.size()));
    case Rule::kSelect: {
      const auto* select = dynamic_cast<const gen::SelectBackward0*>(&node);
      const std::size_t gone = wrap(select->dim, in.size());
      return moved(at->dim, at->inner, out, in, at->dim < gone ? at->dim : at->dim + 1);
    }
    case Rule::kStack: {
      const std::size_t made = wrap(static_cast<const gen::StackBackward0&>(node).dim, out.size());
      if (at->dim == made) return kUnknown;
      return moved(at->dim, at->inner, out, in, at->dim < made ? at->dim : at->dim - 1);
    }
    case Rule::kRepeat: {
      // Where the batch is repeated it cannot have been before; and where it was, it may not be.
      const Repeat repeat = read_repeat(node);
      const std::size_t lead = repeat.times.size() - in.size();
      const std::int64_t wide = at->dim < lead ? 1 : in[at->dim - lead];
      if (repeat.times[at->dim] > 1) {
        return batch_ > 1 && at->inner % wide == 0 ? kBatchFree : std::int64_t{kUnknown};
      }
      return moved(at->dim, at->inner, out, in, at->dim - lead);
    }
    case Rule::kIndex: {
      const std::size_t to = unindexed(node, at->dim, in.size());
      return moved(at->dim, at->inner, out, in, to);
    }
    case Rule::kBatchNorm: {
      const auto* norm = dynamic_cast<const gen::NativeBatchNormBackward0*>(&node);
      // Statistics of the whole batch make every example depend on every other.
      if (norm == nullptr || norm->training) return kUnknown;
      return edge_index == 0 ? moved(at->dim, at->inner, out, in, at->dim)
                             : std::int64_t{kBatchFree};
    }
    case Rule::kNormalize:
      return edge_index == 0 ? moved(at->dim, at->inner, out, in, at->dim)
                             : std::int64_t{kBatchFree};
    case Rule::kLookUp:
      return batch_ > 1 ? kBatchFree : kUnknown;
    case Rule::kSplit:
    case Rule::kMixes:
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

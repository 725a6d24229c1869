// SPDX-License-Identifier: Apache-2.0
#include <detente/autograd/node_flow.h>
#include <detente/tensor/graph_compat.h>
#include <torch/csrc/autograd/generated/Functions.h>

#include <unordered_map>
#include <utility>

namespace detente::autograd {
namespace gen = torch::autograd::generated;
namespace {

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

}  // namespace

Flow flow_of(const std::string& name) {
  static const std::unordered_map<std::string, Flow> rules = [] {
    std::unordered_map<std::string, Flow> table;
    const auto add = [&](Flow flow, std::initializer_list<const char*> names) {
      for (const char* base : names) table[base] = flow;
    };
    add(Flow::kReshape,
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
    add(Flow::kElementwise,
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
    add(Flow::kLeading,
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
    add(Flow::kMatrix, {"AddmmBackward0", "MmBackward0"});
    add(Flow::kBatchMatrix, {"BmmBackward0", "BaddbmmBackward0"});
    add(Flow::kPermute, {"PermuteBackward0", "TransposeBackward0", "TBackward0"});
    add(Flow::kAlong,
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
    add(Flow::kReduce,
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
    add(Flow::kSelect, {"SelectBackward0"});
    add(Flow::kStack, {"StackBackward0"});
    add(Flow::kRepeat, {"RepeatBackward0"});
    add(Flow::kIndex, {"IndexBackward0"});
    add(Flow::kSplit,
        {"SplitBackward0", "SplitWithSizesBackward0", "UnsafeSplitBackward0", "UnbindBackward0"});
    add(Flow::kBatchNorm, {"NativeBatchNormBackward0"});
    add(Flow::kLookUp, {"EmbeddingBackward0"});
    add(Flow::kNormalize, {"NativeLayerNormBackward0", "FusedRmsNormBackward0"});
    return table;
  }();
  const auto found = rules.find(name);
  return found == rules.end() ? Flow::kMixes : found->second;
}

std::size_t left_factor(const std::string& name) {
  return name == "AddmmBackward0" || name == "BaddbmmBackward0" ? 1 : 0;
}

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

}  // namespace detente::autograd

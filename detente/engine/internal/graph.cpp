// SPDX-License-Identifier: Apache-2.0
#include <ATen/core/grad_mode.h>
#include <detente/engine/internal/gradients.h>
#include <detente/engine/internal/graph.h>
#include <detente/tensor/graph_compat.h>
#include <torch/csrc/autograd/engine.h>
#include <torch/csrc/autograd/functions/accumulate_grad.h>
#include <torch/csrc/autograd/generated/Functions.h>

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <unordered_map>
#include <unordered_set>

namespace detente::engine::internal {
namespace {

namespace gen = torch::autograd::generated;
using tensor::as_int;
using tensor::as_int_or;
using tensor::as_ints;
using tensor::shape_at;

using Shape = std::vector<std::int64_t>;

constexpr int kSharedOwner = -1;
constexpr std::int64_t kUnknown = 0;

std::int64_t numel(const Shape& shape) {
  std::int64_t n = 1;
  for (const std::int64_t size : shape) n *= size;
  return n;
}

// Elements between neighbours along `dim` in row-major order.
std::int64_t stride_of(const Shape& shape, std::size_t dim) {
  std::int64_t n = 1;
  for (std::size_t d = dim + 1; d < shape.size(); ++d) n *= shape[d];
  return n;
}

std::size_t wrap(std::int64_t dim, std::size_t dims) {
  return static_cast<std::size_t>(dim < 0 ? dim + static_cast<std::int64_t>(dims) : dim);
}

// Which losses depend on each node: one (its index) or several.
class Owners {
 public:
  void mark(Node* root, int loss) {
    stack_.assign(1, {root, loss});
    while (!stack_.empty()) {
      const auto [node, owner] = stack_.back();
      stack_.pop_back();
      const auto [entry, is_new] = owner_.try_emplace(node, owner);
      if (!is_new) {
        if (entry->second == owner || entry->second == kSharedOwner) continue;
        entry->second = kSharedOwner;
      }
      for (const Edge& edge : node->next_edges()) {
        if (edge.is_valid()) stack_.emplace_back(edge.function.get(), entry->second);
      }
    }
  }
  const std::unordered_map<Node*, int>& all() const { return owner_; }
  bool shared(Node* node) const { return owner_.at(node) == kSharedOwner; }

 private:
  std::unordered_map<Node*, int> owner_;
  std::vector<std::pair<Node*, int>> stack_;
};

// A parameter may reach its layer through a transposition or a cast.
struct Source {
  int parameter = -1;
  int transpositions = 0;
};

class Reader {
 public:
  Reader(const TensorList& losses, const TensorList& shared, std::span<const std::int64_t> given)
      : losses_(losses), shared_(shared), given_(given) {}

  Graph read() {
    for (std::size_t i = 0; i < shared_.size(); ++i) {
      const Edge edge = torch::autograd::impl::gradient_edge(shared_[i]);
      parameter_of_[edge.function.get()] = static_cast<int>(i);
    }
    for (std::size_t k = 0; k < losses_.size(); ++k) {
      owners_.mark(losses_[k].grad_fn().get(), static_cast<int>(k));
    }
    graph_.handled.assign(shared_.size(), true);
    graph_.unhandled_by.assign(shared_.size(), "");
    find_border();
    find_rows();
    follow_rows();
    look_up();
    for (Node* node : trunk_) read_uses(*node);
    // Uses above the border, by one loss alone, are not in the trunk.
    for (const auto& [node, owner] : owners_.all()) {
      if (owner == kSharedOwner) continue;
      for (const Edge& edge : node->next_edges()) {
        if (!edge.is_valid()) continue;
        const Source source = resolve(edge);
        if (source.parameter < 0) continue;
        graph_.heads_use_shared = true;
        refuse(source.parameter, *node);
      }
    }
    return std::move(graph_);
  }

 private:
  static bool is_leaf(const Node& node) {
    return dynamic_cast<const torch::autograd::AccumulateGrad*>(&node) != nullptr;
  }

  // Nodes that carry nothing but one parameter to where it is used.
  Source resolve(const Edge& edge) const {
    Source source;
    const Node* node = edge.function.get();
    for (;;) {
      const auto found = parameter_of_.find(const_cast<Node*>(node));
      if (found != parameter_of_.end()) {
        source.parameter = found->second;
        return source;
      }
      const std::string name = node->name();
      if (name == "TBackward0") {
        ++source.transpositions;
      } else if (name != "ToCopyBackward0" && name != "AliasBackward0") {
        return source;
      }
      if (node->num_outputs() != 1 || !node->next_edge(0).is_valid()) return source;
      node = node->next_edge(0).function.get();
    }
  }

  void refuse(int parameter, const Node& by) {
    const auto i = static_cast<std::size_t>(parameter);
    graph_.handled[i] = false;
    if (graph_.unhandled_by[i].empty()) graph_.unhandled_by[i] = by.name();
  }

  // The trunk: what several losses depend on, without parameters and what only carries them.
  void find_border() {
    for (const auto& [node, owner] : owners_.all()) {
      if (owner != kSharedOwner || is_leaf(*node) || carries_parameter(*node)) continue;
      trunk_.push_back(node);
    }
    // A node's topological number is larger than that of everything below it.
    std::sort(trunk_.begin(), trunk_.end(), [](const Node* a, const Node* b) {
      if (a->topological_nr() != b->topological_nr()) {
        return a->topological_nr() > b->topological_nr();
      }
      return a->sequence_nr() > b->sequence_nr();
    });
    in_trunk_.insert(trunk_.begin(), trunk_.end());
    std::unordered_set<Edge> seen;
    const auto add = [&](const Edge& edge, Node* from, int loss) {
      border_.push_back({edge, from, loss});
      if (seen.insert(edge).second) graph_.features.push_back(edge);
    };
    for (const auto& [node, owner] : owners_.all()) {
      if (owner == kSharedOwner) continue;
      for (const Edge& edge : node->next_edges()) {
        if (edge.is_valid() && in_trunk_.count(edge.function.get()) != 0) add(edge, node, owner);
      }
    }
    for (std::size_t k = 0; k < losses_.size(); ++k) {
      Node* root = losses_[k].grad_fn().get();
      if (in_trunk_.count(root) != 0) {
        add(torch::autograd::impl::gradient_edge(losses_[k]), nullptr, static_cast<int>(k));
      }
    }
    // The map has no order of its own; results must not depend on addresses.
    std::sort(graph_.features.begin(), graph_.features.end(), [](const Edge& a, const Edge& b) {
      const auto x = std::make_pair(a.function->sequence_nr(), a.input_nr);
      const auto y = std::make_pair(b.function->sequence_nr(), b.input_nr);
      return x < y;
    });
  }

  bool carries_parameter(const Node& node) const {
    const std::string name = node.name();
    if (name != "TBackward0" && name != "ToCopyBackward0" && name != "AliasBackward0") return false;
    return node.next_edge(0).is_valid() && resolve(node.next_edge(0)).parameter >= 0;
  }

  // Slices of the batch that single losses take from the border.
  struct Piece {
    std::int64_t begin = 0;
    std::int64_t end = 0;
    int loss = -1;
  };

  // A piece of the batch and the tensor it is cut from.
  bool add_slice(const Node& node, std::uint32_t output, int loss) {
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
    return add_piece(shape[0], {begin, end, loss});
  }

  bool add_piece(std::int64_t batch, const Piece& piece) {
    auto& task_of_row = graph_.rows.task_of_row;
    if (task_of_row.empty()) task_of_row.assign(static_cast<std::size_t>(batch), -1);
    if (graph_.rows.size() != batch) return false;
    for (std::int64_t r = piece.begin; r < piece.end; ++r) {
      std::int64_t& task = task_of_row[static_cast<std::size_t>(r)];
      if (task >= 0 && task != piece.loss) return false;  // a row of two tasks
      task = piece.loss;
    }
    return true;
  }

  // Decides whether the tasks have examples of their own, and where the batch enters the trunk.
  void find_rows() {
    bool known = !border_.empty();
    for (const Border& border : border_) {
      if (!known) break;
      const Edge& edge = border.edge;
      const std::string name = edge.function->name();
      if (name == "SplitBackward0" || name == "SplitWithSizesBackward0") {
        const Edge& whole = edge.function->next_edge(0);
        if (given_.empty()) known = add_slice(*edge.function, edge.input_nr, border.loss);
        origins_.push_back(whole);
        skip_.insert(edge.function.get());
        continue;
      }
      if (given_.empty()) {
        known = border.from != nullptr && border.from->num_outputs() == 1 &&
                add_slice(*border.from, 0, border.loss);
      }
      origins_.push_back(edge);
    }
    if (!given_.empty()) {
      graph_.rows.task_of_row.assign(given_.begin(), given_.end());
    } else if (!known) {
      graph_.rows.task_of_row.clear();
    }
    if (graph_.rows.task_of_row.empty()) return;
    graph_.rows.find_blocks(losses_.size());
  }

  // Where the batch lies in every tensor of the trunk.
  void follow_rows() {
    if (graph_.rows.task_of_row.empty()) return;
    const std::int64_t batch = graph_.rows.size();
    for (const Edge& edge : origins_) {
      const Shape shape = shape_at(*edge.function, edge.input_nr);
      const bool fits = !shape.empty() && shape[0] == batch;
      set_inner(edge, fits ? numel(shape) / batch : kUnknown);
    }
    for (Node* node : trunk_) {
      if (skip_.count(node) != 0) continue;
      const auto& edges = node->next_edges();
      for (std::size_t j = 0; j < edges.size(); ++j) {
        if (edges[j].is_valid() && in_trunk_.count(edges[j].function.get()) != 0) {
          set_inner(edges[j], inner_below(*node, j));
        }
      }
    }
  }

  using Place = std::pair<Node*, std::uint32_t>;

  void set_inner(const Edge& edge, std::int64_t inner) {
    const auto [entry, is_new] =
        inner_.try_emplace(Place{edge.function.get(), edge.input_nr}, inner);
    if (!is_new && entry->second != inner) entry->second = kUnknown;
  }

  // Of the node's output number `output`; several outputs (a split) must agree in what they say of
  // the input, which inner_below checks one by one.
  std::int64_t inner_at(const Node& node, std::uint32_t output) const {
    const auto found = inner_.find({const_cast<Node*>(&node), output});
    return found == inner_.end() ? kUnknown : found->second;
  }

  // A dimension of `shape` that the batch fills alone or together with others it was flattened
  // with.
  struct BatchDim {
    std::size_t dim = 0;
    std::int64_t inner = 0;  // of the dimension's own index
  };
  std::optional<BatchDim> locate(const Shape& shape, std::int64_t inner) const {
    if (inner == kUnknown) return std::nullopt;
    const std::int64_t batch = graph_.rows.size();
    for (std::size_t d = 0; d < shape.size(); ++d) {
      const std::int64_t stride = stride_of(shape, d);
      if (inner % stride != 0) continue;
      const std::int64_t own = inner / stride;
      if (own * batch <= shape[d] && shape[d] % (own * batch) == 0) return BatchDim{d, own};
    }
    return std::nullopt;
  }

  // The batch goes from dimension `at.dim` of the output to dimension `to` of the input.
  std::int64_t moved(const BatchDim& at, const Shape& out, const Shape& in, std::size_t to) const {
    if (to >= in.size() || in[to] != out[at.dim]) return kUnknown;
    return at.inner * stride_of(in, to);
  }

  std::int64_t inner_below(const Node& node, std::size_t edge_index) const {
    const Edge& edge = node.next_edge(edge_index);
    const Shape in = shape_at(*edge.function, edge.input_nr);
    const std::string name = node.name();
    const Rule rule = rule_of(name);
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
        return moved(*at, out, in, at->dim - lead);
      }
      case Rule::kLeading:
        return at->dim == 0 && at->inner == 1 ? moved(*at, out, in, 0) : kUnknown;
      case Rule::kLastReduced:
        return at->dim + 1 < out.size() ? moved(*at, out, in, at->dim) : kUnknown;
      case Rule::kMatrix:
        return edge_index == matrix_input(name) && at->dim == 0 ? moved(*at, out, in, 0) : kUnknown;
      case Rule::kBatchMatrix:
        return at->dim == 0 ? moved(*at, out, in, 0) : kUnknown;
      case Rule::kPermute:
        return moved(*at, out, in, permuted(node, at->dim, out.size()));
      case Rule::kAlong:
        return at->dim != along(node, out.size()) ? moved(*at, out, in, at->dim) : kUnknown;
      case Rule::kReduce:
        return moved(*at, out, in, unreduced(node, at->dim, in.size()));
      case Rule::kSelect: {
        const auto* select = dynamic_cast<const gen::SelectBackward0*>(&node);
        const std::size_t gone = wrap(select->dim, in.size());
        return moved(*at, out, in, at->dim < gone ? at->dim : at->dim + 1);
      }
      case Rule::kBatchNorm: {
        const auto* norm = dynamic_cast<const gen::NativeBatchNormBackward0*>(&node);
        // Statistics of the whole batch make every example depend on every other.
        return norm != nullptr && !norm->training && edge_index == 0 ? moved(*at, out, in, at->dim)
                                                                     : kUnknown;
      }
      case Rule::kNormalize:
        return edge_index == 0 ? moved(*at, out, in, at->dim) : kUnknown;
      case Rule::kSplit:
      case Rule::kMixes:
        break;
    }
    return kUnknown;
  }

  std::int64_t inner_below_split(const Node& node, const Shape& in) const {
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
          at && at->dim != dim ? moved(*at, out, in, at->dim) : std::int64_t{kUnknown};
      if (result >= 0 && below != result) return kUnknown;
      result = below;
    }
    return std::max<std::int64_t>(result, kUnknown);
  }

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

  static Rule rule_of(const std::string& name) {
    static const std::unordered_map<std::string, Rule> rules = [] {
      std::unordered_map<std::string, Rule> table;
      const auto add = [&](Rule rule, std::initializer_list<const char*> names) {
        for (const char* base : names) table[std::string(base)] = rule;
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
          {"AddBackward0",        "AddBackward1",        "SubBackward0",
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

  static std::size_t matrix_input(const std::string& name) {
    return name == "AddmmBackward0" ? 1 : 0;
  }

  static std::size_t permuted(const Node& node, std::size_t dim, std::size_t dims) {
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

  static std::size_t along(const Node& node, std::size_t dims) {
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
  static std::size_t unreduced(const Node& node, std::size_t dim, std::size_t dims) {
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

  void look_up() {
    for (const auto& loss : losses_) ++graph_.above[loss.grad_fn().get()].edges;
    for (const auto& [node, owner] : owners_.all()) {
      for (const Edge& edge : node->next_edges()) {
        if (!edge.is_valid()) continue;
        Above& above = graph_.above[edge.function.get()];
        above.node = node;
        ++above.edges;
      }
    }
  }

  // LibTorch 2 computes a Linear layer of inputs of three or more dimensions as a product of
  // matrices, a view and a sum with the bias. Where nothing else uses or watches what lies between,
  // the gradient at the product is that at the sum, and the bias belongs to the product's rows.
  bool add_to_product(Node& sum, int side, const Source& bias) {
    const Edge& rows = sum.next_edge(1 - static_cast<std::size_t>(side));
    if (static_cast<const gen::AddBackward0&>(sum).alpha.toDouble() != 1.0 || !rows.is_valid() ||
        bias.parameter < 0 || bias.transpositions > 0) {
      return false;
    }
    Node* product = product_below(*rows.function);
    if (product == nullptr) return false;
    const at::Tensor& parameter = shared_[static_cast<std::size_t>(bias.parameter)];
    const Shape out = shape_at(*product, 0);
    const Shape shape = shape_at(sum, 0);
    if (out.size() != 2 || parameter.dim() != 1 || parameter.size(0) != out[1] || shape.empty() ||
        shape.back() != out[1] || shape != shape_at(*rows.function, rows.input_nr)) {
      return false;
    }
    added_bias_[product] = bias.parameter;
    return true;
  }

  // The product with a parameter that `top` is, or views.
  Node* product_below(Node& top) const {
    for (Node* node = &top;; node = node->next_edge(0).function.get()) {
      if (graph_.above.at(node).edges != 1 || tensor::has_hooks(*node)) return nullptr;
      const std::string name = node->name();
      if (name == "MmBackward0") {
        const Edge& weight = node->next_edge(1);
        return weight.is_valid() && resolve(weight).parameter >= 0 ? node : nullptr;
      }
      const bool views = name == "UnsafeViewBackward0" || name == "ViewBackward0";
      if (!views || !node->next_edge(0).is_valid()) return nullptr;
    }
  }

  void read_uses(Node& node) {
    const std::string name = node.name();
    const auto& edges = node.next_edges();
    std::vector<Source> sources(edges.size());
    bool any = false;
    for (std::size_t j = 0; j < edges.size(); ++j) {
      if (edges[j].is_valid()) sources[j] = resolve(edges[j]);
      any = any || sources[j].parameter >= 0;
    }
    if (!any) return;
    LayerUse use;
    use.node = &node;
    use.inner = inner_at(node, 0);
    // Which edge may carry which parameter.
    int weight_edge = -1;
    int bias_edge = -1;
    if (name == "AddmmBackward0") {
      const auto& addmm = static_cast<const gen::AddmmBackward0&>(node);
      if (addmm.alpha.toDouble() == 1.0 && addmm.beta.toDouble() == 1.0) {
        use.kind = LayerKind::kLinear;
        bias_edge = 0;
        weight_edge = 2;
      }
    } else if (name == "MmBackward0") {
      use.kind = LayerKind::kLinear;
      weight_edge = 1;
    } else if (name == "ConvolutionBackward0") {
      if (!static_cast<const gen::ConvolutionBackward0&>(node).transposed) {
        use.kind = LayerKind::kConvolution;
        weight_edge = 1;
        bias_edge = 2;
      }
    } else if (name == "EmbeddingBackward0") {
      const auto& embedding = static_cast<const gen::EmbeddingBackward0&>(node);
      if (!embedding.scale_grad_by_freq) {
        use.kind = LayerKind::kEmbedding;
        weight_edge = 0;
      }
    } else if (name == "NativeLayerNormBackward0" || name == "NativeGroupNormBackward0" ||
               name == "NativeBatchNormBackward0") {
      use.kind = LayerKind::kScaleShift;
      weight_edge = 1;
      bias_edge = 2;
    } else if (name == "AddBackward0" || name == "MulBackward0") {
      use.kind = LayerKind::kScaleShift;
      // The parameter may stand on either side; on both it is beyond this rule.
      const int side = sources[0].parameter >= 0 ? 0 : 1;
      if (sources[1 - static_cast<std::size_t>(side)].parameter < 0) {
        if (name == "AddBackward0" &&
            add_to_product(node, side, sources[static_cast<std::size_t>(side)])) {
          return;
        }
        (name == "AddBackward0" ? bias_edge : weight_edge) = side;
        use.side = side;
      }
    }
    const auto take = [&](int edge, int& parameter) {
      if (edge < 0) return;
      const auto e = static_cast<std::size_t>(edge);
      if (e < sources.size()) parameter = sources[e].parameter;
    };
    take(weight_edge, use.weight);
    take(bias_edge, use.bias);
    if (const auto added = added_bias_.find(&node); added != added_bias_.end()) {
      use.bias = added->second;
    }
    if (use.kind == LayerKind::kLinear && use.weight >= 0) {
      use.weight_is_out_in = sources[static_cast<std::size_t>(weight_edge)].transpositions % 2 == 1;
    }
    for (std::size_t j = 0; j < sources.size(); ++j) {
      const int parameter = sources[j].parameter;
      if (parameter < 0) continue;
      const bool expected = static_cast<int>(j) == weight_edge || static_cast<int>(j) == bias_edge;
      const bool turned = sources[j].transpositions > 0 &&
                          !(use.kind == LayerKind::kLinear && static_cast<int>(j) == weight_edge);
      if (!expected || turned || cannot_apply(use, node, static_cast<int>(j) == bias_edge)) {
        refuse(parameter, node);
        if (use.weight == parameter) use.weight = -1;
        if (use.bias == parameter) use.bias = -1;
      }
    }
    if (use.weight >= 0 || use.bias >= 0) graph_.uses.push_back(use);
  }

  // What layers.cpp cannot do.
  bool cannot_apply(const LayerUse& use, const Node& node, bool is_bias) const {
    const Shape out = shape_at(node, 0);
    if (use.kind == LayerKind::kLinear && is_bias && use.bias >= 0) {
      // addmm also adds whole matrices.
      return shared_[static_cast<std::size_t>(use.bias)].dim() != 1;
    }
    return out.empty();
  }

  struct Border {
    Edge edge;
    Node* from = nullptr;
    int loss = -1;
  };

  const TensorList& losses_;
  const TensorList& shared_;
  std::span<const std::int64_t> given_;
  Owners owners_;
  std::unordered_map<Node*, int> parameter_of_;
  std::vector<Node*> trunk_;  // parents before children
  std::unordered_set<Node*> in_trunk_;
  std::unordered_set<Node*> skip_;  // splits along the batch at the border
  std::vector<Border> border_;
  std::vector<Edge> origins_;
  std::map<Place, std::int64_t> inner_;
  std::unordered_map<const Node*, int> added_bias_;  // by product; read after the sum above it
  Graph graph_;
};

}  // namespace

Edge LayerUse::output() const { return Edge(tensor::owner_of(*node), 0); }

void RowAssignment::find_blocks(std::size_t tasks) {
  begin.assign(tasks, 0);
  end.assign(tasks, 0);
  contiguous = true;
  for (std::size_t r = 0; r < task_of_row.size(); ++r) {
    if (task_of_row[r] < 0) continue;
    const auto k = static_cast<std::size_t>(task_of_row[r]);
    const auto row = static_cast<std::int64_t>(r);
    if (end[k] == 0) {
      begin[k] = row;
    } else if (end[k] != row) {
      contiguous = false;
    }
    end[k] = row + 1;
  }
}

Graph read_graph(const TensorList& losses,
                 const TensorList& shared,
                 std::span<const std::int64_t> given) {
  return Reader(losses, shared, given).read();
}

const Node* parameter_behind(const Node* node) {
  while (dynamic_cast<const torch::autograd::AccumulateGrad*>(node) == nullptr) {
    if (node->num_outputs() != 1 || !node->next_edge(0).is_valid()) return nullptr;
    node = node->next_edge(0).function.get();
  }
  return node;
}

TensorList gradients_at(const std::vector<Edge>& roots,
                        const TensorList& root_gradients,
                        const std::vector<Edge>& wanted,
                        bool keep_graph) {
  return dense(torch::autograd::Engine::get_default_engine().execute(roots,
                                                                     root_gradients,
                                                                     keep_graph,
                                                                     /*create_graph=*/false,
                                                                     /*accumulate_grad=*/false,
                                                                     wanted));
}

}  // namespace detente::engine::internal

// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <detente/engine/internal/row_chain.h>
#include <detente/tensor/graph_compat.h>
#include <detente/tensor/parallel.h>
#include <torch/csrc/autograd/generated/Functions.h>

#include <algorithm>
#include <string>
#include <unordered_map>
#include <unordered_set>

namespace detente::engine::internal {
namespace {

namespace gen = torch::autograd::generated;
using tensor::shape_at;

// What a core's second cache holds of one layer's rows (docs/engine.md has the measurement): tasks
// go through the chain together up to this size, and a batch below it gains nothing.
constexpr std::int64_t kChainBytes = std::int64_t{1} << 20;
// Threads take whole tasks; shares this unequal are slower than all threads on each layer.
constexpr double kChainBalance = 0.8;

// An activation's backward for some rows: `in` = `out`'s gradient times the derivative at `saved`.
// `in` may be the same tensor as `out`.
using Backward = void (*)(const Node&, at::Tensor& in, const at::Tensor& out, const at::Tensor&);

struct Activation {
  at::Tensor (*saved)(Node&);
  Backward backward;
};

template <class Op>
at::Tensor saved_result(Node& node) {
  return static_cast<Op&>(node).result_.unpack(tensor::owner_of(node));
}
template <class Op>
at::Tensor saved_self(Node& node) {
  return static_cast<Op&>(node).self_.unpack();
}

// Null for anything that is not known to act on every number by itself.
const Activation* activation_of(const Node& node) {
  static const std::unordered_map<std::string, Activation> known = {
      {"ReluBackward0",
       {saved_result<gen::ReluBackward0>,
        [](const Node&, at::Tensor& in, const at::Tensor& out, const at::Tensor& saved) {
          at::threshold_backward_out(in, out, saved, 0);
        }}},
      {"TanhBackward0",
       {saved_result<gen::TanhBackward0>,
        [](const Node&, at::Tensor& in, const at::Tensor& out, const at::Tensor& saved) {
          at::tanh_backward_out(in, out, saved);
        }}},
      {"SigmoidBackward0",
       {saved_result<gen::SigmoidBackward0>,
        [](const Node&, at::Tensor& in, const at::Tensor& out, const at::Tensor& saved) {
          at::sigmoid_backward_out(in, out, saved);
        }}},
      {"SiluBackward0",
       {saved_self<gen::SiluBackward0>,
        [](const Node&, at::Tensor& in, const at::Tensor& out, const at::Tensor& saved) {
          at::silu_backward_out(in, out, saved);
        }}},
      {"GeluBackward0",
       {saved_self<gen::GeluBackward0>,
        [](const Node& node, at::Tensor& in, const at::Tensor& out, const at::Tensor& saved) {
          const auto& gelu = static_cast<const gen::GeluBackward0&>(node);
          at::gelu_backward_out(in, out, saved, gelu.approximate);
        }}},
      {"LeakyReluBackward0",
       {saved_self<gen::LeakyReluBackward0>,
        [](const Node& node, at::Tensor& in, const at::Tensor& out, const at::Tensor& saved) {
          const auto& leaky = static_cast<const gen::LeakyReluBackward0&>(node);
          at::leaky_relu_backward_out(in, out, saved, leaky.negative_slope, false);
        }}},
      {"EluBackward0",
       {saved_self<gen::EluBackward0>,
        [](const Node& node, at::Tensor& in, const at::Tensor& out, const at::Tensor& saved) {
          const auto& elu = static_cast<const gen::EluBackward0&>(node);
          at::elu_backward_out(
              in, out, elu.alpha, elu.scale, elu.input_scale, /*is_result=*/false, saved);
        }}},
      // Dropout: times a mask.
      {"MulBackward0",
       {[](Node& node) { return static_cast<gen::MulBackward0&>(node).other_.unpack(); },
        [](const Node&, at::Tensor& in, const at::Tensor& out, const at::Tensor& saved) {
          at::mul_out(in, out, saved);
        }}},
  };
  const auto found = known.find(node.name());
  return found == known.end() ? nullptr : &found->second;
}

bool has_addend(const Node& node) { return node.name() == "AddmmBackward0"; }

// The edge that the rows' gradient takes.
const Edge& below(const RowChain::Link& link) {
  return link.node->next_edge(link.use >= 0 && has_addend(*link.node) ? 1 : 0);
}

class Finder {
 public:
  Finder(const TensorList& losses,
         const Graph& graph,
         const std::vector<LayerInput>& inputs,
         const std::vector<bool>& by_rows)
      : graph_(graph), inputs_(inputs), by_rows_(by_rows) {
    for (std::size_t u = 0; u < graph.uses.size(); ++u) {
      use_of_[graph.uses[u].node] = static_cast<int>(u);
    }
    read(losses);
  }

  RowChain find() {
    RowChain best;
    double most = 0;
    for (const LayerUse& use : graph_.uses) {
      if (use.kind != LayerKind::kLinear || in_chain_.contains(use.node)) continue;
      RowChain chain = through(*use.node);
      if (chain.links.size() < 2 || !pays(chain) || !find_below(chain)) continue;
      const double size = arithmetic(chain);
      if (size > most) {
        most = size;
        best = std::move(chain);
      }
    }
    return best;
  }

 private:
  struct Above {
    Node* node = nullptr;  // the last one seen
    int edges = 0;
  };

  void read(const TensorList& losses) {
    std::unordered_set<Node*> seen;
    std::vector<Node*> stack;
    for (const auto& loss : losses) {
      Node* node = loss.grad_fn().get();
      ++above_[node].edges;
      if (seen.insert(node).second) stack.push_back(node);
    }
    while (!stack.empty()) {
      Node* node = stack.back();
      stack.pop_back();
      for (const Edge& edge : node->next_edges()) {
        if (!edge.is_valid()) continue;
        Node* next = edge.function.get();
        Above& above = above_[next];
        above.node = node;
        ++above.edges;
        if (seen.insert(next).second) stack.push_back(next);
      }
    }
  }

  // The longest chain with `node`, which is left out of further ones.
  RowChain through(Node& node) {
    RowChain chain;
    RowChain::Link link;
    if (!able(node, link)) return chain;
    const std::int64_t rows = shape_at(node, 0)[0];
    RowChain::Link top = link;
    for (;;) {
      const auto above = above_.find(top.node);
      if (above == above_.end() || above->second.edges != 1 || above->second.node == nullptr) break;
      RowChain::Link next;
      if (!able(*above->second.node, next) || shape_at(*next.node, 0)[0] != rows ||
          below(next).function.get() != top.node) {
        break;
      }
      top = next;
    }
    for (;;) {
      chain.links.push_back(top);
      in_chain_.insert(top.node);
      const Edge& edge = below(top);
      if (!edge.is_valid()) break;
      RowChain::Link next;
      if (above_[edge.function.get()].edges != 1 || !able(*edge.function, next) ||
          shape_at(*next.node, 0)[0] != rows) {
        break;
      }
      top = next;
    }
    chain.exit = below(chain.links.back());
    return chain;
  }

  // False when there is a way around the chain.
  bool find_below(RowChain& chain) const {
    if (!chain.exit.is_valid()) return true;
    std::unordered_map<const Node*, int> edges;  // into each node, from the chain or below
    std::vector<const Node*> stack = {chain.exit.function.get()};
    edges[stack[0]] = 1;
    while (!stack.empty()) {
      const Node* node = stack.back();
      stack.pop_back();
      chain.below.insert(node);
      for (const Edge& edge : node->next_edges()) {
        if (edge.is_valid() && ++edges[edge.function.get()] == 1) {
          stack.push_back(edge.function.get());
        }
      }
    }
    return std::all_of(edges.begin(), edges.end(), [&](const auto& entry) {
      return entry.second == above_.at(entry.first).edges || parameter_behind(entry.first);
    });
  }

  bool able(Node& node, RowChain::Link& link) const {
    if (tensor::has_hooks(node) || shape_at(node, 0).size() != 2) return false;
    link.node = &node;
    if (const auto found = use_of_.find(&node); found != use_of_.end()) {
      link.use = found->second;
      return able(graph_.uses[static_cast<std::size_t>(link.use)]);
    }
    const Activation* activation = activation_of(node);
    if (activation == nullptr || !node.next_edge(0).is_valid()) return false;
    for (std::size_t e = 1; e < node.num_outputs(); ++e) {
      if (node.next_edge(e).is_valid()) return false;
    }
    // A product with a tensor of another shape or type is no mask.
    return node.name() != "MulBackward0" ||
           fits(static_cast<gen::MulBackward0&>(node).other_.unpack(), node);
  }

  bool able(const LayerUse& use) const {
    const LayerInput& layer = inputs_[static_cast<std::size_t>(&use - graph_.uses.data())];
    if (use.kind != LayerKind::kLinear || use.inner == 0) return false;
    if (layer.input.defined() && layer.input.dim() != 2) return false;
    const std::size_t first = has_addend(*use.node) ? 1 : 0;
    const bool bias_edge = first == 1 && use.node->next_edge(0).is_valid();
    const bool weight_edge = use.node->next_edge(first + 1).is_valid();
    if (bias_edge != (use.bias >= 0) || weight_edge != (use.weight >= 0)) return false;
    for (const int p : {use.weight, use.bias}) {
      if (p >= 0 && !by_rows_[static_cast<std::size_t>(p)]) return false;
    }
    // Every row of one example, and the examples one after the other.
    const auto shape = shape_at(*use.node, 0);
    return shape[0] * shape[1] == use.inner * graph_.rows.size();
  }

  static bool fits(const at::Tensor& saved, const Node& node) {
    return saved.defined() && saved.sizes().vec() == shape_at(node, 0) &&
           c10::isFloatingType(saved.scalar_type());
  }

  bool pays(const RowChain& chain) const {
    const RowAssignment& rows = graph_.rows;
    const at::Tensor* input = nullptr;
    std::int64_t width = 0;
    for (const RowChain::Link& link : chain.links) {
      width = std::max(width, shape_at(*link.node, 0)[1]);
      if (link.use < 0) continue;
      const at::Tensor& x = inputs_[static_cast<std::size_t>(link.use)].input;
      if (!x.defined()) continue;  // only the bias is trained
      if (input != nullptr && x.scalar_type() != input->scalar_type()) return false;
      input = &x;
    }
    if (!rows.contiguous || input == nullptr || !input->is_cpu()) return false;
    const auto type = input->scalar_type();
    if (type != at::kFloat && type != at::kDouble) return false;
    const std::int64_t bytes =
        width * input->element_size() * (input->size(0) / rows.size());  // of one example
    const auto tasks = static_cast<std::int64_t>(rows.begin.size());
    const std::int64_t threads = at::in_parallel_region() ? 1 : at::get_num_threads();
    const std::int64_t each = (tasks + threads - 1) / threads;
    std::int64_t all = 0;
    std::int64_t largest = 0;  // share of a thread
    for (std::int64_t k = 0; k < tasks; k += each) {
      std::int64_t share = 0;
      for (std::int64_t j = k; j < std::min(tasks, k + each); ++j) {
        const auto i = static_cast<std::size_t>(j);
        if ((rows.end[i] - rows.begin[i]) * bytes > kChainBytes) return false;
        share += rows.end[i] - rows.begin[i];
      }
      all += share;
      largest = std::max(largest, share);
    }
    return all * bytes > kChainBytes &&
           static_cast<double>(all) >= kChainBalance * static_cast<double>(threads * largest);
  }

  double arithmetic(const RowChain& chain) const {
    double sum = 0;
    for (const RowChain::Link& link : chain.links) {
      if (link.use < 0) continue;
      const at::Tensor& x = inputs_[static_cast<std::size_t>(link.use)].input;
      if (!x.defined()) continue;
      sum += static_cast<double>(x.numel()) * static_cast<double>(shape_at(*link.node, 0)[1]);
    }
    return sum;
  }

  const Graph& graph_;
  const std::vector<LayerInput>& inputs_;
  const std::vector<bool>& by_rows_;
  std::unordered_map<const Node*, int> use_of_;
  std::unordered_map<const Node*, Above> above_;
  std::unordered_set<const Node*> in_chain_;
};

// A link with everything that it needs of the graph.
struct Work {
  const LayerUse* use = nullptr;  // Linear
  const LayerInput* layer = nullptr;
  LinkRows rows;
  at::Tensor back;             // [out, in]; undefined when no gradient goes on
  const Node* node = nullptr;  // activation
  Backward backward = nullptr;
  at::Tensor saved;  // [R, d]
};

Work prepare(const RowChain::Link& link,
             const Graph& graph,
             const std::vector<LayerInput>& inputs,
             const std::function<LinkRows(const LayerUse&)>& rows_of) {
  Work work;
  work.node = link.node;
  if (link.use < 0) {
    const Activation* activation = activation_of(*link.node);
    work.saved = activation->saved(*link.node).detach();
    work.backward = activation->backward;
    return work;
  }
  const auto u = static_cast<std::size_t>(link.use);
  work.use = &graph.uses[u];
  work.layer = &inputs[u];
  work.rows = rows_of(*work.use);
  if (below(link).is_valid()) {
    const at::Tensor weight =
        has_addend(*link.node) ? static_cast<const gen::AddmmBackward0&>(*link.node).mat2_.unpack()
                               : static_cast<const gen::MmBackward0&>(*link.node).mat2_.unpack();
    work.back = weight.detach().t();
  }
  return work;
}

// Tasks [first, last) that go through the chain together, with their rows.
struct Together {
  std::int64_t first = 0;
  std::int64_t last = 0;
  std::int64_t begin = 0;
  std::int64_t end = 0;

  std::int64_t rows() const { return end - begin; }
};

// Neighbours of tasks [first, last), as many as `limit` rows hold.
std::vector<Together> gather(const RowAssignment& rows,
                             std::int64_t within,
                             std::int64_t limit,
                             std::int64_t first,
                             std::int64_t last) {
  std::vector<Together> result;
  for (std::int64_t k = first; k < last; ++k) {
    const auto i = static_cast<std::size_t>(k);
    const std::int64_t begin = rows.begin[i] * within;
    const std::int64_t end = rows.end[i] * within;
    if (!result.empty() && result.back().end == begin && end - result.back().begin <= limit) {
      result.back().last = k + 1;
      result.back().end = end;
    } else {
      result.push_back({k, k + 1, begin, end});
    }
  }
  return result;
}

// The same tasks as a batch of their own.
RowAssignment assignment_of(const Together& tasks, const RowAssignment& rows) {
  RowAssignment own;
  own.contiguous = true;
  const std::int64_t start = rows.begin[static_cast<std::size_t>(tasks.first)];
  for (std::int64_t k = tasks.first; k < tasks.last; ++k) {
    const auto i = static_cast<std::size_t>(k);
    own.begin.push_back(rows.begin[i] - start);
    own.end.push_back(rows.end[i] - start);
  }
  own.task_of_row.resize(static_cast<std::size_t>(own.end.back()));
  return own;
}

TaskRows cut(const TaskRows& rows, const Together& tasks) {
  if (!rows.rows.defined()) return rows;
  return {rows.rows.narrow(0, tasks.first, tasks.last - tasks.first), rows.add};
}

}  // namespace

Edge RowChain::entry() const { return Edge(tensor::owner_of(*links.front().node), 0); }

RowChain find_row_chain(const TensorList& losses,
                        const Graph& graph,
                        const std::vector<LayerInput>& inputs,
                        const std::vector<bool>& by_rows) {
  const bool any = std::any_of(graph.uses.begin(), graph.uses.end(), [](const LayerUse& use) {
    return use.kind == LayerKind::kLinear;
  });
  return any ? Finder(losses, graph, inputs, by_rows).find() : RowChain();
}

at::Tensor pass_row_chain(const RowChain& chain,
                          const at::Tensor& gradient,
                          const Graph& graph,
                          const std::vector<LayerInput>& inputs,
                          const std::function<LinkRows(const LayerUse&)>& rows_of) {
  const at::NoGradGuard no_grad;
  std::vector<Work> works;
  std::int64_t width = 0;
  for (const RowChain::Link& link : chain.links) {
    works.push_back(prepare(link, graph, inputs, rows_of));
    width = std::max(width, shape_at(*link.node, 0)[1]);
  }
  const std::int64_t rows = gradient.size(0);
  const std::int64_t within = rows / graph.rows.size();
  at::Tensor exit;
  if (chain.exit.is_valid()) {
    std::int64_t examples = 0;
    for (std::size_t k = 0; k < graph.rows.begin.size(); ++k) {
      examples += graph.rows.end[k] - graph.rows.begin[k];
    }
    exit = at::empty(shape_at(*chain.exit.function, chain.exit.input_nr), gradient.options());
    if (examples < graph.rows.size()) exit.zero_();  // rows of no task
    width = std::max(width, exit.size(1));
  }
  const std::int64_t limit =
      std::max<std::int64_t>(1, kChainBytes / (width * gradient.element_size()));

  const auto take = [&](const Together& tasks, at::Tensor(&memory)[2]) {
    if (tasks.rows() == 0) {
      for (const Work& work : works) {
        for (const TaskRows& rows : {work.rows.weight, work.rows.bias}) {
          if (rows.rows.defined() && !rows.add) cut(rows, tasks).rows.zero_();
        }
      }
      return;
    }
    const RowAssignment own = assignment_of(tasks, graph.rows);
    const auto part = [&](const at::Tensor& t) { return t.narrow(0, tasks.begin, tasks.rows()); };
    at::Tensor now = part(gradient);
    int place = -1;  // of `now` in `memory`
    for (std::size_t i = 0; i < works.size(); ++i) {
      const Work& work = works[i];
      const bool last = i + 1 == works.size();
      if (work.use != nullptr) {
        LayerInput layer = *work.layer;
        if (layer.input.defined()) layer.input = part(layer.input);
        task_gradients(
            *work.use, layer, now, own, cut(work.rows.weight, tasks), cut(work.rows.bias, tasks));
        if (!work.back.defined()) break;
      }
      const std::int64_t columns = work.use != nullptr ? work.back.size(1) : now.size(1);
      at::Tensor next;
      if (last) {
        next = part(exit);
      } else if (work.use == nullptr && place >= 0) {
        next = now;
      } else {
        place = place == 0 ? 1 : 0;
        next = memory[place].narrow(0, 0, now.size(0) * columns).view({now.size(0), columns});
      }
      if (work.use != nullptr) {
        at::mm_out(next, now, work.back);
      } else {
        work.backward(*work.node, next, now, part(work.saved));
      }
      now = next;
    }
  };
  const auto tasks = static_cast<std::int64_t>(graph.rows.begin.size());
  const std::int64_t threads = at::in_parallel_region() ? 1 : at::get_num_threads();
  tensor::parallel_for(
      0, tasks, (tasks + threads - 1) / threads, [&](std::int64_t a, std::int64_t b) {
        const at::NoGradGuard no_grad_here;  // not passed on to other threads
        at::Tensor memory[2];
        const std::vector<Together> parts = gather(graph.rows, within, limit, a, b);
        std::int64_t most = 0;
        for (const Together& together : parts) most = std::max(most, together.rows());
        for (at::Tensor& one : memory) one = at::empty({most * width}, gradient.options());
        for (const Together& together : parts) take(together, memory);
      });
  return exit;
}

}  // namespace detente::engine::internal

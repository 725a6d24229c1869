// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <detente/autograd/activations.h>
#include <detente/autograd/row_chain.h>
#include <detente/tensor/graph_compat.h>
#include <detente/tensor/parallel.h>
#include <detente/tensor/relu_rows.h>
#include <torch/csrc/autograd/generated/Functions.h>

#include <algorithm>

namespace detente::autograd {
namespace {

namespace gen = torch::autograd::generated;
using tensor::shape_at;

// A link with everything that it needs of the graph.
struct Work {
  const Node* node = nullptr;
  const LayerUse* use = nullptr;  // Linear
  const LayerInput* layer = nullptr;
  UseBlocks rows;
  at::Tensor back;                         // [out, in]; undefined when no gradient goes on
  const Activation* activation = nullptr;  // otherwise
  at::Tensor saved;                        // [R, d]
  TaskBlock sums;  // the bias of the Linear layer below a rectifier, formed with it
};

Work prepare(const RowChain::Link& link,
             const Graph& graph,
             const std::vector<LayerInput>& inputs,
             const std::function<UseBlocks(const LayerUse&)>& blocks_of) {
  Work work;
  work.node = link.node;
  if (link.use < 0) {
    work.activation = activation_of(*link.node);
    work.saved = work.activation->saved(*link.node).detach();
    return work;
  }
  const auto u = static_cast<std::size_t>(link.use);
  work.use = &graph.uses[u];
  work.layer = &inputs[u];
  work.rows = blocks_of(*work.use);
  if (!link.below().is_valid()) return work;
  if (const auto* addmm = dynamic_cast<const gen::AddmmBackward0*>(link.node)) {
    work.back = addmm->mat2_.unpack().detach().t();
  } else {
    work.back = static_cast<const gen::MmBackward0&>(*link.node).mat2_.unpack().detach().t();
  }
  return work;
}

// Rows [begin, end) of the batch and what enters the chain for them (undefined: zero).
struct Piece {
  at::Tensor gradient;
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

// Tasks [first, last) that go through the chain together, with their rows.
struct Together {
  std::int64_t first = 0;
  std::int64_t last = 0;
  std::int64_t begin = 0;
  std::int64_t end = 0;

  std::int64_t rows() const { return end - begin; }
};

TaskBlock cut(const TaskBlock& rows, const Together& tasks) {
  if (!rows.rows.defined()) return rows;
  return {rows.rows.narrow(0, tasks.first, tasks.last - tasks.first), rows.add};
}

// The same tasks as a batch of their own.
ExampleTasks batch_of(const Together& tasks, const ExampleTasks& rows) {
  ExampleTasks own;
  own.contiguous = true;
  const std::int64_t start = rows.begin[static_cast<std::size_t>(tasks.first)];
  for (std::int64_t k = tasks.first; k < tasks.last; ++k) {
    const auto i = static_cast<std::size_t>(k);
    own.begin.push_back(rows.begin[i] - start);
    own.end.push_back(rows.end[i] - start);
  }
  own.task_of.resize(static_cast<std::size_t>(own.end.back()));
  return own;
}

class Passage {
 public:
  Passage(const RowChain& chain,
          const TensorList& gradients,
          const Graph& graph,
          const std::vector<LayerInput>& inputs,
          const std::function<UseBlocks(const LayerUse&)>& blocks_of)
      : examples_(graph.examples) {
    std::int64_t rows = 0;
    for (std::size_t e = 0; e < gradients.size(); ++e) {
      pieces_.push_back({gradients[e], rows, rows + chain.entry_rows[e]});
      rows = pieces_.back().end;
      if (gradients[e].defined()) options_ = gradients[e].options();
    }
    within_ = rows / examples_.size();
    for (const RowChain::Link& link : chain.links) {
      works_.push_back(prepare(link, graph, inputs, blocks_of));
      width_ = std::max(width_, shape_at(*link.node, 0)[1]);
    }
    entering_ = shape_at(*chain.links.front().node, 0)[1];
    form_biases_above();
    if (chain.exit.is_valid()) {
      exit_ = at::empty(shape_at(*chain.exit.function, chain.exit.input_nr), options_);
      width_ = std::max(width_, exit_.size(1));
      std::int64_t examples = 0;
      for (std::size_t k = 0; k < examples_.begin.size(); ++k) {
        examples += examples_.end[k] - examples_.begin[k];
      }
      if (examples < examples_.size()) exit_.zero_();  // rows of no task
    }
  }

  at::Tensor take_all() const {
    const auto tasks = static_cast<std::int64_t>(examples_.begin.size());
    const std::int64_t threads = at::in_parallel_region() ? 1 : at::get_num_threads();
    const std::int64_t each = (tasks + threads - 1) / threads;
    tensor::parallel_for(0, tasks, each, [&](std::int64_t first, std::int64_t last) {
      const at::NoGradGuard no_grad;  // not passed on to other threads
      const std::vector<Together> all = gather(first, last);
      std::int64_t most = 0;
      for (const Together& tasks_here : all) most = std::max(most, tasks_here.rows());
      at::Tensor memory[2];
      for (at::Tensor& one : memory) one = at::empty({most * width_}, options_);
      for (const Together& tasks_here : all) take(tasks_here, memory);
    });
    return exit_;
  }

 private:
  // The sums of what a rectifier hands down are the bias's gradient of the layer there.
  void form_biases_above() {
    for (std::size_t i = 0; i + 1 < works_.size(); ++i) {
      TaskBlock& bias = works_[i + 1].rows.bias;
      if (works_[i].activation == nullptr || !works_[i].activation->rectifier ||
          !bias.rows.defined() || bias.rows.scalar_type() != options_.dtype() ||
          !works_[i].saved.is_contiguous()) {
        continue;
      }
      works_[i].sums = bias;
      bias = {};
    }
  }

  // Neighbours among tasks [first, last), as many as the cache holds.
  std::vector<Together> gather(std::int64_t first, std::int64_t last) const {
    const std::int64_t row = width_ * static_cast<std::int64_t>(options_.dtype().itemsize());
    std::vector<Together> result;
    for (std::int64_t k = first; k < last; ++k) {
      const auto i = static_cast<std::size_t>(k);
      const std::int64_t begin = examples_.begin[i] * within_;
      const std::int64_t end = examples_.end[i] * within_;
      if (!result.empty() && result.back().end == begin &&
          (end - result.back().begin) * row <= RowChain::bytes()) {
        result.back().last = k + 1;
        result.back().end = end;
      } else {
        result.push_back({k, k + 1, begin, end});
      }
    }
    return result;
  }

  // What enters for [begin, end).
  std::vector<Piece> entering(std::int64_t begin, std::int64_t end) const {
    std::vector<Piece> result;
    for (const Piece& piece : pieces_) {
      const std::int64_t from = std::max(begin, piece.begin);
      const std::int64_t to = std::min(end, piece.end);
      if (from >= to) continue;
      result.push_back({piece.gradient, from, to});
      at::Tensor& part = result.back().gradient;
      if (part.defined()) part = part.narrow(0, from - piece.begin, to - from);
    }
    return result;
  }

  void take(const Together& tasks, at::Tensor (&memory)[2]) const {
    if (tasks.rows() == 0) {
      for (const Work& work : works_) {
        for (const TaskBlock& rows : {work.rows.weight, work.rows.bias, work.sums}) {
          if (rows.rows.defined() && !rows.add) cut(rows, tasks).rows.zero_();
        }
      }
      return;
    }
    const ExampleTasks own = batch_of(tasks, examples_);
    const auto part = [&](const at::Tensor& t) { return t.narrow(0, tasks.begin, tasks.rows()); };
    const auto room = [&](int place, std::int64_t columns) {
      return memory[place].narrow(0, 0, tasks.rows() * columns).view({tasks.rows(), columns});
    };
    std::vector<Piece> pieces = entering(tasks.begin, tasks.end);
    int place = 0;
    at::Tensor now;
    if (works_[0].use != nullptr) {
      now = joined(pieces, tasks, room(place, entering_));
      pieces.clear();
    }
    for (std::size_t i = 0; i < works_.size(); ++i) {
      const Work& work = works_[i];
      const bool last = i + 1 == works_.size();
      if (work.use != nullptr) {
        LayerInput layer = *work.layer;
        if (layer.input.defined()) layer.input = part(layer.input);
        task_gradients(
            *work.use, layer, now, own, cut(work.rows.weight, tasks), cut(work.rows.bias, tasks));
        if (!work.back.defined()) break;
        place = 1 - place;
        at::Tensor next = last ? part(exit_) : room(place, work.back.size(1));
        at::mm_out(next, now, work.back);
        now = next;
      } else {
        at::Tensor next = last ? part(exit_) : i == 0 ? room(place, entering_) : now;
        if (i > 0) pieces = {{now, tasks.begin, tasks.end}};
        activate(work, tasks, pieces, next);
        now = next;
      }
    }
  }

  // One tensor of them all; `memory` where they are several.
  static at::Tensor joined(const std::vector<Piece>& pieces,
                           const Together& tasks,
                           const at::Tensor& memory) {
    if (pieces.size() == 1 && pieces[0].gradient.defined()) return pieces[0].gradient;
    for (const Piece& piece : pieces) {
      const at::Tensor rows = memory.narrow(0, piece.begin - tasks.begin, piece.end - piece.begin);
      if (piece.gradient.defined()) {
        rows.copy_(piece.gradient);
      } else {
        rows.zero_();
      }
    }
    return memory;
  }

  // An activation's backward for some tasks' rows, from `pieces` to `next`.
  void activate(const Work& work,
                const Together& tasks,
                const std::vector<Piece>& pieces,
                const at::Tensor& next) const {
    const auto go = [&](const Piece& piece, at::Tensor* sum) {
      const std::int64_t rows = piece.end - piece.begin;
      at::Tensor in = next.narrow(0, piece.begin - tasks.begin, rows);
      const at::Tensor saved = work.saved.narrow(0, piece.begin, rows);
      if (!piece.gradient.defined()) {
        in.zero_();
      } else if (sum != nullptr) {
        // A head that sums its features hands down one number, expanded.
        const bool in_rows = piece.gradient.size(1) < 2 || piece.gradient.stride(1) == 1;
        tensor::relu_backward_rows(
            in_rows ? piece.gradient : piece.gradient.contiguous(), saved, in, *sum);
      } else {
        work.activation->backward(*work.node, in, piece.gradient, saved);
      }
    };
    if (!work.sums.rows.defined()) {
      for (const Piece& piece : pieces) go(piece, nullptr);
      return;
    }
    for (std::int64_t k = tasks.first; k < tasks.last; ++k) {
      at::Tensor sum = work.sums.rows[k];
      if (!work.sums.add) sum.zero_();
      const auto i = static_cast<std::size_t>(k);
      const std::int64_t begin = examples_.begin[i] * within_;
      const std::int64_t end = examples_.end[i] * within_;
      for (const Piece& piece : pieces) {
        const std::int64_t from = std::max(begin, piece.begin);
        const std::int64_t to = std::min(end, piece.end);
        if (from >= to) continue;
        Piece own{piece.gradient, from, to};
        if (own.gradient.defined()) {
          own.gradient = own.gradient.narrow(0, from - piece.begin, to - from);
        }
        go(own, &sum);
      }
    }
  }

  const ExampleTasks& examples_;
  std::vector<Piece> pieces_;
  at::TensorOptions options_;
  std::int64_t within_ = 1;    // rows of an example
  std::int64_t width_ = 0;     // of the widest link
  std::int64_t entering_ = 0;  // columns
  std::vector<Work> works_;
  at::Tensor exit_;
};

}  // namespace

at::Tensor pass_row_chain(const RowChain& chain,
                          const TensorList& gradients,
                          const Graph& graph,
                          const std::vector<LayerInput>& inputs,
                          const std::function<UseBlocks(const LayerUse&)>& blocks_of) {
  const at::NoGradGuard no_grad;
  return Passage(chain, gradients, graph, inputs, blocks_of).take_all();
}

}  // namespace detente::autograd

// SPDX-License-Identifier: Apache-2.0
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <detente/engine/internal/gradients.h>
#include <detente/engine/internal/layered.h>
#include <detente/engine/internal/lockstep.h>
#include <detente/tensor/gram.h>
#include <detente/tensor/graph_compat.h>
#include <detente/tensor/narrow_product.h>
#include <detente/tensor/weighted_sum.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace detente::engine::internal {
namespace {

std::vector<Edge> roots_of(const TensorList& losses) {
  std::vector<Edge> roots;
  for (const auto& loss : losses) roots.push_back(torch::autograd::impl::gradient_edge(loss));
  return roots;
}

TensorList starts_for(const StepTensors& step) {
  TensorList starts;
  for (const auto& loss : step.losses) starts.push_back(at::full_like(loss, step.scale));
  return starts;
}

Edge edge_of(const at::Tensor& parameter) {
  return torch::autograd::impl::gradient_edge(parameter);
}

}  // namespace

void LayeredGradients::start(const StepTensors& step, TaskGradients& result) {
  release();
  step_.emplace(step);
  result.start(step);
}

// A weight's form follows from all places where it is used: one that cannot be handled sends it the
// general way.
void LayeredGradients::choose_forms(bool segmented, GhostRule rule) {
  const std::size_t parameters = step_->shared.size();
  forms_.assign(parameters, Form::kNamed);
  std::vector<bool> able(graph_.handled);
  std::vector<int> embeddings(parameters, 0);
  std::vector<int> others(parameters, 0);
  for (const LayerUse& use : graph_.uses) {
    for (const int p : {use.weight, use.bias}) {
      if (p < 0) continue;
      const auto i = static_cast<std::size_t>(p);
      ++(use.kind == LayerKind::kEmbedding ? embeddings : others)[i];
      if (segmented && use.inner == 0) able[i] = false;
      // One pass per task: LibTorch's own kernels for these are as good.
      if (!segmented && !readable_by_rows(use)) able[i] = false;
    }
  }
  for (std::size_t i = 0; i < parameters; ++i) {
    if (!able[i] || embeddings[i] + others[i] == 0) continue;
    if (embeddings[i] > 0) {
      if (others[i] == 0) forms_[i] = Form::kCompact;
    } else {
      forms_[i] = Form::kDirect;
    }
  }
  std::map<int, std::size_t> group_of;
  std::map<int, std::size_t> table_of;
  for (std::size_t u = 0; u < graph_.uses.size(); ++u) {
    const LayerUse& use = graph_.uses[u];
    if (use.weight < 0) continue;
    const auto w = static_cast<std::size_t>(use.weight);
    if (forms_[w] == Form::kCompact) {
      const auto [entry, is_new] = table_of.try_emplace(use.weight, tables_.size());
      if (is_new) tables_.push_back({.weight = use.weight});
      tables_[entry->second].uses.push_back(u);
    } else if (!segmented && forms_[w] == Form::kDirect) {
      const auto [entry, is_new] = group_of.try_emplace(use.weight, groups_.size());
      if (is_new) groups_.push_back({.weight = use.weight, .bias = use.bias});
      groups_[entry->second].uses.push_back(u);
    }
  }
  if (segmented) return;
  std::vector<Group> ghosts;
  for (Group& group : groups_) {
    const auto w = static_cast<std::size_t>(group.weight);
    const bool simple = std::all_of(group.uses.begin(), group.uses.end(), [&](std::size_t u) {
      const LayerUse& use = graph_.uses[u];
      return has_rows(use, inputs_[u]) && use.bias == group.bias;
    });
    const bool bias_alone =
        group.bias < 0 ||
        (forms_[static_cast<std::size_t>(group.bias)] == Form::kDirect &&
         others[static_cast<std::size_t>(group.bias)] == static_cast<int>(group.uses.size()));
    // Under autocast activations are of a smaller type than the parameters.
    const bool mixed = inputs_[group.uses[0]].input.scalar_type() != step_->shared[w].scalar_type();
    const bool ghost = simple && bias_alone && ghost_pays(group, rule);
    group.sketched = simple && bias_alone && !ghost && sketch_pays(group, rule);
    if (ghost || group.sketched) {
      forms_[w] = Form::kGhost;
      if (group.sketched) {
        group.bias = -1;  // has rows of its own, formed beside the sketch
      } else if (group.bias >= 0) {
        forms_[static_cast<std::size_t>(group.bias)] = Form::kGhost;
      }
      ghosts.push_back(std::move(group));
    } else if (mixed || graph_.uses[group.uses[0]].kind == LayerKind::kConvolution) {
      // Not worth forming by hand; LibTorch computes it in the pass.
      forms_[w] = Form::kNamed;
      if (group.bias >= 0) forms_[static_cast<std::size_t>(group.bias)] = Form::kNamed;
    }
  }
  groups_ = std::move(ghosts);
}

// Multiply-adds and memory traffic of both ways for one weight [out, in] and R rows, K tasks.
bool LayeredGradients::ghost_pays(const Group& group, GhostRule rule) const {
  if (rule != GhostRule::kByCost) return rule == GhostRule::kAlways;
  // What a byte of traffic costs in multiply-adds on one core (docs/engine.md).
  constexpr double kPerByte = 4.0;
  double rows = 0;
  double unfolded = 0;
  for (const std::size_t u : group.uses) {
    const LayerInput& layer = inputs_[u];
    double r = static_cast<double>(layer.input.numel()) / layer.input.size(-1);
    if (graph_.uses[u].kind == LayerKind::kConvolution) {
      r = static_cast<double>(layer.input.size(0));
      for (std::size_t d = 0; d < 2; ++d) {
        const auto spatial = static_cast<std::int64_t>(d) + 2;
        const std::int64_t span = layer.dilation[d] * (layer.kernel.size(spatial) - 1) + 1;
        r *= static_cast<double>(
            (layer.input.size(spatial) + 2 * layer.padding[d] - span) / layer.stride[d] + 1);
      }
      unfolded = 1;
    }
    rows += r;
  }
  const at::Tensor& weight = step_->shared[static_cast<std::size_t>(group.weight)];
  const auto k = static_cast<double>(step_->losses.size());
  const auto size = static_cast<double>(weight.numel());
  const auto out = static_cast<double>(weight.size(0));
  const double in = size / out;
  const auto bytes = static_cast<double>(weight.element_size());
  const double direct = k * rows * size + 3 * k * size * bytes * kPerByte;
  const double ghost = rows * rows * in + k * rows * rows * out + k * k / 2 * rows * out +
                       rows * size +
                       (3 * unfolded * rows * in + 3 * k * rows * out) * bytes * kPerByte;
  // Close calls go the way that needs no extra memory.
  return ghost < 0.9 * direct;
}

// The projection has to be much narrower than the layer's input.
bool LayeredGradients::sketch_pays(const Group& group, GhostRule rule) const {
  const at::Tensor& weight = step_->shared[static_cast<std::size_t>(group.weight)];
  return rule == GhostRule::kByCost && step_->sketch > 0 &&
         weight.numel() >= 2 * step_->sketch * weight.size(0);
}

// E[⟨δ_kᵀxΩ, δ_lᵀxΩ⟩] = ⟨δ_kᵀx, δ_lᵀx⟩ for Ω [in, n] with independent entries of variance 1/n.
at::Tensor LayeredGradients::projection_of(const Group& group) const {
  const at::Tensor& weight = step_->shared[static_cast<std::size_t>(group.weight)];
  const auto options = weight.options().requires_grad(false);
  auto generator = at::detail::createCPUGenerator(step_->seed * 1000003 +
                                                  static_cast<std::uint64_t>(group.weight));
  return at::randn(
             {weight.numel() / weight.size(0), step_->sketch}, generator, options.device(at::kCPU))
      .div_(std::sqrt(static_cast<double>(step_->sketch)))
      .to(options.device());
}

void LayeredGradients::prepare_sketches() {
  const at::NoGradGuard no_grad;
  for (Group& group : groups_) {
    if (!group.sketched) continue;
    const at::Tensor& weight = step_->shared[static_cast<std::size_t>(group.weight)];
    const at::Tensor projection = projection_of(group);
    for (const std::size_t u : group.uses) {
      const at::Tensor x = layer_rows(graph_.uses[u], inputs_[u]).to(weight.scalar_type());
      group.projected.push_back(x.mm(projection));
    }
    group.sketch =
        at::zeros({static_cast<std::int64_t>(step_->losses.size()), step_->sketch * weight.size(0)},
                  weight.options().requires_grad(false));
  }
}

void LayeredGradients::add_sketch(const Group& group, TaskGradients& result) {
  const Matrix sketch = tensor::gram(group.sketch);
  if (!step_->sketch_apart) {
    result.estimated = true;
    add_gram(sketch, group.weight, result);
    return;
  }
  const at::Tensor& weight = step_->shared[static_cast<std::size_t>(group.weight)];
  at::Tensor rows = at::zeros({static_cast<std::int64_t>(group.gradients.size()), weight.numel()},
                              weight.options().requires_grad(false));
  for (std::size_t k = 0; k < group.gradients.size(); ++k) {
    if (!group.gradients[k].defined()) continue;
    at::Tensor row = rows[static_cast<std::int64_t>(k)].view({weight.size(0), -1});
    at::mm_out(row, group.gradients[k].t(), group.rows);
  }
  const Matrix exact = tensor::gram(rows);
  add_gram(exact, group.weight, result);
  if (result.estimate.rows() == 0) result.estimate = Matrix(exact.rows(), exact.cols());
  add_to(result.estimate, sketch);
  add_to(result.estimate, exact, -1.0);
}

void LayeredGradients::place() {
  const auto k = static_cast<std::int64_t>(step_->losses.size());
  blocks_.resize(forms_.size());
  for (std::size_t i = 0; i < forms_.size(); ++i) {
    const at::Tensor& parameter = step_->shared[i];
    if (forms_[i] == Form::kNamed) named_.push_back(static_cast<int>(i));
    at::Tensor& block = blocks_[i];
    if (forms_[i] != Form::kNamed && forms_[i] != Form::kDirect) {
      block.reset();
    } else if (!block.defined() || block.size(0) != k || block.size(1) != parameter.numel() ||
               block.device() != parameter.device() ||
               block.scalar_type() != parameter.scalar_type()) {
      block = at::empty({k, parameter.numel()}, parameter.options().requires_grad(false));
    }
  }
  for (std::size_t u = 0; u < graph_.uses.size(); ++u) {
    const LayerUse& use = graph_.uses[u];
    const auto by_hand = [&](int p) {
      return p >= 0 && forms_[static_cast<std::size_t>(p)] != Form::kNamed;
    };
    const bool wanted = by_hand(use.weight) || by_hand(use.bias);
    if (wanted) captured_.push_back(u);
  }
}

// One part, or several where the output gradients of a whole pass would not stay in the cache until
// they are used: then all tasks go through one stretch of the model before the next.
std::vector<LayeredGradients::Part> LayeredGradients::parts() const {
  constexpr double kCached = 8e6;  // bytes (docs/engine.md has the measurement)
  double bytes = 0;
  for (const std::size_t u : captured_) {
    const Edge output = graph_.uses[u].output();
    bytes += static_cast<double>(step_->shared[0].element_size()) *
             static_cast<double>(
                 c10::multiply_integers(tensor::shape_at(*output.function, output.input_nr)));
  }
  std::vector<Part> result(1);
  std::vector<std::size_t> part_of(forms_.size(), 0);  // per parameter
  // Side by side, or on a GPU, waiting at borders costs more; what a sketch keeps for the direction
  // leaves the cache anyway.
  const bool sketched =
      std::any_of(groups_.begin(), groups_.end(), [](const Group& g) { return g.sketched; });
  if (!step_->side_by_side && !sketched && step_->shared[0].is_cpu() && bytes > 2 * kCached) {
    const auto numbers = static_cast<double>(step_->layout.size()) * kCached / bytes;
    const std::vector<Stretch> stretches =
        find_stretches(step_->losses, step_->shared, static_cast<std::int64_t>(numbers));
    result.resize(stretches.size());
    part_of.assign(forms_.size(), stretches.size() - 1);
    for (std::size_t s = 0; s < stretches.size(); ++s) {
      result[s].border = stretches[s].border;
      for (const int p : stretches[s].parameters) part_of[static_cast<std::size_t>(p)] = s;
    }
  }
  for (std::size_t c = 0; c < captured_.size(); ++c) {
    const LayerUse& use = graph_.uses[captured_[c]];
    const int p = use.weight >= 0 ? use.weight : use.bias;
    result[part_of[static_cast<std::size_t>(p)]].captured.push_back(c);
  }
  for (std::size_t j = 0; j < named_.size(); ++j) {
    result[part_of[static_cast<std::size_t>(named_[j])]].named.push_back(j);
  }
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    if (blocks_[i].defined()) result[part_of[i]].blocks.push_back(static_cast<int>(i));
  }
  return result;
}

at::Tensor LayeredGradients::task_rows(int parameter) const {
  if (parameter < 0) return {};
  const auto i = static_cast<std::size_t>(parameter);
  return forms_[i] == Form::kDirect ? blocks_[i] : at::Tensor();
}

void LayeredGradients::prepare_tables() {
  const auto k = static_cast<std::int64_t>(step_->losses.size());
  for (Table& table : tables_) {
    TensorList ids;
    for (const std::size_t u : table.uses) ids.push_back(embedding_ids(inputs_[u]));
    const at::Tensor all = ids.size() == 1 ? ids[0] : at::cat(ids);
    at::Tensor inverse;
    std::tie(table.ids, inverse, std::ignore) =
        at::_unique2(all, /*sorted=*/true, /*return_inverse=*/true);
    // Padding sorts first.
    if (table.ids.numel() > 0 && table.ids[0].item<std::int64_t>() < 0) {
      table.ids = table.ids.slice(0, 1);
      inverse = inverse - 1;
    }
    std::int64_t before = 0;
    for (std::size_t j = 0; j < table.uses.size(); ++j) {
      table.places.push_back(inverse.narrow(0, before, ids[j].numel()));
      before += ids[j].numel();
    }
    const at::Tensor& weight = step_->shared[static_cast<std::size_t>(table.weight)];
    table.values =
        at::zeros({k, table.ids.numel(), weight.size(1)}, weight.options().requires_grad(false));
  }
}

// `task` < 0: every row belongs to the task of its example.
void LayeredGradients::add_embeddings(std::size_t use, const at::Tensor& gradient, int task) {
  for (Table& table : tables_) {
    const auto found = std::find(table.uses.begin(), table.uses.end(), use);
    if (found == table.uses.end()) continue;
    const std::int64_t touched = table.ids.numel();
    at::Tensor places = table.places[static_cast<std::size_t>(found - table.uses.begin())];
    const std::int64_t rows = places.numel();
    at::Tensor values = table.values;  // [entries, d] of one task, or of all
    if (task >= 0) {
      values = values[task];
    } else {
      values = values.flatten(0, 1);
      const RowAssignment& assignment = graph_.rows;
      at::Tensor tasks = at::empty({assignment.size()}, at::kLong);
      std::copy(assignment.task_of_row.begin(),
                assignment.task_of_row.end(),
                tasks.data_ptr<std::int64_t>());
      const std::int64_t within = graph_.uses[use].inner / gradient.size(-1);
      const std::int64_t outer = rows / (within * assignment.size());
      tasks = tasks.to(places.device())
                  .view({1, -1, 1})
                  .expand({outer, assignment.size(), within})
                  .reshape(-1);
      const at::Tensor dropped = (places < 0).logical_or(tasks < 0);
      places = (places + tasks * touched).masked_fill(dropped, -1);
    }
    // Entries -1 count as padding.
    values.add_(at::embedding_dense_backward(gradient.reshape({rows, -1}),
                                             places,
                                             values.size(0),
                                             /*padding_idx=*/-1,
                                             /*scale_grad_by_freq=*/false));
  }
}

bool LayeredGradients::form(const StepTensors& step,
                            LayeredMode mode,
                            TaskGradients& result,
                            std::string& why) {
  start(step, result);
  graph_ = read_graph(step.losses, step.shared, step.rows);
  if (mode != LayeredMode::kGhost && graph_.rows.task_of_row.empty() && find_rows(result)) {
    const std::vector<std::int64_t> rows = std::move(graph_.rows.task_of_row);
    graph_ = read_graph(step.losses, step.shared, rows);
  }
  if (mode != LayeredMode::kGhost) {
    segmented_ = form_segmented(result, why);
    if (segmented_) return true;
    if (mode == LayeredMode::kSegmented) {
      release();
      return false;
    }
  }
  const auto rule = mode == LayeredMode::kGhost ? GhostRule::kAlways
                    : step.in_full              ? GhostRule::kNever
                                                : GhostRule::kByCost;
  if (form_ghost(rule, result)) return true;
  why = "no shared layer can be taken by itself";
  release();
  return false;
}

// Where the heads pick their examples in a way that the graph does not tell (a mask, an index), the
// gradients at the shared representation do: outside a task's examples its gradient is zero. The
// passes through the heads are not lost, the one through the trunk starts where they end.
bool LayeredGradients::find_rows(TaskGradients& result) {
  const StepTensors& step = *step_;
  const std::size_t tasks = step.losses.size();
  // Models are what they are: after some steps without success nothing more is tried.
  constexpr int kTries = 3;
  if (rows_sought_ >= kTries || graph_.features.empty()) return false;
  std::int64_t batch = -1;
  for (const Edge& edge : graph_.features) {
    // A hook there would see the gradient that arrives and again the one that starts.
    if (tensor::has_hooks(*edge.function)) return false;
    const auto shape = tensor::shape_at(*edge.function, edge.input_nr);
    if (shape.empty() || (batch >= 0 && shape[0] != batch)) return false;
    batch = shape[0];
  }
  if (batch < static_cast<std::int64_t>(tasks)) return false;
  const TensorList starts = starts_for(step);
  at::Tensor task_of_row;
  TensorList sums(graph_.features.size());
  std::vector<TensorList> own(tasks);
  for (std::size_t k = 0; k < tasks; ++k) {
    std::vector<Edge> wanted = graph_.features;
    for (const auto& parameter : step.own[k]) wanted.push_back(edge_of(parameter));
    TensorList found =
        gradients_at({edge_of(step.losses[k])}, {starts[k]}, wanted, /*keep_graph=*/true);
    const at::NoGradGuard no_grad;
    at::Tensor touched;
    for (std::size_t j = 0; j < sums.size(); ++j) {
      if (!found[j].defined()) continue;
      const at::Tensor here = found[j].ne(0).reshape({batch, -1}).any(1);
      touched = touched.defined() ? touched.logical_or(here) : here;
      sums[j] = sums[j].defined() ? sums[j] + found[j] : found[j];
    }
    if (!touched.defined()) continue;
    if (!task_of_row.defined()) {
      task_of_row = at::full({batch}, -1, touched.options().dtype(at::kLong));
    }
    if (touched.logical_and(task_of_row >= 0).any().item<bool>()) {
      ++rows_sought_;
      return false;
    }
    task_of_row.masked_fill_(touched, static_cast<std::int64_t>(k));
    own[k] = owned_from(found, sums.size(), step.own[k]);
  }
  if (!task_of_row.defined()) return false;
  rows_sought_ = 0;
  const at::Tensor host = task_of_row.cpu();
  graph_.rows.task_of_row.assign(host.data_ptr<std::int64_t>(),
                                 host.data_ptr<std::int64_t>() + host.numel());
  for (std::size_t j = 0; j < sums.size(); ++j) {
    if (!sums[j].defined()) continue;
    found_edges_.push_back(graph_.features[j]);
    found_gradients_.push_back(sums[j]);
  }
  result.own_gradients = std::move(own);
  return true;
}

// One pass of the summed losses. The output gradients of captured_, undefined for what a chain has
// formed already; and the tasks' own gradients where the heads have not been passed before.
TensorList LayeredGradients::pass_segments(const std::function<LinkRows(const LayerUse&)>& rows_of,
                                           TaskGradients& result) {
  const StepTensors& step = *step_;
  std::vector<bool> by_rows;
  for (const Form form : forms_) by_rows.push_back(form == Form::kDirect);
  const RowChain chain = find_row_chain(graph_, inputs_, by_rows);
  std::vector<bool> in_chain(graph_.uses.size(), false);
  for (const RowChain::Link& link : chain.links) {
    if (link.use >= 0) in_chain[static_cast<std::size_t>(link.use)] = true;
  }

  TensorList captured(captured_.size());
  std::vector<Edge> above, below;
  std::vector<std::size_t> places_above, places_below;  // in captured_
  for (std::size_t c = 0; c < captured_.size(); ++c) {
    const LayerUse& use = graph_.uses[captured_[c]];
    if (in_chain[captured_[c]]) continue;
    const bool lower = chain.below.contains(use.node);
    (lower ? below : above).push_back(use.output());
    (lower ? places_below : places_above).push_back(c);
  }
  const bool heads_passed = !found_edges_.empty();
  const std::size_t layers = above.size();
  for (const auto& list : step.own) {
    if (heads_passed) break;
    for (const auto& parameter : list) above.push_back(edge_of(parameter));
  }
  above.insert(above.end(), chain.entries.begin(), chain.entries.end());
  const bool keep_graph = !named_.empty() || !chain.empty();
  TensorList found = heads_passed
                         ? gradients_at(found_edges_, found_gradients_, above, keep_graph)
                         : gradients_at(roots_of(step.losses), starts_for(step), above, keep_graph);
  for (std::size_t j = 0; j < layers; ++j) captured[places_above[j]] = std::move(found[j]);
  std::size_t next = layers;
  for (std::size_t k = 0; k < step.own.size() && !heads_passed; ++k) {
    result.own_gradients[k] = owned_from(found, next, step.own[k]);
    next += step.own[k].size();
  }
  if (chain.empty()) return captured;

  found.erase(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(next));
  const bool any = std::any_of(
      found.begin(), found.end(), [](const at::Tensor& entering) { return entering.defined(); });
  if (any) {
    const at::Tensor leaving = pass_row_chain(chain, found, graph_, inputs_, rows_of);
    if (leaving.defined() && !below.empty()) {
      found = gradients_at({chain.exit}, {leaving}, below, keep_graph);
      for (std::size_t j = 0; j < below.size(); ++j) {
        captured[places_below[j]] = std::move(found[j]);
      }
    }
  }
  if (named_.empty()) free_graph(step.losses);
  return captured;
}

bool LayeredGradients::form_segmented(TaskGradients& result, std::string& why) {
  const StepTensors& step = *step_;
  if (graph_.rows.task_of_row.empty()) {
    why = "the tasks' losses do not come from separate rows of one batch";
    return false;
  }
  choose_forms(/*segmented=*/true, GhostRule::kNever);
  std::int64_t named = 0;
  for (std::size_t i = 0; i < forms_.size(); ++i) {
    if (forms_[i] != Form::kNamed || graph_.uses.empty()) continue;
    named += step.shared[i].numel();
    if (result.notice.empty()) {
      result.notice = graph_.unhandled_by[i].empty()
                          ? "examples are mixed (batch statistics, for example)"
                          : graph_.unhandled_by[i];
    }
  }
  if (graph_.uses.empty() || 2 * named > step.layout.size()) {
    why = "most shared parameters lie below an operation that segments cannot follow" +
          (result.notice.empty() ? std::string() : " (" + result.notice + ")");
    result.notice.clear();
    tables_.clear();
    return false;
  }
  for (const LayerUse& use : graph_.uses) inputs_.push_back(read_layer_input(use, step.shared));
  place();
  prepare_tables();

  std::vector<bool> written(forms_.size(), false);
  const auto rows_of = [&](const LayerUse& use) {
    const auto to = [&](int p) {
      if (p >= 0) result.reached[static_cast<std::size_t>(p)] = true;
      TaskRows rows{.rows = task_rows(p)};
      if (!rows.rows.defined()) return rows;
      rows.add = written[static_cast<std::size_t>(p)];
      written[static_cast<std::size_t>(p)] = true;
      return rows;
    };
    const TaskRows weight = to(use.weight);
    return LinkRows{weight, to(use.bias)};
  };
  TensorList found = pass_segments(rows_of, result);
  if (!named_.empty()) {
    // Their gradients need a pass per task.
    std::vector<Edge> rest;
    for (const int p : named_) rest.push_back(edge_of(step.shared[static_cast<std::size_t>(p)]));
    const TensorList starts = starts_for(step);
    for (std::size_t k = 0; k < step.losses.size(); ++k) {
      const TensorList pieces =
          gradients_at({edge_of(step.losses[k])}, {starts[k]}, rest, k + 1 < step.losses.size());
      const at::NoGradGuard no_grad;
      for (std::size_t j = 0; j < named_.size(); ++j) {
        const auto i = static_cast<std::size_t>(named_[j]);
        at::Tensor row = blocks_[i][static_cast<std::int64_t>(k)];
        if (pieces[j].defined()) {
          row.copy_(pieces[j].reshape(-1));
          result.reached[i] = true;
        } else {
          row.zero_();
        }
      }
    }
  }

  const at::NoGradGuard no_grad;
  for (std::size_t c = 0; c < captured_.size(); ++c) {
    if (!found[c].defined()) continue;
    const std::size_t u = captured_[c];
    const LayerUse& use = graph_.uses[u];
    const LinkRows rows = rows_of(use);
    if (use.kind == LayerKind::kEmbedding) {
      add_embeddings(u, found[c], -1);
    } else {
      task_gradients(use, inputs_[u], found[c], graph_.rows, rows.weight, rows.bias);
    }
    found[c].reset();
  }
  for (std::size_t i = 0; i < forms_.size(); ++i) {
    if (forms_[i] == Form::kDirect && !written[i]) task_rows(static_cast<int>(i)).zero_();
  }
  for (std::size_t i = 0; i < blocks_.size() && !step.in_full; ++i) {
    if (blocks_[i].defined()) add_block_gram(static_cast<int>(i), result);
  }
  finish(result);
  return true;
}

// One task's pass through one part: what was asked for, in the order captured, named.
void LayeredGradients::take_pass(std::size_t task, const Part& part, const TensorList& found) {
  const auto k = static_cast<std::int64_t>(task);
  std::vector<bool> written(forms_.size(), false);
  for (std::size_t c = 0; c < part.captured.size(); ++c) {
    const std::size_t u = captured_[part.captured[c]];
    const LayerUse& use = graph_.uses[u];
    const at::Tensor& gradient = found[c];
    if (!gradient.defined()) continue;
    if (use.kind == LayerKind::kEmbedding) {
      add_embeddings(u, gradient, static_cast<int>(task));
      continue;
    }
    const at::Tensor rows =
        gradient_rows(use, gradient).to(step_->shared[0].scalar_type()).contiguous();
    const auto row_of = [&](int p) {
      const at::Tensor all = task_rows(p);
      return all.defined() ? all[k] : at::Tensor();
    };
    if (at::Tensor row = row_of(use.weight); row.defined()) {
      const at::Tensor x = layer_rows(use, inputs_[u]);
      at::Tensor target = row.view({rows.size(1), x.size(1)});
      if (written[static_cast<std::size_t>(use.weight)]) {
        target.addmm_(rows.t(), x);
      } else {
        at::mm_out(target, rows.t(), x);
      }
      written[static_cast<std::size_t>(use.weight)] = true;
    }
    at::Tensor bias = row_of(use.bias);
    const bool bias_written = bias.defined() && written[static_cast<std::size_t>(use.bias)];
    if (bias.defined()) written[static_cast<std::size_t>(use.bias)] = true;
    const auto group = std::find_if(
        groups_.begin(), groups_.end(), [&](const Group& g) { return g.weight == use.weight; });
    if (group != groups_.end()) {
      // Uses of one weight stand one below the other, those a task does not reach as zeros.
      const auto place = static_cast<std::size_t>(
          std::find(group->uses.begin(), group->uses.end(), u) - group->uses.begin());
      group->gradients[task * group->uses.size() + place] = rows;
      if (group->sketched) {
        if (bias.defined() && !bias_written) bias.zero_();
        at::Tensor sum = group->sketch[k];
        tensor::add_narrow_product(rows, group->projected[place], sum, bias);
        continue;
      }
    }
    if (bias_written) {
      bias.add_(rows.sum(0));
    } else if (bias.defined()) {
      at::sum_out(bias, rows, {0}, /*keepdim=*/false, c10::nullopt);
    }
  }
  for (std::size_t j = 0; j < part.named.size(); ++j) {
    const auto i = static_cast<std::size_t>(named_[part.named[j]]);
    at::Tensor row = blocks_[i][k];
    const at::Tensor& gradient = found[part.captured.size() + j];
    if (gradient.defined()) {
      row.view(gradient.sizes()).copy_(gradient);
    } else {
      row.zero_();
    }
  }
  for (const int p : part.blocks) {
    const auto i = static_cast<std::size_t>(p);
    if (forms_[i] == Form::kDirect && !written[i]) blocks_[i][k].zero_();
  }
}

bool LayeredGradients::form_ghost(GhostRule rule, TaskGradients& result) {
  const StepTensors& step = *step_;
  result.own_gradients.assign(step.own.size(), {});
  for (const LayerUse& use : graph_.uses) {
    const bool wanted = readable_by_rows(use);
    inputs_.push_back(wanted ? read_layer_input(use, step.shared) : LayerInput());
  }
  choose_forms(/*segmented=*/false, rule);
  place();
  if (captured_.empty()) return false;
  prepare_tables();
  const std::size_t tasks = step.losses.size();
  for (Group& group : groups_) group.gradients.assign(tasks * group.uses.size(), {});

  prepare_sketches();

  Fronts fronts(step);
  std::vector<std::vector<char>> reached(tasks);  // not of bits: threads write side by side
  for (auto& one : reached) one.assign(forms_.size(), 0);
  const std::vector<Part> all_parts = parts();
  const bool keep_graph = step.side_by_side || all_parts.size() > 1;
  for (std::size_t p = 0; p < all_parts.size(); ++p) {
    const Part& part = all_parts[p];
    std::vector<Edge> wanted;
    for (const std::size_t c : part.captured) wanted.push_back(graph_.uses[captured_[c]].output());
    for (const std::size_t j : part.named) {
      wanted.push_back(edge_of(step.shared[static_cast<std::size_t>(named_[j])]));
    }
    for_each_pass(tasks, step.side_by_side, [&](std::size_t k) {
      std::vector<Edge> all = wanted;
      // Heads lie above the first border.
      if (p == 0) {
        for (const auto& parameter : step.own[k]) all.push_back(edge_of(parameter));
      }
      TensorList found = fronts.pass(k, part.border, std::move(all), keep_graph || k + 1 < tasks);
      const at::NoGradGuard no_grad;
      if (p == 0) result.own_gradients[k] = owned_from(found, wanted.size(), step.own[k]);
      found.resize(wanted.size());
      for (std::size_t c = 0; c < part.captured.size(); ++c) {
        if (!found[c].defined()) continue;
        const LayerUse& use = graph_.uses[captured_[part.captured[c]]];
        for (const int i : {use.weight, use.bias}) {
          if (i >= 0) reached[k][static_cast<std::size_t>(i)] = 1;
        }
      }
      for (std::size_t j = 0; j < part.named.size(); ++j) {
        if (!found[part.captured.size() + j].defined()) continue;
        reached[k][static_cast<std::size_t>(named_[part.named[j]])] = 1;
      }
      take_pass(k, part, found);
    });
    if (step.in_full) continue;
    for (const int i : part.blocks) add_block_gram(i, result);
  }
  if (keep_graph) free_graph(step.losses);
  for (const auto& one : reached) {
    for (std::size_t i = 0; i < one.size(); ++i) {
      if (one[i] != 0) result.reached[i] = true;
    }
  }
  const at::NoGradGuard no_grad;
  for (Group& group : groups_) {
    TensorList x;
    for (const std::size_t u : group.uses) {
      x.push_back(layer_rows(graph_.uses[u], inputs_[u]).to(step.shared[0].scalar_type()));
    }
    group.rows = x.size() == 1 ? x[0] : at::cat(x);
    const std::size_t uses = group.uses.size();
    TensorList joined;
    const std::int64_t out = step.shared[static_cast<std::size_t>(group.weight)].size(0);
    for (std::size_t k = 0; k < tasks; ++k) {
      TensorList parts;
      bool any = false;
      for (std::size_t j = 0; j < uses; ++j) {
        at::Tensor part = group.gradients[k * uses + j];
        any = any || part.defined();
        if (!part.defined()) part = at::zeros({x[j].size(0), out}, x[j].options());
        parts.push_back(std::move(part));
      }
      joined.push_back(!any ? at::Tensor() : uses == 1 ? parts[0] : at::cat(parts));
    }
    group.gradients = std::move(joined);
    if (group.sketched) {
      add_sketch(group, result);
      continue;
    }
    const bool bias_apart = group.bias >= 0 && !step.groups.empty() &&
                            step.groups[static_cast<std::size_t>(group.bias)] !=
                                step.groups[static_cast<std::size_t>(group.weight)];
    Matrix part(tasks, tasks);
    add_ghost_gram(group.rows, group.gradients, group.bias >= 0 && !bias_apart, part);
    add_gram(part, group.weight, result);
    if (bias_apart) {
      TensorList sums;
      for (const at::Tensor& rows : group.gradients) {
        sums.push_back(rows.defined() ? rows.sum(0) : at::zeros({out}, group.rows.options()));
      }
      add_gram(tensor::gram(at::stack(sums)), group.bias, result);
    }
  }
  finish(result);
  return true;
}

// What one parameter contributes to the Gram matrix.
void LayeredGradients::add_gram(const Matrix& part, int parameter, TaskGradients& result) const {
  add_to(result.gram, part);
  result.add_to_group(*step_, static_cast<std::size_t>(parameter), part);
}

void LayeredGradients::add_block_gram(int parameter, TaskGradients& result) const {
  add_gram(tensor::gram(blocks_[static_cast<std::size_t>(parameter)]), parameter, result);
}

// What all layers have in common, after the blocks.
void LayeredGradients::finish(TaskGradients& result) {
  if (step_->in_full) return;
  for (const Table& table : tables_) {
    add_gram(tensor::gram(table.values.flatten(1)), table.weight, result);
  }
  if (result.estimate.rows() > 0) add_to(result.estimate, result.gram);
}

void LayeredGradients::combine(const ParameterWeights& weights,
                               at::Tensor& direction,
                               std::vector<TableGradient>* tables) {
  const at::NoGradGuard no_grad;
  const tensor::FlatLayout& layout = step_->layout;
  const auto piece = [&](int parameter) {
    const auto i = static_cast<std::size_t>(parameter);
    return direction.narrow(0, layout.offset(i), step_->shared[i].numel());
  };
  for (std::size_t i = 0; i < forms_.size(); ++i) {
    if (!blocks_[i].defined()) continue;
    at::Tensor target = piece(static_cast<int>(i));
    tensor::weighted_sum(blocks_[i], weights.of(i), target);
  }
  for (const Group& group : groups_) {
    const auto w = static_cast<std::size_t>(group.weight);
    const at::Tensor sum = weighted_rows(group, weights.of(w));
    at::Tensor target = piece(group.weight);
    if (sum.defined()) {
      target = target.view({sum.size(1), group.rows.size(1)});
      at::mm_out(target, sum.t(), group.rows);
    } else {
      target.zero_();
    }
    if (group.bias < 0) continue;
    const auto b = static_cast<std::size_t>(group.bias);
    const at::Tensor bias_sum = weights.same(w, b) ? sum : weighted_rows(group, weights.of(b));
    at::Tensor bias = piece(group.bias);
    if (bias_sum.defined()) {
      at::sum_out(bias, bias_sum, {0}, /*keepdim=*/false, c10::nullopt);
    } else {
      bias.zero_();
    }
  }
  for (const Table& table : tables_) {
    const auto w = static_cast<std::size_t>(table.weight);
    const at::Tensor& weight = step_->shared[w];
    const at::Tensor values = table.values.flatten(1);
    at::Tensor sum = at::empty({values.size(1)}, values.options());
    tensor::weighted_sum(values, weights.of(w), sum);
    sum = sum.view({table.ids.numel(), weight.size(1)});
    if (tables != nullptr) {
      tables->push_back({w, table.ids, std::move(sum)});
    } else {
      piece(table.weight).view(weight.sizes()).zero_().index_copy_(0, table.ids, sum);
    }
  }
}

// Σ_k w_k δ_k, undefined where no task reaches the layer.
at::Tensor LayeredGradients::weighted_rows(const Group& group, const std::vector<double>& weights) {
  TensorList rows;
  std::vector<double> factors;
  for (std::size_t k = 0; k < weights.size(); ++k) {
    if (!group.gradients[k].defined()) continue;
    rows.push_back(group.gradients[k].contiguous());
    factors.push_back(weights[k]);
  }
  if (rows.empty()) return {};
  at::Tensor sum = at::empty_like(rows[0]);
  tensor::weighted_sum(rows, factors, sum);
  return sum;
}

void LayeredGradients::write_rows(const at::Tensor& rows) const {
  const at::NoGradGuard no_grad;
  const tensor::FlatLayout& layout = step_->layout;
  for (std::size_t i = 0; i < forms_.size(); ++i) {
    if (blocks_[i].defined()) {
      rows.narrow(1, layout.offset(i), step_->shared[i].numel()).copy_(blocks_[i]);
    }
  }
  for (const Table& table : tables_) {
    const auto w = static_cast<std::size_t>(table.weight);
    at::Tensor all = rows.narrow(1, layout.offset(w), step_->shared[w].numel());
    all.zero_();
    all.unflatten(1, step_->shared[w].sizes()).index_copy_(1, table.ids, table.values);
  }
}

void LayeredGradients::release() {
  step_.reset();
  graph_ = {};
  inputs_.clear();
  groups_.clear();
  tables_.clear();
  captured_.clear();
  named_.clear();
  found_edges_.clear();
  found_gradients_.clear();
}

}  // namespace detente::engine::internal

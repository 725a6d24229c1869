// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <detente/engine/internal/layered.h>
#include <detente/tensor/gram.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <map>

namespace detente::engine::internal {
namespace {

std::vector<Edge> roots_of(const TensorList& losses) {
  std::vector<Edge> roots;
  for (const auto& loss : losses) roots.push_back(torch::autograd::impl::gradient_edge(loss));
  return roots;
}

TensorList ones_for(const TensorList& losses) {
  TensorList ones;
  for (const auto& loss : losses) ones.push_back(at::ones_like(loss));
  return ones;
}

Edge edge_of(const at::Tensor& parameter) {
  return torch::autograd::impl::gradient_edge(parameter);
}

}  // namespace

void LayeredGradients::start(const StepTensors& step, TaskGradients& result) {
  release();
  step_ = &step;
  result.gram = Matrix(step.losses.size(), step.losses.size());
  result.own_gradients.assign(step.own.size(), {});
  result.reached.assign(step.shared.size(), false);
  result.notice.clear();
  result.start_groups(step);
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
      if (!segmented && use.kind == LayerKind::kScaleShift) able[i] = false;
      if (!segmented && use.kind == LayerKind::kLinear && !use.weight_is_out_in) able[i] = false;
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
    if (simple && bias_alone && ghost_pays(group, rule)) {
      forms_[w] = Form::kGhost;
      if (group.bias >= 0) forms_[static_cast<std::size_t>(group.bias)] = Form::kGhost;
      ghosts.push_back(std::move(group));
    } else if (graph_.uses[group.uses[0]].kind == LayerKind::kConvolution) {
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
    std::tie(table.ids, table.inverse, std::ignore) =
        at::_unique2(all, /*sorted=*/true, /*return_inverse=*/true);
    // Padding sorts first.
    if (table.ids.numel() > 0 && table.ids[0].item<std::int64_t>() < 0) {
      table.ids = table.ids.slice(0, 1);
      table.inverse = table.inverse - 1;
    }
    const at::Tensor& weight = step_->shared[static_cast<std::size_t>(table.weight)];
    table.values =
        at::zeros({k, table.ids.numel(), weight.size(1)}, weight.options().requires_grad(false));
  }
}

// `task` < 0: every row belongs to the task of its example.
void LayeredGradients::add_embeddings(std::size_t index,
                                      std::size_t use,
                                      const at::Tensor& gradient,
                                      int task) {
  Table& table = tables_[index];
  std::int64_t before = 0;
  for (const std::size_t u : table.uses) {
    if (u == use) break;
    before += inputs_[u].input.numel();
  }
  const std::int64_t rows = inputs_[use].input.numel();
  const std::int64_t touched = table.ids.numel();
  at::Tensor places = table.inverse.narrow(0, before, rows);
  at::Tensor keep = places >= 0;
  if (task >= 0) {
    places = places + task * touched;
  } else {
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
    keep = keep.logical_and(tasks >= 0);
    places = places + tasks * touched;
  }
  at::Tensor values = gradient.reshape({rows, -1});
  if (!keep.all().item<bool>()) {
    const at::Tensor kept = keep.nonzero().view(-1);
    places = places.index_select(0, kept);
    values = values.index_select(0, kept);
  }
  table.values.view({-1, table.values.size(2)}).index_add_(0, places, values);
}

bool LayeredGradients::form(const StepTensors& step,
                            LayeredMode mode,
                            TaskGradients& result,
                            std::string& why) {
  start(step, result);
  graph_ = read_graph(step.losses, step.shared, step.rows);
  if (mode == LayeredMode::kAuto || mode == LayeredMode::kSegmented) {
    segmented_ = form_segmented(result, why);
    if (segmented_) return true;
    if (mode == LayeredMode::kSegmented) {
      release();
      return false;
    }
  }
  const auto rule = mode == LayeredMode::kGhost ? GhostRule::kAlways : GhostRule::kByCost;
  if (form_ghost(rule, result)) return true;
  why = "no shared layer can be taken by itself";
  release();
  return false;
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

  std::vector<Edge> wanted;
  for (const std::size_t u : captured_) wanted.push_back(graph_.uses[u].output());
  for (const auto& list : step.own) {
    for (const auto& parameter : list) wanted.push_back(edge_of(parameter));
  }
  const TensorList ones = ones_for(step.losses);
  TensorList found = gradients_at(roots_of(step.losses), ones, wanted, !named_.empty());
  std::size_t next = captured_.size();
  for (std::size_t k = 0; k < step.own.size(); ++k) {
    for (std::size_t j = 0; j < step.own[k].size(); ++j) {
      result.own_gradients[k].push_back(std::move(found[next++]));
    }
  }
  if (!named_.empty()) {
    // Their gradients need a pass per task.
    std::vector<Edge> rest;
    for (const int p : named_) rest.push_back(edge_of(step.shared[static_cast<std::size_t>(p)]));
    for (std::size_t k = 0; k < step.losses.size(); ++k) {
      const TensorList pieces =
          gradients_at({edge_of(step.losses[k])}, {ones[k]}, rest, k + 1 < step.losses.size());
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
  written_.assign(forms_.size(), false);
  for (std::size_t c = 0; c < captured_.size(); ++c) {
    const std::size_t u = captured_[c];
    const LayerUse& use = graph_.uses[u];
    if (!found[c].defined()) continue;
    for (const int p : {use.weight, use.bias}) {
      if (p >= 0) result.reached[static_cast<std::size_t>(p)] = true;
    }
    if (use.kind == LayerKind::kEmbedding) {
      for (std::size_t t = 0; t < tables_.size(); ++t) {
        if (tables_[t].weight == use.weight) add_embeddings(t, u, found[c], -1);
      }
    } else {
      const auto to = [&](int p) {
        TaskRows rows{.rows = task_rows(p)};
        if (!rows.rows.defined()) return rows;
        rows.add = written_[static_cast<std::size_t>(p)];
        written_[static_cast<std::size_t>(p)] = true;
        return rows;
      };
      const TaskRows weight = to(use.weight);
      task_gradients(use, inputs_[u], found[c], graph_.rows, weight, to(use.bias));
    }
    found[c].reset();
  }
  for (std::size_t i = 0; i < forms_.size(); ++i) {
    if (forms_[i] == Form::kDirect && !written_[i]) task_rows(static_cast<int>(i)).zero_();
  }
  finish(result);
  return true;
}

// One task's pass: what was asked for, in the order captured_, named_.
void LayeredGradients::take_pass(std::size_t task, const TensorList& found) {
  const auto k = static_cast<std::int64_t>(task);
  written_.assign(forms_.size(), false);
  for (std::size_t c = 0; c < captured_.size(); ++c) {
    const std::size_t u = captured_[c];
    const LayerUse& use = graph_.uses[u];
    const at::Tensor& gradient = found[c];
    if (!gradient.defined()) continue;
    if (use.kind == LayerKind::kEmbedding) {
      for (std::size_t t = 0; t < tables_.size(); ++t) {
        if (tables_[t].weight == use.weight) add_embeddings(t, u, gradient, static_cast<int>(task));
      }
      continue;
    }
    const at::Tensor rows = gradient_rows(use, gradient);
    const auto row_of = [&](int p) {
      const at::Tensor all = task_rows(p);
      return all.defined() ? all[k] : at::Tensor();
    };
    if (at::Tensor row = row_of(use.weight); row.defined()) {
      const at::Tensor x = layer_rows(use, inputs_[u]);
      at::Tensor target = row.view({rows.size(1), x.size(1)});
      if (written_[static_cast<std::size_t>(use.weight)]) {
        target.addmm_(rows.t(), x);
      } else {
        at::mm_out(target, rows.t(), x);
      }
      written_[static_cast<std::size_t>(use.weight)] = true;
    }
    if (at::Tensor row = row_of(use.bias); row.defined()) {
      if (written_[static_cast<std::size_t>(use.bias)]) {
        row.add_(rows.sum(0));
      } else {
        at::sum_out(row, rows, {0}, /*keepdim=*/false, c10::nullopt);
      }
      written_[static_cast<std::size_t>(use.bias)] = true;
    }
    for (Group& group : groups_) {
      if (group.weight != use.weight) continue;
      // Uses of one weight stand one below the other, those a task does not reach as zeros.
      const auto place = static_cast<std::size_t>(
          std::find(group.uses.begin(), group.uses.end(), u) - group.uses.begin());
      group.gradients[task * group.uses.size() + place] = rows;
    }
  }
  for (std::size_t j = 0; j < named_.size(); ++j) {
    const auto i = static_cast<std::size_t>(named_[j]);
    at::Tensor row = blocks_[i][k];
    const at::Tensor& gradient = found[captured_.size() + j];
    if (gradient.defined()) {
      row.view(gradient.sizes()).copy_(gradient);
    } else {
      row.zero_();
    }
  }
  for (std::size_t i = 0; i < forms_.size(); ++i) {
    if (forms_[i] == Form::kDirect && !written_[i]) task_rows(static_cast<int>(i))[k].zero_();
  }
}

bool LayeredGradients::form_ghost(GhostRule rule, TaskGradients& result) {
  const StepTensors& step = *step_;
  for (const LayerUse& use : graph_.uses) inputs_.push_back(read_layer_input(use, step.shared));
  choose_forms(/*segmented=*/false, rule);
  place();
  if (captured_.empty()) return false;
  prepare_tables();
  const std::size_t tasks = step.losses.size();
  for (Group& group : groups_) group.gradients.assign(tasks * group.uses.size(), {});

  std::vector<Edge> wanted;
  for (const std::size_t u : captured_) wanted.push_back(graph_.uses[u].output());
  for (const int p : named_) wanted.push_back(edge_of(step.shared[static_cast<std::size_t>(p)]));
  const TensorList ones = ones_for(step.losses);
  for (std::size_t k = 0; k < tasks; ++k) {
    std::vector<Edge> all = wanted;
    for (const auto& parameter : step.own[k]) all.push_back(edge_of(parameter));
    TensorList found = gradients_at({edge_of(step.losses[k])}, {ones[k]}, all, k + 1 < tasks);
    const at::NoGradGuard no_grad;
    for (std::size_t j = 0; j < step.own[k].size(); ++j) {
      result.own_gradients[k].push_back(std::move(found[wanted.size() + j]));
    }
    for (std::size_t c = 0; c < captured_.size(); ++c) {
      if (!found[c].defined()) continue;
      for (const int p : {graph_.uses[captured_[c]].weight, graph_.uses[captured_[c]].bias}) {
        if (p >= 0) result.reached[static_cast<std::size_t>(p)] = true;
      }
    }
    for (std::size_t j = 0; j < named_.size(); ++j) {
      if (found[captured_.size() + j].defined()) {
        result.reached[static_cast<std::size_t>(named_[j])] = true;
      }
    }
    take_pass(k, found);
  }
  const at::NoGradGuard no_grad;
  for (Group& group : groups_) {
    TensorList x;
    for (const std::size_t u : group.uses) x.push_back(layer_rows(graph_.uses[u], inputs_[u]));
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
  for (std::size_t i = 0; i < part.rows(); ++i) {
    for (std::size_t j = 0; j < part.cols(); ++j) result.gram(i, j) += part(i, j);
  }
  result.add_to_group(*step_, static_cast<std::size_t>(parameter), part);
}

void LayeredGradients::finish(TaskGradients& result) {
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    if (blocks_[i].defined()) add_gram(tensor::gram(blocks_[i]), static_cast<int>(i), result);
  }
  for (const Table& table : tables_) {
    add_gram(tensor::gram(table.values.flatten(1)), table.weight, result);
  }
}

void LayeredGradients::combine(const std::vector<double>& weights, at::Tensor& direction) {
  const at::NoGradGuard no_grad;
  const tensor::FlatLayout& layout = step_->layout;
  at::Tensor w = at::empty({static_cast<std::int64_t>(weights.size())}, at::kDouble);
  std::copy(weights.begin(), weights.end(), w.data_ptr<double>());
  w = w.to(direction.options());
  const auto piece = [&](int parameter) {
    const auto i = static_cast<std::size_t>(parameter);
    return direction.narrow(0, layout.offset(i), step_->shared[i].numel());
  };
  for (std::size_t i = 0; i < forms_.size(); ++i) {
    if (!blocks_[i].defined()) continue;
    at::Tensor target = piece(static_cast<int>(i));
    at::mv_out(target, blocks_[i].t(), w);
  }
  for (const Group& group : groups_) {
    at::Tensor sum;
    for (std::size_t k = 0; k < weights.size(); ++k) {
      if (!group.gradients[k].defined()) continue;
      if (sum.defined()) {
        sum.add_(group.gradients[k], weights[k]);
      } else {
        sum = group.gradients[k] * weights[k];
      }
    }
    at::Tensor target = piece(group.weight);
    if (!sum.defined()) {
      target.zero_();
      if (group.bias >= 0) piece(group.bias).zero_();
      continue;
    }
    target = target.view({sum.size(1), group.rows.size(1)});
    at::mm_out(target, sum.t(), group.rows);
    if (group.bias >= 0) {
      at::Tensor bias = piece(group.bias);
      at::sum_out(bias, sum, {0}, /*keepdim=*/false, c10::nullopt);
    }
  }
  for (const Table& table : tables_) {
    const at::Tensor& weight = step_->shared[static_cast<std::size_t>(table.weight)];
    at::Tensor rows = piece(table.weight).view(weight.sizes()).zero_();
    const at::Tensor sum = at::mv(table.values.flatten(1).t(), w);
    rows.index_copy_(0, table.ids, sum.view({table.ids.numel(), weight.size(1)}));
  }
}

void LayeredGradients::release() {
  step_ = nullptr;
  graph_ = {};
  inputs_.clear();
  groups_.clear();
  tables_.clear();
  captured_.clear();
  named_.clear();
}

}  // namespace detente::engine::internal

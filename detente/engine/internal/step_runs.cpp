// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <detente/autograd/lockstep.h>
#include <detente/autograd/passes.h>
#include <detente/core/error.h>
#include <detente/engine/internal/step.h>
#include <detente/tensor/gram.h>

#include <algorithm>
#include <cmath>

namespace detente::engine {

using internal::kNan;
using internal::Stopwatch;
using internal::trainable;

namespace {

template <class T>
balance::Rows<T> rows_view(const at::Tensor& rows, const at::Tensor& values) {
  balance::Rows<T> view{.data = rows.data_ptr<T>(),
                        .rows = static_cast<std::size_t>(rows.size(0)),
                        .cols = static_cast<std::size_t>(rows.size(1)),
                        .stride = static_cast<std::size_t>(rows.stride(0))};
  if (values.defined()) {
    view.values = {values.data_ptr<T>(), static_cast<std::size_t>(values.numel())};
    view.samples = values.dim() > 1 ? static_cast<std::size_t>(values.size(0)) : 1;
  }
  return view;
}

}  // namespace

void MultiTaskBackward::Impl::run_weighted(MatrixView gram, Rng& rng) {
  report.strategy = Strategy::kWeighted;
  solve(gram, rng);
  const Stopwatch watch;
  TensorList targets = shared;
  TensorList own_targets;
  for (const auto& list : own) own_targets.insert(own_targets.end(), list.begin(), list.end());
  const bool with_heads = heads_weighted();
  if (with_heads) targets.insert(targets.end(), own_targets.begin(), own_targets.end());
  // Each task's own parameters lie near its loss, so a second pass to them alone is short.
  const bool second_pass = !with_heads && !own_targets.empty();
  std::vector<double> factors = small_weights;
  for (double& factor : factors) factor *= loss_scale;
  TensorList found;
  if (!targets.empty()) {
    found = autograd::weighted_gradients(losses, factors, targets, second_pass);
  }
  TensorList own_found;
  if (second_pass) {
    own_found = autograd::weighted_gradients(
        losses, std::vector<double>(losses.size(), loss_scale), own_targets, false);
  } else {
    own_found.assign(
        std::make_move_iterator(found.begin() + static_cast<std::ptrdiff_t>(shared.size())),
        std::make_move_iterator(found.end()));
    found.resize(shared.size());
  }

  const at::NoGradGuard no_grad;
  found = autograd::owned(std::move(found), shared);
  std::size_t next = 0;
  for (const auto& list : own) {
    formed.own_gradients.push_back(autograd::owned_from(own_found, next, list));
    next += list.size();
  }
  double squared = 0.0;
  if (options.clip_norm > 0.0 || loss_scale > 1.0) {
    squared = autograd::squared_norm(found) / (loss_scale * loss_scale);
    report.direction_norm = std::sqrt(squared);
  }
  if (overflowed() || (loss_scale > 1.0 && !std::isfinite(squared))) {
    skip();
    return;
  }
  unscale();
  check_total_norm(squared);
  write_shared(std::move(found), report.clip_factor / report.loss_scale);
  write_own(report.clip_factor);
  report.backward_ms = watch.milliseconds();
}

bool MultiTaskBackward::Impl::at_features() const {
  return options.strategy == Strategy::kFeatures || (method->at_features() && !needs_losses_only());
}

void MultiTaskBackward::Impl::note(const std::string& text) {
  if (std::find(notices.begin(), notices.end(), text) != notices.end()) return;
  notices.push_back(text);
  report.notice = text;
}

bool MultiTaskBackward::Impl::low_memory() const {
  return options.memory == MultiTaskOptions::Memory::kLow && present.size() > 1 &&
         !shared.empty() && asked().needs() != balance::MethodClass::kCoordinates;
}

// Forms the gradients at the parameters; returns how.
Strategy MultiTaskBackward::Impl::form(const autograd::StepTensors& step) {
  const bool rows_wanted = asked().needs() == balance::MethodClass::kCoordinates;
  const bool plain = options.strategy == Strategy::kSequential ||
                     options.strategy == Strategy::kWeighted || rows_wanted ||
                     present.size() == 1 || shared.empty();
  if (low_memory() && !step.in_full) {
    // Two gradients' worth of numbers, shared among the K that a stretch has at once.
    autograd::form_lockstep(
        step, 2 * layout.size() / static_cast<std::int64_t>(present.size()), formed);
    return Strategy::kLockstep;
  }
  if (!plain) {
    const autograd::LayeredMode mode = options.strategy == Strategy::kSegmented && !step.in_full
                                           ? autograd::LayeredMode::kSegmented
                                       : options.strategy == Strategy::kGhost && !step.in_full
                                           ? autograd::LayeredMode::kGhost
                                           : autograd::LayeredMode::kAuto;
    std::string why;
    if (layered.form(step, mode, formed, why)) {
      if (!formed.notice.empty()) {
        note(
            fmt::format("Some shared parameters need a pass per task: segments of the batch cannot "
                        "be followed through {}.",
                        formed.notice));
      }
      return layered.segmented() ? Strategy::kSegmented : Strategy::kGhost;
    }
    if (mode != autograd::LayeredMode::kAuto) {
      note(fmt::format("Strategy {} is not possible here: {}. One pass per task is made instead.",
                       name_of(options.strategy),
                       why));
    }
  }
  sequential.form(step, formed);
  return Strategy::kSequential;
}

void MultiTaskBackward::Impl::check_gram() const {
  for (std::size_t i = 0; i < present.size(); ++i) {
    DETENTE_CHECK(std::isfinite(formed.gram(i, i)),
                  ErrorCode::kNumeric,
                  "[engine::MultiTaskBackward] the gradient of task '{}' is not finite although "
                  "its loss is {}. Look for square roots or logarithms at 0 in it.",
                  names[present[i]],
                  report.losses[present[i]]);
  }
}

// Lets a class J method write the direction; false for all others, which have been solved.
bool MultiTaskBackward::Impl::direct(const at::Tensor& gradients,
                                     const at::Tensor& values,
                                     at::Tensor& out,
                                     Rng& rng) {
  if (method->method_class() != balance::MethodClass::kCoordinates) {
    solve(formed.gram, rng);
    return false;
  }
  const balance::Problem problem = make_problem(formed.gram, &rng);
  const Stopwatch watch;
  // The methods' loops run on the host.
  const at::Tensor host = gradients.cpu();
  const at::Tensor near = values.defined() ? values.cpu() : values;
  at::Tensor d = out.is_cpu() ? out : at::empty_like(out, out.options().device(at::kCPU));
  if (host.scalar_type() == at::kFloat) {
    method->direct(problem,
                   rows_view<float>(host, near),
                   {d.data_ptr<float>(), static_cast<std::size_t>(d.numel())},
                   result);
  } else {
    method->direct(problem,
                   rows_view<double>(host, near),
                   {d.data_ptr<double>(), static_cast<std::size_t>(d.numel())},
                   result);
  }
  if (!d.is_same(out)) out.copy_(d);
  report.solve_ms = watch.milliseconds();
  take_result(formed.gram);
  return true;
}

autograd::StepTensors MultiTaskBackward::Impl::step_tensors() const {
  autograd::StepTensors step{losses, shared, own, layout, rows, groups, loss_scale};
  step.side_by_side = side_by_side(losses);
  using balance::MethodClass;
  const MethodClass needs = asked().needs();
  if (!by_group() && (needs == MethodClass::kGram || needs == MethodClass::kGramLoss)) {
    step.sketch_apart = due;
    step.sketch = due || estimate_good_enough() ? options.gram_sketch : 0;
    step.seed = static_cast<std::uint64_t>(steps);
  }
  return step;
}

bool MultiTaskBackward::Impl::side_by_side(const TensorList& roots) const {
  using Passes = MultiTaskOptions::Passes;
  const std::size_t passes = roots.size();
  const auto threads = static_cast<std::size_t>(at::get_num_threads());
  if (options.passes == Passes::kInTurn || passes < 2 || threads < 2 || shared.empty() ||
      !shared[0].is_cpu() || at::in_parallel_region()) {
    return false;
  }
  if (options.passes == Passes::kSideBySide) return true;
  const std::size_t rounds = (passes + threads - 1) / threads;
  return 5 * passes >= 4 * threads * rounds && !autograd::graph_has_hooks(roots);
}

void MultiTaskBackward::Impl::run_gradients(Rng& rng) {
  if (run_objectives(rng)) return;
  const Stopwatch passes;
  report.strategy = form(step_tensors());
  run_formed(report.strategy, passes.milliseconds(), rng);
}

// Solves and writes, from the gradients that `by` formed.
void MultiTaskBackward::Impl::run_formed(Strategy by, double passes_ms, Rng& rng) {
  const at::NoGradGuard no_grad;
  if (overflowed()) {
    skip();
    report.backward_ms = passes_ms;
    return;
  }
  unscale();
  check_gram();
  make_direction();
  const bool by_coordinates = asked().method_class() == balance::MethodClass::kCoordinates;
  if (by_coordinates && !spare.defined()) {
    spare = shared.empty() ? at::empty({0}) : at::empty_like(direction);
  }
  if (by_coordinates && loss_scale != 1.0) sequential.rows().mul_(1.0 / loss_scale);
  direct(by_coordinates ? sequential.rows() : at::Tensor(), {}, spare, rng);

  const Stopwatch rest;
  if (formed.estimated) {
    // The length of the direction is not known from an estimate.
    report.estimated = true;
    if (!spare.defined()) spare = at::empty_like(direction);
    layered.combine(parameter_weights(1.0 / report.loss_scale), spare);
  } else {
    fill_diagnosis();
    if (!by_coordinates && !by_group()) {
      measure_estimate(formed.estimate.rows() > 0 ? formed.estimate : estimate_given(), rng);
    }
  }
  const bool written = by_coordinates || formed.estimated;
  if (written) report.direction_norm = std::sqrt(tensor::squared_norm(spare));
  scale_own();
  check_total_norm(report.direction_norm * report.direction_norm);
  const autograd::ParameterWeights weights =
      parameter_weights(report.clip_factor / report.loss_scale);
  write_formed(by, written ? nullptr : &weights);
  report.backward_ms = passes_ms + rest.milliseconds();
}

void MultiTaskBackward::Impl::make_direction() {
  if (shared.empty() || direction.defined() || low_memory()) return;
  direction = at::empty({layout.size()}, shared[0].options().requires_grad(false));
}

// The weighted sum of what `by` formed into .grad; without weights what a class J method has
// written to `spare`. Nothing can fail any more.
void MultiTaskBackward::Impl::write_formed(Strategy by, const autograd::ParameterWeights* weights) {
  if (by == Strategy::kLockstep) {
    write_shared(weighted_passes(), report.clip_factor / report.loss_scale);
    write_own(report.clip_factor);
    return;
  }
  tensor::clear_gradients(all_shared);
  std::vector<autograd::LayeredGradients::TableGradient> tables;
  if (!shared.empty()) {
    if (weights == nullptr) {
      std::swap(direction, spare);
      if (report.clip_factor != 1.0) direction.mul_(report.clip_factor);
    } else if (by == Strategy::kSequential) {
      sequential.combine(*weights, layout, direction);
    } else {
      layered.combine(*weights, direction, options.sparse_tables ? &tables : nullptr);
    }
    layout.share_as_gradients(direction, shared);
    for (const auto& table : tables) {
      at::Tensor gradient = at::sparse_coo_tensor(table.ids.unsqueeze(0),
                                                  table.values,
                                                  shared[table.parameter].sizes(),
                                                  table.values.options().layout(at::kSparse));
      shared[table.parameter].mutable_grad() = gradient._coalesced_(true);
    }
    for (std::size_t j = 0; j < shared.size(); ++j) {
      if (!formed.reached[j]) shared[j].mutable_grad().reset();
    }
  }
  write_own(report.clip_factor);
}

// For methods that balance a few sums of tasks: one gradient for each of those. False, nothing
// done, where every task is to have its own.
bool MultiTaskBackward::Impl::run_objectives(Rng& rng) {
  if (due || by_group() || options.scale == MultiTaskOptions::Scale::kMeanNorm) return false;
  balance::Problem problem = make_problem({}, &rng);
  const std::span<const balance::Objective> objectives = method->draw_objectives(problem);
  if (objectives.empty()) return false;

  const Stopwatch passes;
  const std::size_t tasks_here = present.size();
  std::vector<std::int64_t> objective_of(tasks_here, -1);
  TensorList sums;
  std::vector<TensorList> own_of;
  for (std::size_t a = 0; a < objectives.size(); ++a) {
    at::Tensor sum;
    own_of.emplace_back();
    for (const std::size_t i : objectives[a].tasks) {
      objective_of[i] = static_cast<std::int64_t>(a);
      sum = sum.defined() ? sum + losses[i] : losses[i];
      own_of[a].insert(own_of[a].end(), own[i].begin(), own[i].end());
    }
    sums.push_back(objectives[a].factor == 1.0 ? sum : sum * objectives[a].factor);
  }
  std::vector<std::int64_t> objective_of_row;
  for (const std::int64_t task : rows) {
    objective_of_row.push_back(task < 0 ? -1 : objective_of[static_cast<std::size_t>(task)]);
  }
  // A task in none of them still has its own parameters to train; their way to its loss is short.
  std::vector<TensorList> own_gradients(tasks_here);
  for (std::size_t i = 0; i < tasks_here; ++i) {
    if (objective_of[i] >= 0 || own[i].empty()) continue;
    own_gradients[i] = autograd::owned(
        autograd::weighted_gradients({losses[i]}, {loss_scale}, own[i], /*keep_graph=*/true),
        own[i]);
  }
  autograd::StepTensors step{sums, shared, own_of, layout, objective_of_row, {}, loss_scale};
  step.side_by_side = side_by_side(sums);
  report.strategy = form(step);
  const at::NoGradGuard no_grad;
  for (std::size_t a = 0; a < objectives.size(); ++a) {
    std::size_t next = 0;
    for (const std::size_t i : objectives[a].tasks) {
      for (std::size_t j = 0; j < own[i].size(); ++j) {
        at::Tensor& gradient = formed.own_gradients[a][next++];
        if (gradient.defined()) gradient.div_(objectives[a].factor);
        own_gradients[i].push_back(std::move(gradient));
      }
    }
  }
  formed.own_gradients = std::move(own_gradients);
  const double passes_ms = passes.milliseconds();
  report.backward_ms = passes_ms;
  if (overflowed()) {
    skip();
    return true;
  }
  unscale();
  for (std::size_t a = 0; a < objectives.size(); ++a) {
    std::string who;
    for (const std::size_t i : objectives[a].tasks) {
      who += (who.empty() ? "'" : ", '") + names[present[i]] + "'";
    }
    DETENTE_CHECK(
        std::isfinite(formed.gram(a, a)),
        ErrorCode::kNumeric,
        "[engine::MultiTaskBackward] the gradient of the sum of {} is not finite although "
        "the losses are. Look for square roots or logarithms at 0 in them.",
        who);
  }
  problem.gram = formed.gram;
  problem.objectives = objectives.size();
  const Stopwatch solving;
  method->solve(problem, result);
  report.solve_ms = solving.milliseconds();
  take_result({});

  const Stopwatch rest;
  std::vector<double> of_objectives;
  for (const auto& objective : objectives) {
    of_objectives.push_back(small_weights[objective.tasks[0]] / objective.factor);
  }
  report.direction_norm = std::sqrt(internal::squared_length(of_objectives, formed.gram));
  scale_own();
  check_total_norm(report.direction_norm * report.direction_norm);
  make_direction();
  for (double& w : of_objectives) w *= report.clip_factor / report.loss_scale;
  const autograd::ParameterWeights weights{.lists = {of_objectives}};
  write_formed(report.strategy, &weights);
  report.backward_ms += rest.milliseconds();
  return true;
}

void MultiTaskBackward::Impl::run_features(Rng& rng) {
  const autograd::StepTensors step = step_tensors();
  const Stopwatch passes;
  std::string why;
  report.strategy = Strategy::kFeatures;
  DETENTE_CHECK(features.form(step, formed, why),
                ErrorCode::kInvalidArgument,
                "[engine::MultiTaskBackward] the gradients cannot be taken at a shared "
                "representation: {}. Use another strategy{}.",
                why,
                method->at_features() ? " with the method of the same kind on parameters" : "");
  if (overflowed()) {
    skip();
    return;
  }
  const double passes_ms = passes.milliseconds();
  at::Tensor combined;
  if (method->method_class() == balance::MethodClass::kCoordinates) {
    DETENTE_CHECK(!given_features.defined() || given_features.numel() == features.rows().size(1),
                  ErrorCode::kShape,
                  "[engine::MultiTaskBackward] set_features was given {} numbers; the shared "
                  "representation has {}.",
                  given_features.defined() ? given_features.numel() : 0,
                  features.rows().size(1));
    combined = at::empty({features.rows().size(1)}, features.rows().options());
  }
  {
    const at::NoGradGuard no_grad;
    unscale();
    check_gram();
    if (combined.defined()) features.rows().mul_(1.0 / loss_scale);
    const at::Tensor values =
        given_features.defined() ? given_features.detach().contiguous() : at::Tensor();
    if (direct(features.rows(), values, combined, rng)) {
      combined.mul_(loss_scale);
    } else {
      combined.reset();
    }
  }

  const Stopwatch rest;
  TensorList found = features.pull_back(step, small_weights, combined);
  const at::NoGradGuard no_grad;
  fill_diagnosis();
  const double squared = autograd::squared_norm(found) / (loss_scale * loss_scale);
  if (loss_scale > 1.0 && !std::isfinite(squared)) {
    skip();
    return;
  }
  report.direction_norm = std::sqrt(squared);
  scale_own();
  check_total_norm(squared);
  write_shared(std::move(found), report.clip_factor / report.loss_scale);
  write_own(report.clip_factor);
  report.backward_ms = passes_ms + rest.milliseconds();
}

void MultiTaskBackward::Impl::fill_diagnosis() {
  const std::size_t k = tasks();
  report.diagnosed = true;
  report.gram = Matrix(k, k, kNan);
  report.cosines = Matrix(k, k, kNan);
  report.gradient_norms.assign(k, kNan);
  for (std::size_t i = 0; i < present.size(); ++i) {
    report.gradient_norms[present[i]] = std::sqrt(formed.gram(i, i));
    for (std::size_t j = 0; j < present.size(); ++j) {
      report.gram(present[i], present[j]) = formed.gram(i, j);
      const double scale = std::sqrt(formed.gram(i, i)) * std::sqrt(formed.gram(j, j));
      if (scale > 0) report.cosines(present[i], present[j]) = formed.gram(i, j) / scale;
      if (i != j && formed.gram(i, j) < 0) report.conflict = true;
    }
  }
  for (std::size_t g = 0; due && g < group_names.size() && !groups.empty(); ++g) {
    report.groups.push_back({group_names[g], Matrix(k, k, kNan)});
    GroupGram& group = report.groups.back();
    for (std::size_t i = 0; i < present.size(); ++i) {
      for (std::size_t j = 0; j < present.size(); ++j) {
        // Groups of frozen parameters alone may be missing at the end.
        group.gram(present[i], present[j]) =
            g < formed.group_grams.size() ? formed.group_grams[g](i, j) : 0.0;
      }
    }
  }
  report.direction_norm = std::sqrt(direction_squared());
}

// The direction by passes through the whole model, one per group of weights; still scaled.
TensorList MultiTaskBackward::Impl::weighted_passes() {
  const autograd::ParameterWeights weights = parameter_weights(loss_scale);
  if (!by_group()) {
    return autograd::owned(
        autograd::weighted_gradients(losses, weights.lists[0], shared, /*keep_graph=*/false),
        shared);
  }
  TensorList result(shared.size());
  const int last = *std::max_element(groups.begin(), groups.end());
  for (int g = 0; g <= last; ++g) {
    TensorList part;
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < shared.size(); ++i) {
      if (groups[i] != g) continue;
      part.push_back(shared[i]);
      places.push_back(i);
    }
    if (part.empty()) continue;
    TensorList found = autograd::owned(
        autograd::weighted_gradients(
            losses, weights.lists[static_cast<std::size_t>(g)], part, /*keep_graph=*/g < last),
        part);
    for (std::size_t j = 0; j < found.size(); ++j) result[places[j]] = std::move(found[j]);
  }
  return result;
}

}  // namespace detente::engine

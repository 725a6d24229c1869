// SPDX-License-Identifier: Apache-2.0
// The ways to the gradient. Each forms what its method needs and leaves the rest to finish().
#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <detente/autograd/lockstep.h>
#include <detente/autograd/passes.h>
#include <detente/autograd/sequential.h>
#include <detente/core/error.h>
#include <detente/engine/internal/step.h>
#include <detente/tensor/gram.h>

#include <algorithm>
#include <cmath>
#include <iterator>

namespace detente::engine {

using balance::MethodClass;

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

// As the norm that is reported has it.
double square_of_norm(double squared) {
  const double norm = std::sqrt(squared);
  return norm * norm;
}

}  // namespace

// One pass of the weighted loss; the weights follow from the losses, or from a Gram matrix of other
// examples.
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
  std::vector<double> factors = solver.solution().weights;
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
  std::size_t next_own = 0;
  for (const auto& list : own) {
    formed.own_gradients.push_back(autograd::owned_from(own_found, next_own, list));
    next_own += list.size();
  }
  sum_over_processes(found);
  Ending ending{.passes_ms = watch.milliseconds()};
  ending.own_weighted = true;
  ending.length = [&] {
    if (options.clip_norm <= 0.0 && loss_scale <= 1.0) return kNan;  // nobody asks
    return autograd::squared_norm(found) / (loss_scale * loss_scale);
  };
  ending.write = [&](double factor) { write_shared(std::move(found), factor); };
  finish(ending);
}

// The shared parameters' gradients and the tasks' own ones, in one go.
void MultiTaskBackward::Impl::sum_over_processes(TensorList& found) {
  if (!spread()) return;
  TensorList all = std::move(found);
  TensorList parameters = shared;
  for (std::size_t i = 0; i < own.size(); ++i) {
    all.insert(all.end(), formed.own_gradients[i].begin(), formed.own_gradients[i].end());
    parameters.insert(parameters.end(), own[i].begin(), own[i].end());
  }
  internal::sum_gradients(*group, all, parameters);
  auto next = all.begin() + static_cast<std::ptrdiff_t>(shared.size());
  for (TensorList& list : formed.own_gradients) {
    for (at::Tensor& gradient : list) gradient = *next++;
  }
  all.resize(shared.size());
  found = std::move(all);
}

// Forms the gradients at the parameters; returns how.
Strategy MultiTaskBackward::Impl::form(const autograd::StepTensors& step) {
  if (low_memory() && !step.in_full) {
    // Two gradients' worth of numbers, shared among the K that a stretch has at once.
    autograd::form_lockstep(
        step, 2 * layout.size() / static_cast<std::int64_t>(present.size()), formed);
    return Strategy::kLockstep;
  }
  const bool plain = options.strategy == Strategy::kSequential ||
                     options.strategy == Strategy::kWeighted || step.coordinates ||
                     present.size() == 1 || shared.empty() || all_pass_per_task();
  if (!plain && form_by_layers(step)) {
    return layered.segmented() ? Strategy::kSegmented : Strategy::kGhost;
  }
  autograd::StepTensors in_turn = step;
  in_turn.in_step = plain;  // what layers allow may differ between processes
  autograd::form_sequential(in_turn, formed);
  return Strategy::kSequential;
}

// Of several processes all know that none could do better in the step before. They look again now and then.
bool MultiTaskBackward::Impl::all_pass_per_task() const {
  constexpr std::int64_t kLookAgain = 64;
  return spread() && pass_per_task_before && steps % kLookAgain != 0;
}

bool MultiTaskBackward::Impl::form_by_layers(const autograd::StepTensors& step) {
  using autograd::LayeredMode;
  LayeredMode mode = LayeredMode::kAuto;
  if (options.strategy == Strategy::kSegmented && !step.in_full) mode = LayeredMode::kSegmented;
  if (options.strategy == Strategy::kGhost && !step.in_full) mode = LayeredMode::kGhost;
  std::string why;
  if (layered.form(step, mode, formed, why)) {
    if (!formed.notice.empty()) note(formed.notice);
    return true;
  }
  if (mode != LayeredMode::kAuto) {
    note(fmt::format("Strategy {} is not possible here: {}. One pass per task is made instead.",
                     name_of(options.strategy),
                     why));
  }
  return false;
}

autograd::StepTensors MultiTaskBackward::Impl::step_tensors() const {
  autograd::StepTensors step{losses, shared, own, layout, examples, groups, loss_scale};
  among_processes(step);
  for (const std::size_t i : present) {
    if (spread()) step.elsewhere.push_back(parts[i] == 0);
  }
  step.coordinates = solver.needs() == MethodClass::kCoordinates;
  if (!solver.by_group() && solver.sees_gram_alone()) {
    step.sketch_apart = due;
    step.sketch = due || estimate_good_enough() ? options.gram_sketch : 0;
    step.seed = static_cast<std::uint64_t>(steps);
  }
  return step;
}

// Who works on the step's passes: threads here, other processes.
void MultiTaskBackward::Impl::among_processes(autograd::StepTensors& step) const {
  step.side_by_side = side_by_side(step.losses);
  step.group = group.get();
  step.replicated = exchange == Exchange::kReplicated;
}

bool MultiTaskBackward::Impl::side_by_side(const TensorList& roots) const {
  using Passes = MultiTaskOptions::Passes;
  const std::size_t passes = roots.size();
  const auto threads = static_cast<std::size_t>(at::get_num_threads());
  if (options.passes == Passes::kInTurn || spread() || passes < 2 || threads < 2 ||
      shared.empty() || !shared[0].is_cpu() || at::in_parallel_region()) {
    return false;
  }
  if (options.passes == Passes::kSideBySide) return true;
  const std::size_t rounds = (passes + threads - 1) / threads;
  return 5 * passes >= 4 * threads * rounds && !autograd::graph_has_hooks(roots);
}

void MultiTaskBackward::Impl::solve(MatrixView gram, Rng& rng) {
  const Stopwatch watch;
  if (solver.by_group()) {
    std::vector<double> sizes(group_names.size());
    for (std::size_t i = 0; i < shared.size(); ++i) {
      sizes[static_cast<std::size_t>(groups[i])] += static_cast<double>(shared[i].numel());
    }
    // Groups of frozen parameters alone may be missing at the end.
    formed.group_grams.resize(group_names.size(), Matrix(present.size(), present.size()));
    solver.solve_groups(formed.group_grams, sizes, rng);
  } else {
    const Matrix& cross = input.independent.cross;
    const Matrix small = cross.rows() > 0 ? of_present(cross) : Matrix();
    solver.solve(gram, small, rng);
  }
  report.solve_ms = watch.milliseconds();
  take_solution(solver.solution());
}

// Lets a class J method write the direction.
void MultiTaskBackward::Impl::direct(const at::Tensor& gradients,
                                     const at::Tensor& values,
                                     at::Tensor& out,
                                     Rng& rng) {
  const balance::Problem problem = solver.problem(formed.gram, &rng);
  const Stopwatch watch;
  // The methods' loops run on the host.
  const at::Tensor host = gradients.cpu();
  const at::Tensor near = values.defined() ? values.cpu() : values;
  at::Tensor d = out.is_cpu() ? out : at::empty_like(out, out.options().device(at::kCPU));
  balance::Result result;
  const auto call = [&]<class T>(T) {
    solver.method().direct(problem,
                           rows_view<T>(host, near),
                           {d.data_ptr<T>(), static_cast<std::size_t>(d.numel())},
                           result);
  };
  if (host.scalar_type() == at::kFloat) {
    call(float{});
  } else {
    call(double{});
  }
  if (!d.is_same(out)) out.copy_(d);
  report.solve_ms = watch.milliseconds();
  take_solution(solver.take(result));
}

void MultiTaskBackward::Impl::run_gradients(Rng& rng) {
  if (run_objectives(rng)) return;
  const Stopwatch passes;
  report.strategy = form(step_tensors());
  run_formed(report.strategy, passes.milliseconds(), rng);
}

// Solves and writes, from the gradients that `by` formed.
void MultiTaskBackward::Impl::run_formed(Strategy by, double passes_ms, Rng& rng) {
  const bool by_coordinates = solver.writes_direction();
  Ending ending{.passes_ms = passes_ms};
  ending.solve = [&] {
    check_gram();
    make_direction();
    if (!by_coordinates) {
      solve(formed.gram, rng);
      return;
    }
    if (!spare.defined()) spare = shared.empty() ? at::empty({0}) : at::empty_like(direction);
    at::Tensor rows = formed.matrix();
    if (loss_scale != 1.0) rows.mul_(1.0 / loss_scale);
    direct(rows, {}, spare, rng);
  };
  const bool written = by_coordinates || formed.estimated;
  ending.length = [&] {
    if (formed.estimated) {
      // The length of the direction is not known from an estimate.
      report.estimated = true;
      if (!spare.defined()) spare = at::empty_like(direction);
      formed.combine(parameter_weights(1.0 / report.loss_scale), spare);
    } else {
      fill_diagnosis();
      if (!by_coordinates && !solver.by_group()) measure_estimate(rng);
    }
    return square_of_norm(written ? tensor::squared_norm(spare)
                                  : solver.direction_squared(formed.gram, formed.group_grams));
  };
  ending.write = [&](double factor) {
    const autograd::ParameterWeights weights = parameter_weights(factor);
    write_formed(by, written ? nullptr : &weights, factor);
  };
  finish(ending);
}

// For methods that balance a few sums of tasks: one gradient for each of those. False, nothing
// done, where every task is to have its own.
bool MultiTaskBackward::Impl::run_objectives(Rng& rng) {
  if (due || solver.by_group() || options.scale == MultiTaskOptions::Scale::kMeanNorm) return false;
  const std::span<const balance::Objective> objectives =
      solver.method().draw_objectives(solver.problem({}, &rng));
  if (objectives.empty()) return false;

  const Stopwatch passes;
  std::vector<std::int64_t> objective_of(present.size(), -1);
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
  std::vector<std::int64_t> objective_of_example;
  for (const std::int64_t task : examples) {
    objective_of_example.push_back(task < 0 ? -1 : objective_of[static_cast<std::size_t>(task)]);
  }
  // A task in none of them still has its own parameters to train; their way to its loss is short.
  std::vector<TensorList> own_gradients(present.size());
  for (std::size_t i = 0; i < present.size(); ++i) {
    if (objective_of[i] >= 0 || own[i].empty()) continue;
    own_gradients[i] = autograd::owned(
        autograd::weighted_gradients({losses[i]}, {loss_scale}, own[i], /*keep_graph=*/true),
        own[i]);
    internal::sum_gradients(*group, own_gradients[i], own[i]);
  }
  autograd::StepTensors step{sums, shared, own_of, layout, objective_of_example, {}, loss_scale};
  among_processes(step);
  report.strategy = form(step);
  const at::NoGradGuard no_grad;
  for (std::size_t a = 0; a < objectives.size(); ++a) {
    std::size_t next_own = 0;
    for (const std::size_t i : objectives[a].tasks) {
      for (std::size_t j = 0; j < own[i].size(); ++j) {
        at::Tensor& gradient = formed.own_gradients[a][next_own++];
        if (gradient.defined()) gradient.div_(objectives[a].factor);
        own_gradients[i].push_back(std::move(gradient));
      }
    }
  }
  formed.own_gradients = std::move(own_gradients);
  Ending ending{.passes_ms = passes.milliseconds()};
  std::vector<double> weights;  // of the objectives
  ending.solve = [&] {
    for (std::size_t a = 0; a < objectives.size(); ++a) {
      std::string who;
      for (const std::size_t i : objectives[a].tasks) {
        who += (who.empty() ? "'" : ", '") + names()[present[i]] + "'";
      }
      DETENTE_CHECK(
          std::isfinite(formed.gram(a, a)),
          ErrorCode::kNumeric,
          "[engine::MultiTaskBackward] the gradient of the sum of {} is not finite although "
          "the losses are. Look for square roots or logarithms at 0 in them.",
          who);
    }
    const Stopwatch solving;
    const solver::Solution& found = solver.solve_objectives(formed.gram, objectives.size(), rng);
    report.solve_ms = solving.milliseconds();
    take_solution(found);
    for (const auto& objective : objectives) {
      weights.push_back(found.weights[objective.tasks[0]] / objective.factor);
    }
  };
  ending.length = [&] {
    make_direction();
    return square_of_norm(solver::squared_length(weights, formed.gram));
  };
  ending.write = [&](double factor) {
    for (double& w : weights) w *= factor;
    const autograd::ParameterWeights lists{.lists = {weights}};
    write_formed(report.strategy, &lists, factor);
  };
  finish(ending);
  return true;
}

void MultiTaskBackward::Impl::run_features(Rng& rng) {
  const autograd::StepTensors step = step_tensors();
  const Stopwatch passes;
  std::string why;
  report.strategy = Strategy::kFeatures;
  DETENTE_CHECK(
      features.form(step, formed, why),
      ErrorCode::kInvalidArgument,
      "[engine::MultiTaskBackward] the gradients cannot be taken at a shared "
      "representation: {}. Use another strategy{}.",
      why,
      solver.method().at_features() ? " with the method of the same kind on parameters" : "");
  Ending ending{.passes_ms = passes.milliseconds()};
  at::Tensor combined;
  ending.solve = [&] {
    check_gram();
    if (!solver.writes_direction()) {
      solve(formed.gram, rng);
      return;
    }
    at::Tensor rows = features.rows();
    const at::Tensor values = input.features != nullptr ? *input.features : at::Tensor();
    DETENTE_CHECK(!values.defined() || values.numel() == rows.size(1),
                  ErrorCode::kShape,
                  "[engine::MultiTaskBackward] the features given have {} numbers; the shared "
                  "representation has {}.",
                  values.defined() ? values.numel() : 0,
                  rows.size(1));
    combined = at::empty({rows.size(1)}, rows.options());
    if (loss_scale != 1.0) rows.mul_(1.0 / loss_scale);
    direct(rows, values.defined() ? values.detach().contiguous() : at::Tensor(), combined, rng);
    if (loss_scale != 1.0) combined.mul_(loss_scale);
  };
  TensorList found;
  ending.length = [&] {
    {
      const at::AutoGradMode with_graph(true);
      found = features.pull_back(step, solver.solution().weights, combined);
    }
    internal::sum_gradients(*group, found, shared);
    fill_diagnosis();
    return autograd::squared_norm(found) / (loss_scale * loss_scale);
  };
  ending.write = [&](double factor) { write_shared(std::move(found), factor); };
  finish(ending);
}

}  // namespace detente::engine

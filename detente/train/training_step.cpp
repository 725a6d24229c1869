// SPDX-License-Identifier: Apache-2.0
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <detente/core/crash_point.h>
#include <detente/core/error.h>
#include <detente/core/stopwatch.h>
#include <detente/tensor/group.h>
#include <detente/train/granularity.h>
#include <detente/train/step_rules.h>
#include <detente/train/training_step.h>

namespace detente::train {
namespace {

TensorList tensors_of(const NamedTensors& named) {
  TensorList tensors;
  for (const auto& [name, tensor] : named) tensors.push_back(tensor);
  return tensors;
}

std::vector<NamedTensors> own_parameters(const LossSource& losses) {
  std::vector<NamedTensors> own;
  for (std::size_t k = 0; k < losses.tasks().size(); ++k) own.push_back(losses.own_parameters(k));
  return own;
}

NamedTensors joined(NamedTensors first, const std::vector<NamedTensors>& more) {
  for (const NamedTensors& some : more) first.insert(first.end(), some.begin(), some.end());
  return first;
}

engine::MultiTaskBackward make_backward(const Recipe& recipe,
                                        const NamedTensors& shared,
                                        const LossSource& losses,
                                        bool spread) {
  std::vector<TensorList> own;
  for (const NamedTensors& some : own_parameters(losses)) own.push_back(tensors_of(some));
  engine::MultiTaskOptions options = recipe.engine;
  options.sparse_tables = true;  // AdamW takes them
  if (spread && recipe.parallel.mode == ParallelRecipe::Mode::kFeatures) {
    options.strategy = engine::Strategy::kFeatures;
  }
  return {tensors_of(shared), own, recipe.balance, losses.tasks(), options};
}

}  // namespace

TrainingStep::TrainingStep(const Recipe& recipe,
                           const NamedTensors& shared,
                           LossSource& losses,
                           std::int64_t total_steps,
                           const std::vector<double>& shared_rates,
                           std::shared_ptr<tensor::Group> group,
                           engine::Exchange exchange)
    : recipe_(recipe),
      losses_(losses),
      total_steps_(total_steps),
      shared_(tensors_of(shared)),
      own_(tensors_of(joined({}, own_parameters(losses)))),
      optimizer_(joined(shared, own_parameters(losses)),
                 recipe.optimizer,
                 shared_rates,
                 recipe.parallel.zero == 1 ? group : nullptr),
      methods_{recipe.balance},
      backward_(make_backward(recipe, shared, losses, group->size() > 1)),
      group_(std::move(group)) {
  backward_.set_group(group_, exchange);
  std::vector<std::string> names;
  for (const auto& [name, tensor] : shared) names.push_back(name);
  LayerGroups groups = parameter_groups(recipe.granularity, names);
  const bool by_group = recipe.granularity.by_group();
  if (by_group) methods_ = methods_like(*recipe.balance, groups.names.size());
  backward_.set_groups(std::move(groups.names), std::move(groups.group_of));
  if (by_group) backward_.balance_by_group(methods_);
}

StepResult TrainingStep::operator()(const std::vector<data::RowList>& batches,
                                    const StepPosition& position) {
  try {
    return make(batches, position);
  } catch (const Error& error) {
    throw Error(error.code(),
                fmt::format("step {} (epoch {}): {}{}",
                            position.step + 1,
                            position.epoch + 1,
                            error.what(),
                            error.code() == ErrorCode::kNumeric
                                ? " A lower optimizer.lr or a clipping norm "
                                  "(engine.clip_norm) often helps."
                                : ""));
  }
}

StepResult TrainingStep::make(const std::vector<data::RowList>& batches,
                              const StepPosition& position) {
  const Stopwatch whole;
  const data::RowList& rows = batches[static_cast<std::size_t>(position.batch)];
  const double factor = schedule_factor(recipe_.schedule, position.step, total_steps_);
  StepResult result;
  result.learning_rate = recipe_.optimizer.lr * factor;
  if (examples_ != nullptr) {
    examples_->expect(own_rows(rows));
    const auto next = static_cast<std::size_t>(position.batch) + 1;
    if (next < batches.size()) examples_->expect(own_rows(batches[next]));
  }
  look_ahead(batches, position);
  if (witness_ != nullptr) witness_->on_begin(position.step, rows);
  result.extra_ms = whole.milliseconds();
  std::optional<CurvatureProbe> probe;
  result.report = &gradients(rows, position.step, probe, result.forward_ms);
  average_statistics(rows);
  crash_point("step.gradients");
  if (!result.report->skipped) {
    const Stopwatch waiting;
    before_update_();
    losses_.before_update(position.step);
    const double decay = decay_course(recipe_.optimizer, position.step, total_steps_);
    if (witness_ != nullptr) {
      witness_->on_gradients(
          *result.report, optimizer_, factor, decay, [&](const StepWitness::EachPart& use) {
            for_each_part(
                rows, position.step, false, [&](const data::RowList&, const TaskLosses& losses) {
                  use(losses);
                });
          });
    }
    result.extra_ms += waiting.milliseconds();
    optimizer_.step(factor, decay);
    crash_point("step.updated");
    const Stopwatch after;
    if (recipe_.balance->wants_losses_after_step()) {
      const at::NoGradGuard no_grad;
      backward_.after_step(losses_again(rows, position.step));
    }
    if (probe) {
      result.curvature = probe->measure([&] { return losses_again(rows, position.step); });
    }
    losses_.after_step(position.step + 1);
    result.extra_ms += after.milliseconds();
  }
  result.total_ms = whole.milliseconds();
  return result;
}

StepDraws TrainingStep::draws(RandomStream stream, std::int64_t step) const {
  StepDraws draws{step_rng(recipe_.seed, stream, step), recipe_.autocast};
  draws.examples = draws.rng.fork(kExampleStream);
  draws.step = step;
  // Other rows, other chance.
  if (group_->rank() > 0) {
    draws.rng = draws.rng.fork(kFirstRankStream + static_cast<std::uint64_t>(group_->rank()));
  }
  return draws;
}

// Every so many'th row from the rank's on: neighbours are of like length and of one source, so all
// processes get as much to do, and a row of every source where there are enough.
data::RowList TrainingStep::own_rows(const data::RowList& rows) const {
  const auto size = static_cast<std::size_t>(group_->size());
  if (size == 1) return rows;
  data::RowList own;
  for (auto i = static_cast<std::size_t>(group_->rank()); i < rows.size(); i += size) {
    own.push_back(rows[i]);
  }
  return own;
}

// Without rows no task is there.
TaskLosses TrainingStep::losses_of(const data::RowList& own, const StepDraws& draws) const {
  if (!own.empty()) return losses_(own, draws);
  return {TensorList(tasks().size()), std::vector<double>(tasks().size(), 0.0)};
}

// Each counts as many as its rows: means then are those of all rows.
void TrainingStep::average_statistics(const data::RowList& rows) {
  if (group_->size() == 1 || statistics_.empty()) return;
  const at::NoGradGuard no_grad;
  const double share =
      static_cast<double>(own_rows(rows).size()) / static_cast<double>(rows.size());
  for (const at::Tensor& tensor : statistics_) tensor.mul_(share);
  tensor::sum_all(*group_, statistics_);
}

// What the method wants to know of other rows before the step.
void TrainingStep::look_ahead(const std::vector<data::RowList>& batches,
                              const StepPosition& position) {
  const auto b = static_cast<std::size_t>(position.batch);
  const auto values_of = [&](const data::RowList& own, const StepDraws& draws) {
    return losses_of(own, draws).values;
  };
  if (backward_.wants_independent()) {
    const std::size_t n = batches.size();
    // Fewer than three batches are not independent of this one: the engine takes it alone.
    if (n < 3) return;
    const TensorList first = values_of(own_rows(batches[(b + n / 3) % n]),
                                       draws(kFirstIndependentStream, position.step));
    const TensorList second = values_of(own_rows(batches[(b + 2 * n / 3) % n]),
                                        draws(kSecondIndependentStream, position.step));
    backward_.set_independent(first, second);
  } else if (estimates_gram(recipe_) && backward_.wants_estimate()) {
    StepDraws estimate = draws(kEstimateStream, position.step);
    if (recipe_.gram_precision) estimate.precision = recipe_.gram_precision;
    backward_.set_estimate(values_of(own_rows(part_of(batches[b], recipe_.gram_rows)), estimate));
  }
}

void TrainingStep::for_each_part(
    const data::RowList& rows,
    std::int64_t step,
    bool makes_step,
    const std::function<void(const data::RowList&, TaskLosses)>& use) const {
  StepDraws whole = draws(kDropoutStream, step);
  whole.makes_step = makes_step;
  std::vector<data::RowList> parts = micro_batches(own_rows(rows), recipe_.loop.micro_batches);
  if (parts.empty()) parts.emplace_back();
  for (std::size_t part = 0; part < parts.size(); ++part) {
    StepDraws own = whole;
    if (part > 0) own.rng = whole.rng.fork(part);
    use(parts[part], losses_of(parts[part], own));
  }
}

TensorList TrainingStep::losses_again(const data::RowList& rows, std::int64_t step) const {
  std::vector<TaskLosses> parts;
  for_each_part(rows, step, false, [&](const data::RowList&, TaskLosses losses) {
    parts.push_back(std::move(losses));
  });
  return joined_losses(parts);
}

// Forward and backward of one batch; adds to `forward_ms`. A batch in one piece is a call of the
// engine, which knows more ways then; one in parts is the sum of them.
const engine::StepReport& TrainingStep::gradients(const data::RowList& rows,
                                                  std::int64_t step,
                                                  std::optional<CurvatureProbe>& probe,
                                                  double& forward_ms) {
  Rng method_rng = step_rng(recipe_.seed, kMethodStream, step);
  const std::int64_t every = recipe_.loop.curvature_every;
  const bool whole = recipe_.loop.micro_batches == 1;
  const engine::StepReport* report = nullptr;
  Stopwatch forward;
  for_each_part(rows, step, true, [&](const data::RowList& part, const TaskLosses& losses) {
    forward_ms += forward.milliseconds();
    crash_point("step.losses");
    // Before the engine frees the losses' graph.
    if (every > 0 && step % every == 0) probe.emplace(losses.values, shared_, own_);
    if (witness_ != nullptr) witness_->on_losses(part, losses);
    if (whole) {
      // What rows count is between processes alone.
      if (group_->size() > 1) backward_.set_shares(losses.rows);
      report = &backward_(losses.values, method_rng);
    } else {
      backward_.accumulate(losses.values, losses.rows);
    }
    forward = Stopwatch();
  });
  return whole ? *report : backward_.finish(method_rng);
}

std::vector<StatePart> TrainingStep::state_parts(RunState& state) {
  return {{"optimizer.",
           [this, &state] {
             state.optimizer_steps = optimizer_.steps();
             return optimizer_.state();
           },
           [this, &state](const NamedTensors& tensors) {
             optimizer_.load_state(tensors, state.optimizer_steps);
           },
           StateChanges::kInUpdate},
          {"method.",
           [this, &state] {
             state.method_state = methods_state(methods_);
             return methods_tensors(methods_);
           },
           [this, &state](const NamedTensors& tensors) {
             load_methods_state(methods_, state.method_state);
             load_methods_tensors(methods_, tensors);
           }},
          {"engine.",
           [this, &state] {
             state.engine_state = backward_.state();
             return NamedTensors{};
           },
           [this, &state](const NamedTensors&) { backward_.load_state(state.engine_state); }},
          {"losses.",
           [this] { return losses_.state(); },
           [this](const NamedTensors& tensors) { losses_.load_state(tensors); }}};
}

}  // namespace detente::train

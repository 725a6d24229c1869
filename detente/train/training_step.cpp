// SPDX-License-Identifier: Apache-2.0
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <detente/core/error.h>
#include <detente/train/step_rules.h>
#include <detente/train/training_step.h>

#include <chrono>

namespace detente::train {
namespace {

using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

NamedTensors named_parameters(const nn::PairModel& model) {
  NamedTensors parameters;
  const auto add = [&](const std::vector<std::string>& names, const TensorList& tensors) {
    for (std::size_t i = 0; i < names.size(); ++i) parameters.emplace_back(names[i], tensors[i]);
  };
  add(model.shared_names(), model.shared_parameters());
  for (std::size_t k = 0; k < model.heads().size(); ++k) {
    add(model.head_names(k), model.head_parameters(k));
  }
  return parameters;
}

engine::MultiTaskBackward make_backward(const Recipe& recipe, const nn::PairModel& model) {
  std::vector<TensorList> own;
  std::vector<std::string> names;
  for (std::size_t k = 0; k < recipe.tasks.size(); ++k) {
    own.push_back(model.head_parameters(k));
    names.push_back(recipe.tasks[k].name);
  }
  engine::MultiTaskOptions options = recipe.engine;
  options.sparse_tables = true;  // AdamW takes them
  return {model.shared_parameters(), own, recipe.balance, names, options};
}

}  // namespace

TrainingStep::TrainingStep(const Recipe& recipe,
                           const nn::PairModel& model,
                           const StepLosses& losses,
                           std::int64_t total_steps)
    : recipe_(recipe),
      model_(model),
      losses_(losses),
      total_steps_(total_steps),
      optimizer_(named_parameters(model), recipe.optimizer),
      methods_{recipe.balance},
      backward_(make_backward(recipe, model)) {
  LayerGroups groups = parameter_groups(recipe.surgery, model.shared_names());
  const bool by_group = recipe.surgery.by_group();
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
  const auto begin = Clock::now();
  const data::RowList& rows = batches[static_cast<std::size_t>(position.batch)];
  const double factor = schedule_factor(recipe_.schedule, position.step, total_steps_);
  StepResult result;
  result.learning_rate = recipe_.optimizer.lr * factor;
  look_ahead(batches, position);
  result.extra_ms = ms_since(begin);
  std::optional<CurvatureProbe> probe;
  result.report = &gradients(rows, position.step, probe, result.forward_ms);
  if (!result.report->skipped) {
    optimizer_.step(factor);
    const auto done = Clock::now();
    look_back(rows, position.step);
    if (probe) {
      result.curvature =
          probe->measure([&] { return losses_of(rows, kDropoutStream, position.step); });
    }
    result.extra_ms += ms_since(done);
  }
  result.total_ms = ms_since(begin);
  return result;
}

// One loss per task, undefined where no row has a target.
TensorList TrainingStep::losses_of(const data::RowList& rows,
                                   RandomStream stream,
                                   std::int64_t step) const {
  return losses_(rows, step_rng(recipe_.seed, stream, step), recipe_.autocast).values;
}

// What the method wants to know of other rows before the step.
void TrainingStep::look_ahead(const std::vector<data::RowList>& batches,
                              const StepPosition& position) {
  const auto b = static_cast<std::size_t>(position.batch);
  if (backward_.wants_independent()) {
    const std::size_t n = batches.size();
    // Fewer than three batches are not independent of this one: the engine takes it alone.
    if (n < 3) return;
    const TensorList first =
        losses_of(batches[(b + n / 3) % n], kFirstIndependentStream, position.step);
    const TensorList second =
        losses_of(batches[(b + 2 * n / 3) % n], kSecondIndependentStream, position.step);
    backward_.set_independent(first, second);
  } else if (estimates_gram(recipe_) && backward_.wants_estimate()) {
    backward_.set_estimate(
        losses_(part_of(batches[b], recipe_.gram_rows),
                step_rng(recipe_.seed, kEstimateStream, position.step),
                recipe_.gram_precision ? recipe_.gram_precision : recipe_.autocast)
            .values);
  }
}

// The parts of the step's batch one after the other, each with dropout of its own.
void TrainingStep::for_each_part(const data::RowList& rows,
                                 std::int64_t step,
                                 const std::function<void(TaskLosses)>& use) const {
  const Rng dropout = step_rng(recipe_.seed, kDropoutStream, step);
  std::uint64_t part = 0;
  for (const data::RowList& some : micro_batches(rows, recipe_.loop.micro_batches)) {
    use(losses_(some, part == 0 ? dropout : dropout.fork(part), recipe_.autocast));
    ++part;
  }
}

// The losses of the same rows under the new parameters, with the same dropout.
void TrainingStep::look_back(const data::RowList& rows, std::int64_t step) {
  if (!recipe_.balance->wants_losses_after_step()) return;
  std::vector<TaskLosses> parts;
  {
    const at::NoGradGuard no_grad;
    for_each_part(rows, step, [&](TaskLosses losses) { parts.push_back(std::move(losses)); });
  }
  backward_.after_step(joined_losses(parts));
}

// Forward and backward of one batch; adds to `forward_ms`.
const engine::StepReport& TrainingStep::gradients(const data::RowList& rows,
                                                  std::int64_t step,
                                                  std::optional<CurvatureProbe>& probe,
                                                  double& forward_ms) {
  Rng method_rng = step_rng(recipe_.seed, kMethodStream, step);
  auto begin = Clock::now();
  if (recipe_.loop.micro_batches == 1) {
    const TensorList losses = losses_of(rows, kDropoutStream, step);
    forward_ms += ms_since(begin);
    probe = make_probe(losses, step);
    return backward_(losses, method_rng);
  }
  for_each_part(rows, step, [&](const TaskLosses& losses) {
    forward_ms += ms_since(begin);
    backward_.accumulate(losses.values, losses.rows);
    begin = Clock::now();
  });
  return backward_.finish(method_rng);
}

// Before the engine frees the losses' graph; nothing where no curvature is due.
std::optional<CurvatureProbe> TrainingStep::make_probe(const TensorList& losses,
                                                       std::int64_t step) const {
  const std::int64_t every = recipe_.loop.curvature_every;
  if (every == 0 || step % every != 0) return std::nullopt;
  TensorList own;
  for (std::size_t k = 0; k < recipe_.tasks.size(); ++k) {
    for (const auto& parameter : model_.head_parameters(k)) own.push_back(parameter);
  }
  return CurvatureProbe(losses, model_.shared_parameters(), own);
}

}  // namespace detente::train

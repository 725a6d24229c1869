// SPDX-License-Identifier: Apache-2.0
// One step of training: losses of a batch, the balanced direction, the optimiser's move.
#pragma once

#include <detente/core/rng.h>
#include <detente/data/batches.h>
#include <detente/engine/multi_task_backward.h>
#include <detente/tensor/fwd.h>
#include <detente/tensor/group.h>
#include <detente/train/adamw.h>
#include <detente/train/curvature.h>
#include <detente/train/loss_source.h>
#include <detente/train/method_list.h>
#include <detente/train/recipe.h>
#include <detente/train/run_state.h>
#include <detente/train/state_part.h>
#include <detente/train/step_draws.h>
#include <detente/train/step_witness.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace detente::train {

// Where in the run a step stands.
struct StepPosition {
  std::int64_t step = 0;   // steps done in the whole run
  std::int64_t epoch = 0;  // the epoch under way, from 0
  std::int64_t batch = 0;  // the batch of this step, from 0
};

struct StepResult {
  const engine::StepReport* report = nullptr;  // valid until the next step
  double learning_rate = 0;
  std::optional<Curvature> curvature;  // on steps that train.curvature_every names
  // Milliseconds. `extra`: passes that the method wants beyond the step's own, and before_update.
  double total_ms = 0;
  double forward_ms = 0;
  double extra_ms = 0;
};

class TrainingStep {
 public:
  // `shared`: the parameters whose gradients are balanced; each task's own ones come with the
  // losses. Recipe and losses must outlive it. `total_steps` is the whole run's, for the schedule.
  // `shared_rates`: each shared parameter's learning rate as a share of the recipe's; empty: all 1.
  // `group`: the processes of the run; each takes its rows of every batch (see own_rows).
  TrainingStep(const Recipe& recipe,
               const NamedTensors& shared,
               LossSource& losses,
               std::int64_t total_steps,
               const std::vector<double>& shared_rates = {},
               std::shared_ptr<tensor::Group> group = std::make_shared<tensor::Group>(),
               engine::Exchange exchange = engine::Exchange::kSharded);

  // The step on batches[position.batch]; methods that want independent batches take others of the
  // list. An error says which step it was.
  StepResult operator()(const std::vector<data::RowList>& batches, const StepPosition& position);

  // Called in each step when its gradients are there and no parameter is changed yet.
  void before_update(std::function<void()> call) { before_update_ = std::move(call); }

  // Told in each step which rows it takes and which the next one does (data::Source::expect); must outlive it.
  void set_examples(const data::Source* examples) { examples_ = examples; }

  // Shown every step from now on; null: nobody.
  void set_witness(StepWitness* witness) { witness_ = witness; }

  // What forward passes move in each process by its own rows (running statistics): after each step these
  // become the mean over the processes, weighted by rows, in all of them.
  void average(TensorList statistics) { statistics_ = std::move(statistics); }

  // The tasks of all losses, in their order.
  const std::vector<std::string>& tasks() const { return backward_.names(); }

  // Optimiser, methods, engine and losses, for a snapshot. Saving writes their numbers to `state`,
  // loading takes them from there; both must outlive the list.
  std::vector<StatePart> state_parts(RunState& state);

 private:
  StepResult make(const std::vector<data::RowList>& batches, const StepPosition& position);
  void look_ahead(const std::vector<data::RowList>& batches, const StepPosition& position);
  const engine::StepReport& gradients(const data::RowList& rows,
                                      std::int64_t step,
                                      std::optional<CurvatureProbe>& probe,
                                      double& forward_ms);
  // The face of "the losses of this batch": of its parts, one after the other.
  void for_each_part(const data::RowList& rows,
                     std::int64_t step,
                     bool makes_step,
                     const std::function<void(const data::RowList&, TaskLosses)>& use) const;
  // The same rows once more, under the parameters of now, with the draws of before.
  TensorList losses_again(const data::RowList& rows, std::int64_t step) const;
  StepDraws draws(RandomStream stream, std::int64_t step) const;
  data::RowList own_rows(const data::RowList& rows) const;
  TaskLosses losses_of(const data::RowList& own, const StepDraws& draws) const;
  void average_statistics(const data::RowList& rows);

  const Recipe& recipe_;
  LossSource& losses_;
  std::int64_t total_steps_;
  TensorList shared_;
  TensorList own_;  // of all tasks together
  TensorList statistics_;
  const data::Source* examples_ = nullptr;
  AdamW optimizer_;
  MethodList methods_;
  engine::MultiTaskBackward backward_;
  std::shared_ptr<tensor::Group> group_;
  std::function<void()> before_update_ = [] {};
  StepWitness* witness_ = nullptr;
};

}  // namespace detente::train

// SPDX-License-Identifier: Apache-2.0
// One step of training: losses of a batch, the balanced direction, the optimiser's move.
#pragma once

#include <detente/data/batches.h>
#include <detente/engine/multi_task_backward.h>
#include <detente/nn/pair_model.h>
#include <detente/tensor/fwd.h>
#include <detente/train/adamw.h>
#include <detente/train/curvature.h>
#include <detente/train/recipe.h>
#include <detente/train/step_draws.h>
#include <detente/train/step_losses.h>
#include <detente/train/surgery.h>

#include <cstdint>
#include <functional>
#include <optional>
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
  // Milliseconds. `extra`: passes that the method wants beyond the step's own.
  double total_ms = 0;
  double forward_ms = 0;
  double extra_ms = 0;
};

class TrainingStep {
 public:
  // Trains the model's parameters as they are now (after PairModel::to). The recipe, the model and
  // the losses must outlive it. `total_steps` is the whole run's, for the schedule.
  TrainingStep(const Recipe& recipe,
               const nn::PairModel& model,
               const StepLosses& losses,
               std::int64_t total_steps);

  // The step on batches[position.batch]; methods that want independent batches take others of the
  // list. An error says which step it was.
  StepResult operator()(const std::vector<data::RowList>& batches, const StepPosition& position);

  const engine::MultiTaskBackward& backward() const { return backward_; }
  engine::MultiTaskBackward& backward() { return backward_; }
  AdamW& optimizer() { return optimizer_; }
  const MethodList& methods() const { return methods_; }

 private:
  StepResult make(const std::vector<data::RowList>& batches, const StepPosition& position);
  TensorList losses_of(const data::RowList& rows, RandomStream stream, std::int64_t step) const;
  void look_ahead(const std::vector<data::RowList>& batches, const StepPosition& position);
  void look_back(const data::RowList& rows, std::int64_t step);
  void for_each_part(const data::RowList& rows,
                     std::int64_t step,
                     const std::function<void(TaskLosses)>& use) const;
  const engine::StepReport& gradients(const data::RowList& rows,
                                      std::int64_t step,
                                      std::optional<CurvatureProbe>& probe,
                                      double& forward_ms);
  std::optional<CurvatureProbe> make_probe(const TensorList& losses, std::int64_t step) const;

  const Recipe& recipe_;
  const nn::PairModel& model_;
  const StepLosses& losses_;
  std::int64_t total_steps_;
  AdamW optimizer_;
  MethodList methods_;
  engine::MultiTaskBackward backward_;
};

}  // namespace detente::train

// SPDX-License-Identifier: Apache-2.0
// Who looks at how a training step comes about, and changes nothing.
#pragma once

#include <ATen/core/Tensor.h>
#include <detente/data/batches.h>
#include <detente/engine/multi_task_backward.h>
#include <detente/train/adamw.h>
#include <detente/train/loss_source.h>

#include <cstdint>
#include <functional>

namespace detente::train {

class StepWitness {
 public:
  virtual ~StepWitness() = default;

  // Before anything else of step number `step`, from 0; `batch`: its rows in all processes.
  virtual void on_begin(std::int64_t step, const data::RowList& batch) = 0;
  // The losses of one part of this process's rows of the batch, with their graph; all parts in turn.
  virtual void on_losses(const data::RowList& rows, const TaskLosses& losses) = 0;
  // Gradients are in .grad, no parameter has moved: optimizer.next_move(p, factor, weight_decay) says
  // how each will. `again` makes the losses of all parts once more, in turn, each with its graph. Not
  // called for a step that is skipped.
  using EachPart = std::function<void(const TaskLosses& losses)>;
  virtual void on_gradients(const engine::StepReport& report,
                            const AdamW& optimizer,
                            double factor,
                            double weight_decay,
                            const std::function<void(const EachPart&)>& again) = 0;
};

}  // namespace detente::train

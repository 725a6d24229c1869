// SPDX-License-Identifier: Apache-2.0
// The teacher of a task of the kind distill: a trained run, or the running average of the model that
// learns. What it answers is the same in every call for the same rows and changes of them; nothing of
// it is trained.
#pragma once

#include <detente/core/rng.h>
#include <detente/data/batches.h>
#include <detente/nn/ema.h>
#include <detente/nn/model.h>
#include <detente/tensor/fwd.h>
#include <detente/train/loss_context.h>

#include <memory>
#include <optional>
#include <string>

namespace detente::train {

// What a teacher says to a batch, constants.
struct TeacherAnswers {
  at::Tensor logits;    // what the task's losses see (nn/heads.h)
  at::Tensor features;  // [B, F]; undefined where each task has its own
};

class Teacher {
 public:
  virtual ~Teacher() = default;

  // `batch`: as the learning model gets it, with its random changes from `augment`.
  virtual TeacherAnswers operator()(const data::RowList& rows,
                                    const data::Batch& batch,
                                    const Rng& augment) = 0;
  virtual std::int64_t width() const = 0;  // of features

  // After each step, and for snapshots.
  virtual void after_step() {}
  virtual NamedTensors state() const { return {}; }
  virtual void load_state(const NamedTensors& /*state*/) {}
};

// Of one task of the kind distill. Throws kIo and kData for a run that cannot be read, kInvalidArgument
// for one that has no such task or answers in another shape.
std::unique_ptr<Teacher> make_teacher(const TaskRecipe& task, const LossContext& context);

}  // namespace detente::train

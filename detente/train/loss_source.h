// SPDX-License-Identifier: Apache-2.0
// Where the losses of a step come from. The labels of the data are one source (label_losses.h); a
// teacher, a regulariser or any other term that wants a say in the direction is another: each of
// its losses is a task, with a weight of the balancing method and a column in the log.
//
//   class Consistency final : public train::LossSource {
//     std::vector<std::string> tasks() const override { return {"consistency"}; }
//     train::TaskLosses operator()(const data::RowList& rows,
//                                  const train::StepDraws& draws) override {...}
//     void after_step(std::int64_t) override { teacher_.update(); }   // nn::Ema
//     NamedTensors state() const override { return teacher_.state(); }
//     void load_state(const NamedTensors& state) override { teacher_.load_state(state); }
//   };
//
// TrainOptions::losses adds sources to a run.
#pragma once

#include <detente/core/rng.h>
#include <detente/data/batches.h>
#include <detente/report/run_record.h>
#include <detente/tensor/autocast.h>
#include <detente/tensor/fwd.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace detente::train {

// Scalars with their graph, one per task, undefined where no row says anything about the task.
struct TaskLosses {
  TensorList values;
  // What each value is the mean of: rows with a target. Batches in parts are put together by them.
  std::vector<double> rows;
  // What the model said of the rows, one tensor per head with its graph, rows in dimension 0, where the
  // losses are made from that alone; else none.
  TensorList predictions = {};
};

// How the losses are to be computed this time.
struct StepDraws {
  // Chance that belongs to the rows as they lie together (dropout): others in other processes and parts
  // of a batch. Fork it for a purpose of its own.
  Rng rng;
  // The model computes in this type where it can; nothing: all in the parameters' type.
  std::optional<tensor::LowPrecision> precision;
  // Chance that belongs to an example (augmentation), whichever process or part of the batch it falls to:
  // fork it for a purpose and then for the row. All chance comes from the two: the same draws give the
  // same losses again.
  Rng examples = Rng();
  // Steps done in the whole run before this one.
  std::int64_t step = 0;
  // Whether the step is made of this pass (or, of a batch in parts, of this and others): what a source
  // gathers for after_step comes from such passes alone.
  bool makes_step = false;
};

class LossSource {
 public:
  virtual ~LossSource() = default;

  // At least one name, the same at every call; they go into keys and file names, so no blanks,
  // dots, bars or slashes.
  virtual std::vector<std::string> tasks() const = 0;
  // Parameters that the loss of this task alone trains (heads, projections), by names that no other
  // parameter has; `task` is an index into tasks(). All others must be the model's shared ones.
  virtual NamedTensors own_parameters(std::size_t task) const;
  // Parameters beside the model's shared ones that several of the tasks train; likewise.
  virtual NamedTensors shared_parameters() const;

  // The losses on these training rows. Called once or more for each step: for parts of the batch,
  // for other batches, for the same rows again after the step (then perhaps without a graph); so it
  // must change nothing by which a later call would differ.
  virtual TaskLosses operator()(const data::RowList& rows, const StepDraws& draws) = 0;

  // With the gradients of step number `step` (from 0) in place and no parameter moved: the moment to
  // drop some of them, whose parameters then stay as they are.
  virtual void before_update(std::int64_t /*step*/) {}
  // After everything else of a step; `step` are done now. Not after a step that was skipped because
  // its gradients overflowed. The place for teachers and centres to move.
  virtual void after_step(std::int64_t /*step*/) {}

  // What the last step says about itself beside its losses, for the log: names of a word, the same
  // ones at every call. NaN: not known.
  virtual report::NamedNumbers numbers() const;
  // Sentences for the user that have come up since the last call.
  virtual std::vector<std::string> messages();
  // What the run keeps in place of the model it trained: the tensors' values by the names of the
  // model's state. Nothing: the trained model.
  virtual std::optional<NamedTensors> kept_model() const;

  // What a resumed run needs to go on as if it had never stopped, own parameters included (those of
  // the run's model are saved anyway). load_state throws kData for what does not fit.
  virtual NamedTensors state() const;
  virtual void load_state(const NamedTensors& state);
};

// Several sources as one: their tasks one after the other. The first draws what it would draw
// alone, each other one something of its own.
class JoinedLosses final : public LossSource {
 public:
  // At least one. Throws kInvalidArgument for a task or a parameter named twice and for names that
  // cannot be keys.
  explicit JoinedLosses(std::vector<std::unique_ptr<LossSource>> sources);

  std::vector<std::string> tasks() const override { return tasks_; }
  NamedTensors own_parameters(std::size_t task) const override;
  NamedTensors shared_parameters() const override;
  TaskLosses operator()(const data::RowList& rows, const StepDraws& draws) override;
  void before_update(std::int64_t step) override;
  void after_step(std::int64_t step) override;
  report::NamedNumbers numbers() const override;
  std::vector<std::string> messages() override;
  // Of the first that has one.
  std::optional<NamedTensors> kept_model() const override;
  // "<i>.<name>" for the i-th source.
  NamedTensors state() const override;
  void load_state(const NamedTensors& state) override;

 private:
  std::vector<std::unique_ptr<LossSource>> sources_;
  std::vector<std::string> tasks_;
  std::vector<std::pair<std::size_t, std::size_t>> places_;  // per task: source, index in it
};

// A share of a batch's rows, at least one, spread evenly: batches are sorted by length.
data::RowList part_of(const data::RowList& rows, double share);

// The batch in n parts of neighbouring rows whose sizes differ by one at most; fewer parts where
// there are fewer rows.
std::vector<data::RowList> micro_batches(const data::RowList& rows, std::int64_t n);

// Each task's mean over the rows of all parts: for losses that are means over rows, what they are
// on all rows at once.
TensorList joined_losses(const std::vector<TaskLosses>& parts);

}  // namespace detente::train

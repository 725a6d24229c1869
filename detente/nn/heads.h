// SPDX-License-Identifier: Apache-2.0
// One linear head per task over shared features.
//
//   raw       y                       the number itself
//   scaled    low + (high − low) y    the network works on a scale of one
//   sigmoid   the same, y squeezed into (0, 1) first
//   standard  mean + deviation y      of the training targets; losses see y and (target − mean) /
//                                     deviation, so that tasks of any unit weigh alike
//
// An ordinal head is one direction w in the features and thresholds θ_0 < θ_1 < ..., the proportional
// odds model (McCullagh 1980): logit P(class > k) = w·f − θ_k. The gaps between thresholds are trained as
// softplus, so that they stay in order and the probabilities of all classes are none below zero.
#pragma once

#include <detente/core/rng.h>
#include <detente/nn/options.h>
#include <detente/nn/parameters.h>
#include <detente/tensor/fwd.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace detente::nn {

struct TaskHead {
  std::string name;
  HeadOptions options;
};

class Heads {
 public:
  Heads() = default;
  // Parameters "heads.<task>.weight" and ".bias" (ordinal: ".thresholds", the first and the gaps), in the
  // order of the tasks; standard heads also have the fixed ".mean" and ".deviation".
  Heads(std::vector<TaskHead> tasks, std::int64_t features, Draw& draw);

  std::size_t size() const { return tasks_.size(); }
  const std::vector<TaskHead>& tasks() const { return tasks_; }
  const Parameters& parameters(std::size_t head) const { return parameters_.at(head); }

  // What losses see (tensor/head.h): [B] (regression value, binary logit), [B, classes] (logits),
  // [B, classes - 1] (ordinal), [B, outputs] (several values, labels).
  TensorList operator()(const at::Tensor& features) const;
  // The same from features [B, F] of each task's own.
  TensorList operator()(const TensorList& features) const;
  // The task's targets as its loss wants them beside operator()'s numbers. NaN stays NaN.
  at::Tensor loss_target(std::size_t head, const at::Tensor& target) const;
  // The answer a user reads, from operator()'s numbers: value in the target's own unit [B],
  // probability of class 1 [B], probabilities [B, classes], values or probabilities [B, outputs].
  at::Tensor answer(std::size_t head, const at::Tensor& prediction) const;

  // What an untrained head answers, and the unit of a standard one, from the training targets (NaN:
  // missing; row by row where there are several numbers): the mean of a regression task, the share of
  // ones of a binary one and of each label, the shares of ordered classes.
  void start_from(std::size_t head, std::span<const double> targets);
  // The answer alone, every number of it; nothing for classes.
  void set_initial_prediction(std::size_t head, double value);

  void to(tensor::Device device, tensor::DType dtype);

 private:
  at::Tensor ordered_logits(std::size_t head, const at::Tensor& features) const;
  // The bias with which column `column` of a head answers `value`.
  double initial_bias(std::size_t head, std::size_t column, double value) const;

  std::vector<TaskHead> tasks_;
  std::vector<Parameters> parameters_;
};

}  // namespace detente::nn

// SPDX-License-Identifier: Apache-2.0
// One head per task over the features of the trunk: linear, or for tasks with an answer for each pixel a
// map_head.h. Over maps of features [B, F, H, W] the linear ones see their mean over the pixels.
//
//   raw       y                       the number itself
//   scaled    low + (high − low) y    the network works on a scale of one
//   sigmoid   the same, y squeezed into (0, 1) first
//   standard  mean + deviation y      of the training targets; losses see y and (target − mean) /
//                                     deviation, so that tasks of any unit weigh alike
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
  // Parameters "heads.<task>.weight" and ".bias", in the order of the tasks; standard heads also
  // have the fixed ".mean" and ".deviation".
  Heads(std::vector<TaskHead> tasks, std::int64_t features, Draw& draw);

  std::size_t size() const { return tasks_.size(); }
  const std::vector<TaskHead>& tasks() const { return tasks_; }
  const Parameters& parameters(std::size_t head) const { return parameters_.at(head); }

  // What losses see: [B] (regression value, binary logit), [B, classes] (logits) or of maps
  // [B, classes, H, W] (logits), [B, 1, H, W] (depth), [B, 3, H, W] (a vector of any length).
  TensorList operator()(const at::Tensor& features) const;
  // From features of each task; one entry: shared.
  TensorList operator()(const TensorList& features) const;
  // The task's targets as its loss wants them beside operator()'s numbers. NaN stays NaN.
  at::Tensor loss_target(std::size_t head, const at::Tensor& target) const;
  // The answer a user reads, from operator()'s numbers: value in the target's own unit [B],
  // probability of class 1 [B], probabilities [B, classes], maps as map_answer gives them.
  at::Tensor answer(std::size_t head, const at::Tensor& prediction) const;

  // What an untrained head answers, and the unit of a standard one, from the training targets (NaN:
  // missing): the mean of a regression task, the share of ones of a binary one.
  void start_from(std::size_t head, std::span<const double> targets);
  // The answer alone.
  void set_initial_prediction(std::size_t head, double value);
  // What a regression head's linear part should give for targets, up to the squeezing into (0, 1), which
  // is undone within (0.01, 0.99).
  at::Tensor linear_target(std::size_t head, const at::Tensor& target) const;
  // weight [outputs, F], bias [outputs].
  void set_linear(std::size_t head, const at::Tensor& weight, const at::Tensor& bias);
  // The same of a map, per channel; of segmentation nothing.
  void set_initial_map(std::size_t head, std::span<const double> values);

  void to(tensor::Device device, tensor::DType dtype);

 private:
  at::Tensor predict(std::size_t head, const at::Tensor& features) const;

  std::vector<TaskHead> tasks_;
  std::vector<Parameters> parameters_;
};

}  // namespace detente::nn

// SPDX-License-Identifier: Apache-2.0
// One network of an agent with what trains it: its parameters, the engine with a method, and Adam.
#pragma once

#include <ATen/core/Tensor.h>
#include <detente/balance/method.h>
#include <detente/core/json.h>
#include <detente/core/rng.h>
#include <detente/engine/multi_task_backward.h>
#include <detente/nn/parameters.h>
#include <detente/tensor/device.h>
#include <detente/train/adamw.h>

#include <memory>
#include <string>
#include <vector>

namespace detente::control {

class Learner {
 public:
  // Names of the parameters that all tasks share, and of each task's own (empty: none has any).
  struct Sharing {
    std::vector<std::string> shared;
    std::vector<std::vector<std::string>> own;
  };

  Learner(nn::Parameters parameters,
          const Sharing& sharing,
          std::shared_ptr<balance::Method> method,
          std::vector<std::string> tasks,
          const engine::MultiTaskOptions& options,
          double lr,
          tensor::Device device);

  const nn::Parameters& parameters() const { return parameters_; }

  // Moves the parameters by the losses' reconciled gradient. `examples`: the task of each row.
  const engine::StepReport& step(const TensorList& losses,
                                 const std::vector<std::int64_t>& examples,
                                 Rng& rng);

  NamedTensors tensors() const;
  Json state() const;
  void load(const NamedTensors& tensors, const Json& state);

 private:
  nn::Parameters parameters_;
  std::shared_ptr<balance::Method> method_;
  std::unique_ptr<engine::MultiTaskBackward> backward_;
  std::unique_ptr<train::AdamW> adam_;
};

}  // namespace detente::control

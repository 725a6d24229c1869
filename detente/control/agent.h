// SPDX-License-Identifier: Apache-2.0
// Soft actor-critic (Haarnoja et al., ICML 2018; arXiv 1812.05905) on K tasks at once, with the tasks' gradients
// reconciled by a method of its own for actor, critics and temperature.
//
//   critics       L_k = mean over task k's rows of (Q₁(o,a) − y)² + (Q₂(o,a) − y)²,
//                 y = r + γ c (min_j Q̄_j(o', a') − α log π(a'|o')),  a' ~ π(o'), c = 0 in a final state
//   actor         L_k = mean of α log π(a|o) − min_j Q_j(o, a),  a ~ π(o)
//   temperature   L_k = mean of α (−log π(a|o) − H),  α = exp(log α), with the actor's a of before its step
//   targets       Q̄ ← (1 − τ) Q̄ + τ Q
//
// in this order, as in the code of CAGrad's and PCGrad's Meta-World experiments. The tasks' rows lie one after the other
// in one batch, so that K gradients come from one pass (docs/engine.md, segmented), where that code passes K times
// through all rows; a task without rows in a batch is absent from the step.
#pragma once

#include <ATen/core/Tensor.h>
#include <detente/balance/method.h>
#include <detente/control/agent_options.h>
#include <detente/control/task_mlp.h>
#include <detente/core/json.h>
#include <detente/core/rng.h>
#include <detente/engine/multi_task_backward.h>
#include <detente/tensor/device.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace detente::control {

// What the agent acts on.
struct AgentShape {
  std::vector<std::string> tasks;
  std::int64_t observation = 0;
  std::int64_t action = 0;
};

// One per network; each used, not copied. Equal weighting (ew) makes the plain multi-task agent.
struct AgentMethods {
  std::shared_ptr<balance::Method> critic;
  std::shared_ptr<balance::Method> actor;
  std::shared_ptr<balance::Method>
      temperature;  // of a shared one; else there is nothing to reconcile
};

// Rows sorted by task, float32 on the agent's device.
struct Transitions {
  at::Tensor observations;       // [N, O]
  at::Tensor actions;            // [N, A]
  at::Tensor rewards;            // [N]
  at::Tensor next_observations;  // [N, O]
  at::Tensor continues;          // [N], 0 in a final state, else 1 (also where the horizon cut)
  TaskCounts counts;             // K
};

// Good until the next update.
struct UpdateReport {
  const engine::StepReport* critic = nullptr;
  const engine::StepReport* actor = nullptr;
  const engine::StepReport* temperature = nullptr;
  std::vector<double> temperatures;  // α, K
  double entropy = 0;                // −mean log π of the batch
};

class Agent {
 public:
  // Parameters from `rng` alone. Throws kInvalidArgument.
  Agent(AgentShape shape,
        const AgentOptions& options,
        AgentMethods methods,
        const engine::MultiTaskOptions& engine,
        Rng& rng,
        tensor::Device device = {});
  ~Agent();
  Agent(Agent&&) noexcept;
  Agent& operator=(Agent&&) noexcept;

  // One row per task of `counts`; [N, A] on the host. `noise`: draws; null: the mean's actions.
  at::Tensor act(const at::Tensor& observations, const TaskCounts& counts, Rng* noise) const;

  // Throws kShape, kNumeric naming the task; then nothing but the networks updated before has changed.
  const UpdateReport& update(const Transitions& batch, Rng& rng);

  // Everything that update() changes; and the actor alone, for use.
  NamedTensors tensors() const;
  Json state() const;
  // Throws kData.
  void load(const NamedTensors& tensors, const Json& state);
  NamedTensors actor() const;

  std::int64_t parameter_count() const;  // actor, two critics, temperature

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace detente::control

// SPDX-License-Identifier: Apache-2.0
// AdamW (Loshchilov and Hutter, ICLR 2019, arXiv 1711.05101) over named parameters.
//
//   m ← β₁ m + (1 − β₁) g      v ← β₂ v + (1 − β₂) g²
//   θ ← (1 − η λ) θ − η m̂ / (√v̂ + ε),    m̂ = m / (1 − β₁ᵗ),  v̂ = v / (1 − β₂ᵗ)
//
// Own code for two reasons: its state goes into a snapshot as named tensors, the same on every
// engine version; and on the CPU one pass over memory replaces about eight, which matters for an
// embedding of 32,000 rows. The tests compare it with torch::optim::AdamW.
#pragma once

#include <detente/core/fields.h>
#include <detente/tensor/fwd.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace detente::tensor {
class Group;
}

namespace detente::train {

struct AdamWOptions {
  double lr = 1e-3;
  double weight_decay = 0.01;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double last_weight_decay = -1;  // < 0: weight_decay throughout
  double clip_each = 0;           // 0: none

  void describe(FieldVisitor& visitor);
};

// The weight decay of step 0 <= step < total: from weight_decay to last_weight_decay by half a cosine,
// which it would reach after the last step.
double decay_course(const AdamWOptions& options, std::int64_t step, std::int64_t total);

struct NextMove;  // next_move.h

class AdamW {
 public:
  // One-dimensional parameters (biases, gains) are not decayed. `rates`: of each parameter in turn, its
  // learning rate as a share of the options'; parameters beyond the list have all of it. With several
  // processes in `sharers` each keeps the moments of its share of the numbers alone, moves these, and
  // hands them to the others (ZeRO stage 1, Rajbhandari et al. 2020); gradients are then dense.
  AdamW(NamedTensors parameters,
        const AdamWOptions& options,
        const std::vector<double>& rates = {},
        std::shared_ptr<tensor::Group> sharers = nullptr);
  ~AdamW();
  AdamW(AdamW&&) noexcept;
  AdamW& operator=(AdamW&&) noexcept;

  // One step with rate lr × factor and, instead of the options', this decay; parameters without a
  // gradient are left alone, and of their own steps (t in the formula) this is none. A sparse gradient
  // (MultiTaskOptions::sparse_tables) counts as the dense one that it stands for: moments decay and
  // entries move where it is zero, too.
  void step(double factor, double weight_decay);
  void step(double factor);

  // What step(factor, weight_decay) would do to parameter p, in the constructor's order, with the
  // gradients of now. Throws kUnsupported with sharers.
  NextMove next_move(std::size_t p, double factor, double weight_decay) const;

  // "m.<name>" and "v.<name>", whole whoever keeps them (sharers call this together), where some parameter
  // has missed steps "missed", how many each has; and the number of steps taken.
  NamedTensors state() const;
  void load_state(const NamedTensors& state, std::int64_t steps);
  std::int64_t steps() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace detente::train

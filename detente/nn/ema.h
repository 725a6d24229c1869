// SPDX-License-Identifier: Apache-2.0
// Exponential moving average of named tensors: a model that follows another one slowly (the teacher
// of self-distillation, the weights one evaluates with).
//
//   a_t = d_t a_{t−1} + (1 − d_t) θ_t,   t = 1, 2, ... the calls of update()
//
// decay schedule, d the option `decay`:
//   constant   d_t = d
//   warmup     d_t = min(d, t / (9 + t)): 1/10, 2/11, ...; a young average forgets its start fast
//   cosine     d_t = 1 − (1 − d)(1 + cos(π min(t, T)/T))/2: from d to 1 within T = `steps` updates
//              (BYOL, Grill et al. 2020; DINO, Caron et al. 2021)
//
// Bias. With start `values` a_0 = θ_0, the values at construction, which keep the weight
// c_t = Π_{i≤t} d_i. With start `zero` a_0 = 0 and the average is a_t / (1 − c_t), the weighted mean
// of θ_1, ..., θ_t alone, as Adam corrects its moments; as long as c_t = 1 (before the first update) it is θ_0.
//
// Floating-point tensors are averaged in their own type, at least float32 (a + (1 − d)(θ − a), which
// a θ that stays leaves at rest to the bit); other tensors (counts, ids) are those of the last
// update. Cost: one pass over the tensors for each update, and their memory once.
#pragma once

#include <detente/core/fields.h>
#include <detente/tensor/fwd.h>

#include <cstdint>
#include <memory>

namespace detente::nn {

struct EmaOptions {
  enum class Schedule { kConstant, kWarmup, kCosine };
  enum class Start { kValues, kZero };

  double decay = 0.999;
  Schedule schedule = Schedule::kConstant;
  std::int64_t steps = 1000;  // cosine only
  Start start = Start::kValues;

  void describe(FieldVisitor& visitor);
};

// d_t for t >= 1.
double ema_decay(const EmaOptions& options, std::int64_t t);

// One step of one tensor, a + (1 − d)(θ − a) in place of a; of a type that is not averaged, θ.
// `decay` in [0, 1], kInvalidArgument otherwise. For averages that lie elsewhere.
void follow(at::Tensor& average, const at::Tensor& value, double decay);

class Ema {
 public:
  // Follows these tensors, which are shared with their model and not copied: a model that makes new
  // ones (PairModel::to) needs a new Ema. Throws kInvalidArgument for options that are not legal.
  Ema(NamedTensors followed, const EmaOptions& options);
  ~Ema();
  Ema(Ema&&) noexcept;
  Ema& operator=(Ema&&) noexcept;

  // Takes the followed tensors' present values in.
  void update();
  // The same with this d_t, in [0, 1], in place of the schedule's: for schedules of the caller's.
  // Throws kInvalidArgument for another.
  void update(double decay);
  std::int64_t updates() const;

  // By name, in the followed tensors' types, without a graph; copies.
  NamedTensors average() const;
  // Writes it into another model's tensors of the same names, in place; kData for a name that is
  // missing there and kShape for another shape. Tensors of other names are left alone.
  void copy_to(const NamedTensors& targets) const;

  // "average.<name>" (a_t; θ_0 where that is the average) and "counts": the number of updates and
  // c_t, float64.
  NamedTensors state() const;
  // kData for a missing or unknown name or another shape; then nothing has changed.
  void load_state(const NamedTensors& state);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace detente::nn

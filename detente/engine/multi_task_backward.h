// SPDX-License-Identifier: Apache-2.0
// The heart of a training step: K losses in, the balanced gradient in .grad, ready for any
// optimiser.
//
//   engine::MultiTaskBackward backward(model.shared_parameters(), heads, method, names, options);
//   ...
//   const auto& report = backward(losses, rng);   // instead of loss.backward()
//   optimizer.step();
//
// Shared parameters get d = Σ_k w_k ∇L_k with the method's weights w; parameters of one task get
// the gradient of their own loss (or w_k times it, see HeadGradient). Works on the graph behind the
// losses alone and knows nothing of modules.
#pragma once

#include <detente/balance/method.h>
#include <detente/core/fields.h>
#include <detente/core/json.h>
#include <detente/core/matrix.h>
#include <detente/core/rng.h>
#include <detente/tensor/fwd.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace detente::engine {

enum class Strategy {
  kAuto,        // weighted when the method needs losses only and no diagnosis is due
  kWeighted,    // one backward pass of Σ w_k L_k; class L methods only
  kSequential,  // K passes, exact Gram matrix
};
const char* name_of(Strategy strategy);  // "auto", "weighted", "sequential"

struct MultiTaskOptions {
  // What a task's own parameters receive. kAuto: kWeighted for class L methods (as in the plain
  // backward of Σ w_k L_k), kOwnLoss for the others (a task whose weight is 0 keeps learning its
  // head).
  enum class HeadGradient { kAuto, kOwnLoss, kWeighted };

  Strategy strategy = Strategy::kAuto;
  HeadGradient heads = HeadGradient::kAuto;
  std::int64_t diagnose_every = 0;  // every n-th step measures Gram and cosines whatever the method
  double clip_norm = 0.0;  // 0: off; else the norm over all gradients written is at most this

  void describe(FieldVisitor& visitor);
};

// What happened in one step; k = number of tasks. Entries of absent tasks are NaN (weights: 0).
struct StepReport {
  std::vector<double> losses;   // k
  std::vector<double> weights;  // k, native scale of the method
  std::size_t present = 0;      // tasks that took part

  // Filled in only when the K gradients were formed.
  bool diagnosed = false;
  Matrix gram;                         // k×k
  Matrix cosines;                      // k×k; NaN where a gradient is zero
  std::vector<double> gradient_norms;  // k, over the shared parameters
  bool conflict = false;               // some pair has a negative cosine

  double direction_norm =
      0.0;  // ‖d‖ before clipping; NaN when neither diagnosis nor clipping needs it
  double total_norm = 0.0;   // with the tasks' own parameters; NaN when clipping is off
  double clip_factor = 1.0;  // what all gradients were multiplied by

  Strategy strategy = Strategy::kWeighted;  // the one used
  balance::StopReason stop = balance::StopReason::kClosedForm;
  int iterations = 0;
  double certificate = 0.0;
  std::string message;  // the method's remark, usually empty

  double backward_ms = 0.0;  // all backward passes, Gram and combination
  double solve_ms = 0.0;     // the method
};

class MultiTaskBackward {
 public:
  // `shared`: the parameters whose gradients are balanced, one dtype and device; those with
  // requires_grad = false are skipped. `own[k]`: parameters of task k alone (empty: no task has
  // any). The method is used, not copied: its state lives with the caller's training run.
  // Throws kInvalidArgument (K = 0, a parameter listed twice, a class G method with `weighted`).
  MultiTaskBackward(const TensorList& shared,
                    const std::vector<TensorList>& own,
                    std::shared_ptr<balance::Method> method,
                    std::vector<std::string> names,
                    const MultiTaskOptions& options = {});
  ~MultiTaskBackward();
  MultiTaskBackward(MultiTaskBackward&&) noexcept;
  MultiTaskBackward& operator=(MultiTaskBackward&&) noexcept;

  // One loss per task, a scalar with its graph; an undefined tensor means that the task is absent
  // in this step and takes no part. Replaces .grad of every parameter given to the constructor
  // (undefined where no present task reaches it, so optimisers leave it alone) and frees the graph
  // of the shared part; what is left of the heads goes with the losses.
  // Throws kNumeric naming the task when a loss or gradient is not finite, kShape when a loss is no
  // scalar or the count differs; after an exception every .grad is as it was before.
  // The report is valid until the next call.
  const StepReport& operator()(std::span<const at::Tensor> losses, Rng& rng);

  const std::vector<std::string>& names() const;
  // The number of scalars in the shared parameters.
  std::int64_t shared_size() const;
  // Steps done; they decide which are diagnosed.
  std::int64_t steps() const;
  void set_steps(std::int64_t steps);
  // Steps and the last loss of each task, for snapshots. The method's own state is not in it.
  Json state() const;
  void load_state(const Json& state);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace detente::engine

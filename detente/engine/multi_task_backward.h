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
#include <detente/solver/solver.h>
#include <detente/tensor/fwd.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace detente::tensor {
class Group;
}

namespace detente::engine {

// What each of several processes keeps of the K gradients (set_group). Both give the same direction to
// rounding.
enum class Exchange {
  kSharded,     // its part of the columns: (K + 1) P numbers are sent
  kReplicated,  // all of them: 2 K P numbers, and K P kept in each process
};

// How the K gradients are obtained. All but kFeatures give the same direction to rounding; the page
// docs/engine.md says when each is chosen and what it costs.
enum class Strategy {
  kAuto,        // the cheapest one that is exact for this method and graph
  kWeighted,    // one backward pass of Σ w_k L_k; class L methods only
  kSequential,  // K passes, a K×P matrix; works for every model
  kSegmented,   // tasks with rows of their own in one batch: one pass, gradients per layer and task
  kGhost,       // K passes without the weight gradients of layers with few rows
  kFeatures,    // gradients at the shared representation: another objective, never chosen unasked
  kLockstep,    // what memory = low does; not to be asked for by this name
};
const char* name_of(Strategy strategy);  // "auto", "weighted", "sequential", ...

struct MultiTaskOptions {
  // What a task's own parameters receive. kAuto: kWeighted for class L methods (as in the plain
  // backward of Σ w_k L_k), kOwnLoss for the others (a task whose weight is 0 keeps learning its
  // head).
  enum class HeadGradient { kAuto, kOwnLoss, kWeighted };

  // kLow: never K gradients at once. The Gram matrix is formed stretch by stretch of the model and
  // the direction by one more pass; about 2P numbers beside the model's own.
  enum class Memory { kFast, kLow };

  using Scale = solver::Scale;  // what the weights are multiplied by

  // Activations in fp16 lose small gradients. kDynamic: losses are multiplied by a large power of
  // two in the backward passes, gradients divided by it before anything looks at them; a step
  // whose gradients overflow is skipped and halves it, 2000 good steps in a row double it.
  enum class LossScaling { kNone, kDynamic };

  // kSideBySide: several passes at once on LibTorch's threads (CPU only), one thread each, instead
  // of one after the other with all threads inside each: no thread waits for another inside an
  // operation. The graph is kept until all have ended, and hooks of yours in it run at once. The
  // same numbers to rounding. kAuto: side by side where the passes keep the threads busy (at
  // least four fifths of their time) and the graph has no hooks. Of several processes each makes its
  // passes in turn.
  enum class Passes { kAuto, kInTurn, kSideBySide };

  Strategy strategy = Strategy::kAuto;
  Scale scale = Scale::kNative;
  Memory memory = Memory::kFast;
  HeadGradient heads = HeadGradient::kAuto;
  LossScaling loss_scaling = LossScaling::kNone;
  Passes passes = Passes::kAuto;
  // Columns of a random projection, 0: none. Where all tasks look at the same examples, a layer's
  // part of the Gram matrix is then estimated from δ_kᵀ(xΩ), Ω [in, n] Gaussian, in place of the
  // weight gradients δ_kᵀx; the direction is made of exact gradients all the same, by one weighted
  // weight gradient. Unbiased; the error falls with √n. Judged as estimates are (estimate_floor).
  std::int64_t gram_sketch = 0;
  // The .grad of an embedding table is a sparse (COO, coalesced) tensor of the entries that the
  // batch looked up, where the strategy knows them (segmented and ghost; tables that are only
  // looked up); a dense one otherwise. For optimisers that accept both: writing and reading zeros
  // for a large vocabulary costs as much as the network. train::AdamW does, with the result of the
  // dense gradient to the bit; LibTorch's Adam does not.
  bool sparse_tables = false;
  std::int64_t diagnose_every = 0;  // every n-th step measures Gram and cosines whatever the method
  double estimate_floor = 0.95;     // see estimated_gram
  double clip_norm = 0.0;  // 0: off; else the norm over all gradients written is at most this

  void describe(FieldVisitor& visitor);

  // Whether a task's own parameters get w_k times their gradient, with a method of this class.
  bool heads_weighted(balance::MethodClass method) const;
};

// The Gram matrix of the gradients' parts that lie in one group of shared parameters (a layer).
struct GroupGram {
  std::string name;
  Matrix gram;  // k×k; NaN for absent tasks
};

// What happened in one step; k = number of tasks. Entries of absent tasks are NaN (weights: 0).
struct StepReport {
  std::vector<double> losses;   // k
  std::vector<double> weights;  // k, scaled as the options say (native: see the method)
  std::size_t present = 0;      // tasks that took part

  // Filled in only when the K gradients were formed.
  bool diagnosed = false;
  Matrix gram;                         // k×k
  Matrix cosines;                      // k×k; NaN where a gradient is zero
  std::vector<double> gradient_norms;  // k, over the shared parameters
  bool conflict = false;               // some pair has a negative cosine
  // See set_groups. They add up to `gram`.
  std::vector<GroupGram> groups;
  // See balance_by_group: each group's k weights. `weights` then holds their means, a group counted
  // by its number of scalars.
  std::vector<std::vector<double>> group_weights;

  double direction_norm =
      0.0;  // ‖d‖ before clipping; NaN when neither diagnosis nor clipping needs it
  double total_norm = 0.0;   // with the tasks' own parameters; NaN when clipping is off
  double clip_factor = 1.0;  // what all gradients were multiplied by

  // Loss scaling: the factor of this step, and whether its gradients overflowed. Then every .grad
  // is undefined, so that an optimiser changes nothing.
  double loss_scale = 1.0;
  bool skipped = false;

  Strategy strategy = Strategy::kWeighted;  // the one used
  bool estimated = false;                   // the method saw an estimate of the Gram matrix
  double estimate_cosine =
      0.0;  // of the estimate's direction with the exact one; NaN: not measured
  balance::StopReason stop = balance::StopReason::kClosedForm;
  int iterations = 0;
  double certificate = 0.0;
  std::string message;  // the method's remark, usually empty

  // What kept a faster strategy from being used, once per engine and reason; usually empty.
  std::string notice;

  double backward_ms = 0.0;  // all backward passes, Gram and combination
  double solve_ms = 0.0;     // the method
};

// What class X methods learn of two batches independent of each other and of the one of the step.
struct IndependentGrams {
  Matrix first;  // K×K, the Gram matrix of the first; NaN for tasks it lacks
  Matrix cross;  // K×K, inner products of the first's gradients with the second's
};

// One step's input. Views must outlive the call.
struct StepInput {
  // One per task, a scalar with its graph; an undefined tensor means that the task is absent in
  // this step and takes no part.
  std::span<const at::Tensor> losses;
  // What each loss counts beside those of other batches (accumulate) and processes (set_group): the
  // examples that are in its mean, one number > 0 per task. Empty: all the same.
  std::span<const double> shares = {};
  // Where the tasks have examples of their own in one joint batch: the task of each example
  // (dimension 0 of the shared representation), -1 for none. Without it the engine finds slices of
  // the batch in the graph; needed where the examples of a task are picked in a way that neither
  // the graph nor the gradients tell. Examples of one task must not influence the losses of others.
  std::vector<std::int64_t> examples = {};
  // The values of the shared representation, for methods that look at them (graddrop under strategy
  // features); null: unknown.
  const at::Tensor* features = nullptr;
  // See independent_grams() and estimated_gram(); empty: none.
  IndependentGrams independent = {};
  Matrix estimate = {};
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

  // One step. Replaces .grad of every parameter given to the constructor (undefined where no present task reaches it, so optimisers leave it alone) and frees the graph
  // of the shared part; what is left of the heads goes with the losses.
  // Throws kNumeric naming the task when a loss or gradient is not finite, kShape when a loss is no
  // scalar or the count differs; after an exception every .grad is as it was before.
  // The report is valid until the next call.
  const StepReport& operator()(const StepInput& input, Rng& rng);
  // The same with what the setters below have given.
  const StepReport& operator()(std::span<const at::Tensor> losses, Rng& rng);

  // A step over several batches, for batches that do not fit into memory together: accumulate()
  // with the losses of each, then finish() instead of a call. Task k's gradient is Σ_m s_mk ∇L_mk /
  // Σ_m s_mk over the batches m that have the task; `shares`, one number > 0 per task, say what a
  // batch's loss counts (the rows that are in its mean); empty: all the same. The method sees the
  // losses averaged likewise and is asked once. With losses that are means and shares that count
  // their rows this is the step on all rows at once. Keeps a K×P matrix; not with memory = low or
  // strategy features.
  // Errors as those of a call; after one, the batches given so far are forgotten.
  void accumulate(std::span<const at::Tensor> losses, std::span<const double> shares = {});
  const StepReport& finish(Rng& rng);

  // Class X methods: from the losses of two batches, with their graphs, what StepInput::independent
  // takes. Without it a step uses its own batch twice (a biased estimate), as it does when one of
  // the two lacks a task that takes part. 2K passes here, one in the step. Throws kNumeric naming
  // the task when a gradient is not finite.
  IndependentGrams independent_grams(std::span<const at::Tensor> first,
                                     std::span<const at::Tensor> second) const;
  // A cheap estimate of the Gram matrix from a part of the batch: losses on some of its examples,
  // with their graphs. A step that is given it solves with it and needs one pass.
  Matrix estimated_gram(std::span<const at::Tensor> losses_of_part) const;

  // The same, and StepInput's other parts, given beforehand for the next call.
  void set_rows(std::span<const std::int64_t> task_of_example);
  void set_shares(std::span<const double> shares);
  void set_features(const at::Tensor& features);
  void set_independent(std::span<const at::Tensor> first, std::span<const at::Tensor> second);
  void set_estimate(std::span<const at::Tensor> losses_of_part);

  // Whether the next call would look at what these give; ask at every step, the answer changes
  // with the method's state, diagnosed steps and the measured quality of estimates.
  bool wants_independent() const;
  bool wants_estimate() const;

  // For methods with wants_losses_after_step(): the losses of the same batch after the optimiser's
  // step, undefined for the same tasks as before.
  void after_step(std::span<const at::Tensor> losses);

  const std::vector<std::string>& names() const;
  // Divides the shared parameters into named groups: from then on the steps that `diagnose_every`
  // names report a Gram matrix for each, which shows in which layers tasks conflict. One number per
  // shared parameter, in the constructor's order, an index into `names`; both empty: no groups.
  // Costs strategy sequential the Gram matrix once more and the others nothing; strategy features
  // knows no layers and reports none.
  // Throws kShape or kInvalidArgument.
  void set_groups(std::vector<std::string> names, std::vector<int> group_of_shared_parameter);

  // From then on every group of set_groups gets a direction of its own, found by its own method
  // from the group's Gram matrix alone: tasks may agree in early layers and fight in late ones. One
  // method per group, of one kind (class G or G+L; kInvalidArgument otherwise), in the order of the
  // groups; none: one direction for all parameters again. The method of the constructor is not
  // asked meanwhile. Costs the Gram matrices of the groups (see set_groups), one solve each, and
  // with memory = low one pass each. Estimates of the Gram matrix are not used.
  void balance_by_group(std::vector<std::shared_ptr<balance::Method>> methods);

  // From then on this is one of several processes that train one model: each has an engine of its
  // own with the same method, options and steps, and gives it the losses of its examples of every
  // batch, with their shares. Losses, the Gram matrix, weights and gradients are those of all
  // examples, in every process the same; generators must be in the same state. Each keeps its share
  // of the gradients' columns alone, or all as `exchange` says. Not with memory = low (kUnsupported).
  void set_group(std::shared_ptr<tensor::Group> group, Exchange exchange = Exchange::kSharded);

  // The number of scalars in the shared parameters.
  std::int64_t shared_size() const;
  // Steps done; they decide which are diagnosed.
  std::int64_t steps() const;
  // Steps done, the last measured quality of estimates and the loss scale, for snapshots. The
  // methods' own state is not in it.
  Json state() const;
  void load_state(const Json& state);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace detente::engine

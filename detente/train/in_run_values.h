// SPDX-License-Identifier: Apache-2.0
// What each training example did to each task while the model was trained (In-Run Data Shapley: Wang et
// al., ICLR 2025, arXiv 2406.11011), told apart by the task it was trained for, the task that is judged
// and the part of the network. With the step θ ← θ − Δ,
//
//   V[i, k→m, b] += c_k ⟨A ⊙ ∇_i^k, v_m⟩_b        ∇_i^k: example i's part in ∇L_k
//
// c_k the method's weight (1 for a task's own parameters where these learn from their own loss), v_m the
// gradient of task m's loss on validation rows, A ⊙ gradient the part of Δ that the optimiser makes of
// the present gradient: for AdamW η (1 − β₁)/(1 − β₁ᵗ) / (√v̂ + ε). Positive: the step lowered the judged
// loss because of the example. Of second order v_m is replaced by v_m − ½ H_m Δ, which gives the Shapley
// value of the loss's quadratic model.
//
// Parameters that are not in layers of known kinds, or below a place where the examples are lost, have
// their products from a second forward pass and a derivative of its gradient.
//
// What a step does beyond its present gradients has lines of its own, so that all of ⟨Δ, v_m⟩ is accounted
// for: earlier gradients (momentum), weight decay, and parameters whose gradient cannot be told apart by
// examples. ΣV is compared in every step with ⟨A ⊙ d, v_m⟩ for the direction d that was used: the audit.
#pragma once

#include <detente/autograd/example_parts.h>
#include <detente/core/json.h>
#include <detente/train/judge.h>
#include <detente/train/loss_context.h>
#include <detente/train/step_witness.h>
#include <detente/valuation/value_table.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace detente::train {

class InRunValues final : public StepWitness {
 public:
  // Of a run with these losses over these shared parameters; the tasks with labels are judged on
  // recipe.valuation.rows rows of context.corpus.dev. Everything outlives it. Throws kInvalidArgument
  // where no task has labels or validation rows with a target, kUnsupported for data of several sources
  // and for optimiser states that are spread.
  InRunValues(const LossContext& context, const LossSource& losses, const NamedTensors& shared);

  void on_begin(std::int64_t step, const data::RowList& batch) override;
  void on_losses(const data::RowList& rows, const TaskLosses& losses) override;
  void on_gradients(const engine::StepReport& report,
                    const AdamW& optimizer,
                    double factor,
                    double weight_decay,
                    const std::function<void(const EachPart&)>& again) override;

  // Of all steps so far. Ids are rows of context.corpus.train. Standard errors are those of a sum of as
  // many independent terms as steps the row took part in.
  valuation::ValueTable table() const;
  // {"max_relative_error", "steps", "tasks": {task: {"values", "momentum", "weight_decay",
  // "not_followed", "total"}}}: sums over the steps of what each did to the task's validation loss, as
  // decreases. The error is |ΣV − ⟨A ⊙ d, v⟩| over Σ|V|, the largest of a step and task.
  Json audit() const;
  // Sentences for the user that have come up since the last call.
  std::vector<std::string> messages();

  NamedTensors state() const;
  void load_state(const NamedTensors& state);

 private:
  // A part of the batch.
  struct Part {
    data::RowList rows;
    std::vector<double> shares;  // per loss
    autograd::ExampleParts examples;
  };
  // What parameters have in common whose products may be summed.
  struct Group {
    int weights = 0;  // place in StepReport::group_weights
    int own = -1;     // the task that has them alone
    int block = 0;

    bool operator==(const Group&) const = default;
  };

  // What one step does, in all processes.
  struct StepValues {
    at::Tensor values;          // [rows of the batch, series]
    std::vector<double> sums;   // ΣV per judged task
    std::vector<double> sizes;  // Σ|V|
  };

  void read_parameters(const LossSource& losses, const NamedTensors& shared);
  std::vector<TensorList> bent_gradients(const std::vector<NextMove>& moves) const;
  double coefficient(const engine::StepReport& report, std::size_t loss, const Group& group) const;
  std::size_t series_of(std::size_t loss, std::size_t judged, std::size_t block) const;
  // Per part and judged task [losses, examples, groups].
  std::vector<std::vector<at::Tensor>> products(const std::vector<TensorList>& directions,
                                                const std::function<void(const EachPart&)>& again);
  StepValues values_of(const engine::StepReport& report,
                       const std::vector<std::vector<at::Tensor>>& products) const;
  // Into the audit's lines.
  void account(const std::vector<NextMove>& moves,
               const std::vector<TensorList>& judged,
               const std::vector<TensorList>& directions,
               const StepValues& step);
  void tell_unfollowed(const std::string& why);

  LossContext context_;
  const Recipe& recipe_;
  Judge judge_;
  std::vector<std::string> trained_;  // names of the losses
  std::vector<std::size_t> judged_;   // tasks
  std::vector<std::string> names_;    // of parameters, shared ones first
  TensorList parameters_;
  std::vector<int> group_of_;  // per parameter
  std::vector<Group> groups_;
  std::vector<std::string> blocks_;
  bool heads_weighted_ = false;

  std::vector<TensorList> gradients_;  // v, per judged task and parameter
  data::RowList batch_;
  std::vector<Part> parts_;
  bool others_ = true;  // parameters that are not followed have products, too
  std::vector<std::string> messages_;

  at::Tensor values_;   // [rows, series], float64 on the host
  at::Tensor squares_;  // of single steps
  at::Tensor counts_;   // [rows]
  at::Tensor lines_;    // [judged, 5]: values, momentum, decay, not followed, total
  double worst_ = 0;
  std::int64_t steps_ = 0;
};

}  // namespace detente::train

// SPDX-License-Identifier: Apache-2.0
// One step of MultiTaskBackward: its state and the parts the step is made of. The parts are in
// step.cpp (what every step does before), step_runs.cpp (the ways to the gradient), step_end.cpp
// (what every way ends with), step_input.cpp (other batches and parts of a batch),
// step_accumulate.cpp (several batches in one step).
#pragma once

#include <detente/autograd/features.h>
#include <detente/autograd/layered.h>
#include <detente/autograd/task_blocks.h>
#include <detente/core/nan.h>
#include <detente/core/stopwatch.h>
#include <detente/engine/internal/agreement.h>
#include <detente/engine/multi_task_backward.h>
#include <detente/solver/solver.h>
#include <detente/tensor/compat.h>
#include <detente/tensor/group.h>

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace detente::engine {

namespace internal {

inline TensorList trainable(const TensorList& parameters) {
  TensorList result;
  for (const auto& parameter : parameters) {
    if (parameter.requires_grad()) result.push_back(parameter);
  }
  return result;
}

}  // namespace internal

struct MultiTaskBackward::Impl {
  Impl(std::shared_ptr<balance::Method> method,
       std::vector<std::string> names,
       const MultiTaskOptions& given)
      : options(given), solver(std::move(method), std::move(names), given.scale) {}

  // The graph belongs to the caller's losses; holding them after the call, or after an exception,
  // would keep it alive.
  struct Release {
    Impl& impl;
    ~Release() {
      impl.losses.clear();
      impl.formed.release();
      impl.features.release();
      impl.input = {};
      impl.next = {};
      impl.next_features.reset();
    }
  };

  // What a way to the gradient leaves to be done, see finish().
  struct Ending {
    double passes_ms = 0.0;
    // The tasks' weights; empty where they are known already.
    std::function<void()> solve = {};
    // ‖d‖² over the shared parameters, of which nothing has been written yet. May form d.
    std::function<double()> length;
    // Writes the shared parameters' .grad, d times `factor`. Nothing can fail any more.
    std::function<void(double factor)> write;
    bool own_weighted = false;  // own_gradients carry the tasks' weights already
  };

  TensorList all_shared;
  std::vector<TensorList> all_own;
  MultiTaskOptions options;
  solver::Solver solver;
  std::shared_ptr<tensor::Group> group = std::make_shared<tensor::Group>();
  Exchange exchange = Exchange::kSharded;
  std::int64_t steps = 0;
  std::vector<std::string> group_names;
  std::vector<int> group_of;  // per parameter of all_shared
  double loss_scale = 1.0;
  std::int64_t good_steps = 0;  // since the loss scale changed

  // What the setters have given for the next call.
  StepInput next;
  at::Tensor next_features;
  std::vector<double> next_shares;

  // Of this step.
  StepInput input;
  StepReport report;
  TensorList shared;  // trainable ones
  tensor::FlatLayout layout;
  std::vector<std::size_t> present;
  TensorList losses;            // of the present tasks
  std::vector<double> parts;    // per task: what this process's examples count, see Agreement
  std::vector<TensorList> own;  // trainable ones of each present task
  std::vector<std::int64_t> examples;  // task of each, among the present ones
  bool due = false;                    // for diagnosis
  bool pass_per_task_before = false;  // of all processes: in the step before, see all_pass_per_task
  std::vector<int> groups;            // per parameter of `shared`
  autograd::TaskBlocks formed;

  // Batches of a step that is not finished.
  struct Accumulated {
    at::Tensor rows;              // [K, P]: Σ shares·gradients
    std::vector<TensorList> own;  // per task: the same for its own parameters
    std::vector<double> shares;   // Σ per task
    std::vector<double> losses;   // Σ shares·losses
    std::vector<bool> reached;    // per shared parameter
    Strategy strategy = Strategy::kSequential;
    double backward_ms = 0.0;

    bool any() const { return !shares.empty(); }
    void forget() {
      own.clear();
      shares.clear();
    }
  };
  Accumulated accumulated;

  // Kept between steps.
  autograd::LayeredGradients layered;
  autograd::FeatureGradients features;
  at::Tensor direction;  // [P]; the memory behind .grad
  at::Tensor spare;      // [P]; a direction that exists before anything may fail
  std::vector<std::string> notices;
  double estimate_cosine = kNan;  // last measured

  std::size_t tasks() const { return solver.tasks(); }
  const std::vector<std::string>& names() const { return solver.names(); }
  bool spread() const { return group->size() > 1; }

  // step.cpp
  void check_parameters() const;
  void check_group() const;
  void check_examples(std::span<const std::int64_t> task_of_example) const;
  void start_report();
  void begin(const StepInput& given);
  void check_loss(std::size_t task, const at::Tensor& loss) const;
  void take_part(const std::vector<double>& values, std::span<const double> shares);
  void take_parameters();
  void translate_examples();
  int way() const;
  void clear_all() const;
  Matrix of_present(const Matrix& all) const;
  bool covers_present(const Matrix& all) const;
  bool low_memory() const;
  bool at_features() const;
  bool diagnosis_due() const {
    return options.diagnose_every > 0 && steps % options.diagnose_every == 0;
  }
  void note(const std::string& text);
  void run(const StepInput& given, Rng& rng);

  // step_runs.cpp
  void run_weighted(MatrixView gram, Rng& rng);
  void run_gradients(Rng& rng);
  void run_formed(Strategy by, double passes_ms, Rng& rng);
  bool run_objectives(Rng& rng);
  void run_features(Rng& rng);
  void sum_over_processes(TensorList& found);
  Strategy form(const autograd::StepTensors& step);
  bool all_pass_per_task() const;
  bool form_by_layers(const autograd::StepTensors& step);
  void among_processes(autograd::StepTensors& step) const;
  bool side_by_side(const TensorList& losses) const;
  autograd::StepTensors step_tensors() const;
  void solve(MatrixView gram, Rng& rng);
  void direct(const at::Tensor& gradients, const at::Tensor& values, at::Tensor& out, Rng& rng);
  void form_spare(Rng& rng);

  // step_end.cpp
  void finish(const Ending& ending);
  bool overflowed() const;
  void skip();
  void unscale();
  void check_gram() const;
  void take_solution(const solver::Solution& solution);
  void fill_diagnosis();
  autograd::ParameterWeights parameter_weights(double factor) const;
  bool heads_weighted() const;
  double own_factor(std::size_t i) const;
  void scale_own();
  void check_total_norm(double shared_squared);
  void make_direction();
  void write_formed(Strategy by, const autograd::ParameterWeights* weights, double factor);
  void write_shared(TensorList found, double factor);
  void write_own(double factor);
  TensorList weighted_passes();
  void end_step();

  // step_input.cpp
  at::Tensor rows_of(std::span<const at::Tensor> given) const;
  IndependentGrams independent_grams(std::span<const at::Tensor> first,
                                     std::span<const at::Tensor> second) const;
  bool estimate_good_enough() const { return !(estimate_cosine < options.estimate_floor); }
  bool estimate_usable() const;
  void measure_estimate(Rng& rng);

  // step_accumulate.cpp
  void add_batch(const StepInput& given);
  void start_sum();
  void finish_batches(Rng& rng);
};

}  // namespace detente::engine

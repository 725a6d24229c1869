// SPDX-License-Identifier: Apache-2.0
// One step of MultiTaskBackward: its state and the parts the step is made of. The parts are in
// step.cpp (what every step does), step_runs.cpp (the ways to the gradient), step_estimate.cpp
// (other batches and parts of a batch), step_accumulate.cpp (several batches in one step).
#pragma once

#include <detente/autograd/features.h>
#include <detente/autograd/layered.h>
#include <detente/autograd/sequential.h>
#include <detente/autograd/task_gradients.h>
#include <detente/engine/multi_task_backward.h>
#include <detente/tensor/compat.h>

#include <chrono>
#include <limits>
#include <string>
#include <vector>

namespace detente::engine {

namespace internal {

inline constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

class Stopwatch {
 public:
  double milliseconds() const {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start_)
        .count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// ⟨Σ_k v_k g_k, Σ_k w_k g_k⟩ from the Gram matrix.
inline double inner_product(const std::vector<double>& v,
                            const Matrix& gram,
                            const std::vector<double>& w) {
  double sum = 0;
  for (std::size_t i = 0; i < v.size(); ++i) {
    for (std::size_t j = 0; j < w.size(); ++j) sum += v[i] * w[j] * gram(i, j);
  }
  return sum;
}

// ‖Σ_k w_k g_k‖². Rounding can leave a tiny negative number where the sum vanishes.
inline double squared_length(const std::vector<double>& w, const Matrix& gram) {
  const double sum = inner_product(w, gram, w);
  return sum > 0 ? sum : 0.0;
}

inline TensorList trainable(const TensorList& parameters) {
  TensorList result;
  for (const auto& parameter : parameters) {
    if (parameter.requires_grad()) result.push_back(parameter);
  }
  return result;
}

}  // namespace internal

struct MultiTaskBackward::Impl {
  // The graph belongs to the caller's losses; holding them after the call, or after an exception,
  // would keep it alive.
  struct Release {
    Impl& impl;
    ~Release() {
      impl.losses.clear();
      impl.formed.own_gradients.clear();
      impl.layered.release();
      impl.features.release();
      impl.given_rows.clear();
      impl.given_features.reset();
      impl.given_first = {};
      impl.given_cross = {};
      impl.given_estimate = {};
    }
  };

  TensorList all_shared;
  std::vector<TensorList> all_own;
  std::shared_ptr<balance::Method> method;
  std::vector<std::string> names;
  MultiTaskOptions options;
  std::int64_t steps = 0;
  std::vector<std::string> group_names;
  std::vector<int> group_of;                                    // per parameter of all_shared
  std::vector<std::shared_ptr<balance::Method>> group_methods;  // see balance_by_group
  double loss_scale = 1.0;
  std::int64_t good_steps = 0;  // since the loss scale changed

  // Given for the next call.
  std::vector<std::int64_t> given_rows;
  at::Tensor given_features;
  Matrix given_first;     // K×K, Gram matrix of the first independent batch
  Matrix given_cross;     // K×K
  Matrix given_estimate;  // K×K

  // Of this step.
  StepReport report;
  TensorList shared;  // trainable ones
  tensor::FlatLayout layout;
  std::vector<std::size_t> present;
  TensorList losses;            // of the present tasks
  std::vector<TensorList> own;  // trainable ones of each present task
  std::vector<std::int64_t> rows;
  bool due = false;         // for diagnosis
  std::vector<int> groups;  // per parameter of `shared`
  autograd::TaskGradients formed;
  std::vector<double> small_weights;
  std::vector<std::vector<double>> group_weights;  // of the present tasks; see balance_by_group

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
  autograd::SequentialGradients sequential;
  autograd::LayeredGradients layered;
  autograd::FeatureGradients features;
  at::Tensor direction;  // [P]; the memory behind .grad
  at::Tensor spare;      // [P]; what a class J method writes before anything may fail
  std::vector<std::string> notices;
  double estimate_cosine = internal::kNan;  // last measured
  balance::Result result;
  balance::Result estimate_result;
  std::vector<double> problem_losses;
  std::vector<std::string> problem_names;
  std::vector<std::size_t> problem_ids;
  Matrix small_cross;

  std::size_t tasks() const { return names.size(); }
  bool by_group() const { return !group_methods.empty(); }
  // The method that is asked, or one of them.
  const balance::Method& asked() const { return by_group() ? *group_methods[0] : *method; }
  bool needs_losses_only() const { return asked().needs() == balance::MethodClass::kLoss; }

  void check_parameters() const;
  void start_report();
  void begin(std::span<const at::Tensor> given);
  void translate_rows();
  balance::Problem make_problem(MatrixView gram, Rng* rng);
  void solve(MatrixView gram, Rng& rng);
  void take_result(MatrixView gram);
  void take_certificate(const balance::Result& from);
  double scale_of(const std::vector<double>& weights, MatrixView gram) const;
  Matrix of_present(const Matrix& all) const;
  bool covers_present(const Matrix& all) const;
  at::Tensor rows_of(std::span<const at::Tensor> given);
  void run_weighted(MatrixView gram, Rng& rng);
  void run_gradients(Rng& rng);
  void run_formed(Strategy by, double passes_ms, Rng& rng);
  bool side_by_side(const TensorList& losses) const;
  bool run_objectives(Rng& rng);
  void make_direction();
  void write_formed(Strategy by, const autograd::ParameterWeights* weights);
  autograd::StepTensors step_tensors() const;
  autograd::ParameterWeights parameter_weights(double factor) const;
  bool overflowed();
  void skip();
  void end_step();
  void unscale();
  TensorList weighted_passes();
  void solve_by_group(Rng& rng);
  double direction_squared() const;
  void add_batch(std::span<const at::Tensor> given, std::span<const double> shares);
  void finish_batches(Rng& rng);
  bool low_memory() const;
  void run_features(Rng& rng);
  Strategy form(const autograd::StepTensors& step);
  bool at_features() const;
  bool diagnosis_due() const {
    return options.diagnose_every > 0 && steps % options.diagnose_every == 0;
  }
  bool estimate_good_enough() const { return !(estimate_cosine < options.estimate_floor); }
  bool estimate_usable() const;
  Matrix estimate_given() const;
  void measure_estimate(const Matrix& estimate, Rng& rng);
  void note(const std::string& text);
  void check_gram() const;
  bool direct(const at::Tensor& gradients, const at::Tensor& values, at::Tensor& out, Rng& rng);
  void fill_diagnosis();
  void scale_own();
  void check_total_norm(double shared_squared);
  bool heads_weighted() const;
  double own_factor(std::size_t i) const;
  void write_shared(TensorList found, double factor);
  void write_own(double factor);
};

}  // namespace detente::engine

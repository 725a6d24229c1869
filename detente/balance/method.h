// SPDX-License-Identifier: Apache-2.0
// The common interface of all balancing methods: K losses and, where the method needs it, the
// K×K Gram matrix of the per-task gradients in; one weight per task out.
//
// Notation (used by every method's header): k tasks; J the k×p Jacobian whose row i is the
// gradient g_i of loss i with respect to the shared parameters; gram = J Jᵀ (k×k, symmetric,
// positive semidefinite, unit (loss/parameter)²); w the weights; d = Jᵀ w the direction in which
// the loss falls, so the update is θ ← θ − η d; g₀ the mean gradient; Δ the probability simplex.
#pragma once

#include <detente/core/fields.h>
#include <detente/core/json.h>
#include <detente/core/matrix.h>
#include <detente/core/rng.h>

#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace detente::balance {

// What a method must be given. The engine reads this to decide how many backward passes a step
// needs, and of which batches.
enum class MethodClass {
  kLoss,         // "L": losses only; one backward pass of the weighted loss
  kGram,         // "G": the K×K Gram matrix
  kGramLoss,     // "G+L": Gram matrix and losses
  kCross,        // "X": inner products of the gradients of two independent batches
  kCoordinates,  // "J": the gradients themselves, coordinate by coordinate
};
const char* name_of(MethodClass method_class);  // "L", "G", "G+L", "X", "J"

enum class StopReason {
  kClosedForm,     // no iteration was needed
  kConverged,      // the certificate is below the tolerance
  kMaxIterations,  // it is not; weights are the best found
  kDegenerate,     // the problem has no proper answer (all gradients zero, ...); see message
};
const char* name_of(StopReason reason);  // "closed_form", "converged", ...

// What a method balances in place of single tasks: `factor` times the sum of some tasks' losses.
struct Objective {
  std::vector<std::size_t> tasks;  // indices into the step's k
  double factor = 1.0;
};

// One step's input: the tasks that take part in it. Views must outlive the call.
struct Problem {
  std::size_t tasks = 0;               // k >= 1
  MatrixView gram;                     // k×k; may be empty for class L
  std::span<const double> losses;      // k; may be empty when uses_losses() is false
  std::span<const std::string> names;  // k or empty; only for messages
  Rng* rng = nullptr;                  // required by stochastic methods
  // Where some tasks are absent in this step: which of all tasks the k entries are, strictly
  // increasing, and how many there are in all. Methods with one state per task index it by id.
  // Empty and 0: all k of k.
  std::span<const std::size_t> ids;
  std::size_t all_tasks = 0;
  // Class X: k×k, A = J₁J₂ᵀ with the gradients of two batches independent of each other and of the
  // batch of the step; not symmetric. gram is that of the first of the two then and tells the
  // gradients' sizes. Empty: gram stands for it (one batch, a biased estimate).
  MatrixView cross;
  // After Method::draw_objectives(): how many it drew; gram is theirs then, n×n. 0: of the tasks.
  std::size_t objectives = 0;

  std::size_t id(std::size_t i) const { return ids.empty() ? i : ids[i]; }
  std::size_t total() const { return all_tasks == 0 ? tasks : all_tasks; }
};

// The k gradients as rows of p contiguous coordinates, `stride` apart.
template <class T>
struct Rows {
  const T* data = nullptr;
  std::size_t rows = 0;    // k
  std::size_t cols = 0;    // p
  std::size_t stride = 0;  // >= p
  // Gradients at a shared representation instead of at parameters: its values z (p of them, sample
  // after sample) and the number of samples. Empty and 1 for parameters.
  std::span<const T> values = {};
  std::size_t samples = 1;

  std::span<const T> operator[](std::size_t i) const { return {data + i * stride, cols}; }
};

struct Result {
  std::vector<double> weights;  // k, native scale of the method (see its header)
  StopReason stop = StopReason::kClosedForm;
  int iterations = 0;
  // Relative optimality certificate (KKT residual or duality gap, dimensionless; each method's
  // header says which); NaN where the method solves no optimisation problem.
  double certificate = std::numeric_limits<double>::quiet_NaN();
  std::string message;  // empty, or a remark worth showing
};

// A part of a method's state too large for JSON: one number per task and coordinate, say.
struct StateArray {
  std::string name;
  std::vector<std::size_t> shape;
  std::variant<std::vector<float>, std::vector<double>> values;
};

// A configured method with its state between steps. Not thread-safe; one per training run.
class Method {
 public:
  virtual ~Method() = default;

  // Checks the input (sizes, finite values, symmetric Gram with a non-negative diagonal: errors
  // kShape, kNumeric naming the task), then computes. `result` is reused: after the first call
  // with the same k nothing is allocated. Class J methods have no answer in weights alone: use
  // direct() (kInvalidArgument).
  void solve(const Problem& problem, Result& result);

  // Class J: writes the direction d (p numbers) itself. `problem.gram` may be empty. The weights of
  // the result are what a task's own parameters and loss count with; those that do not form a
  // weighted sum of the rows return 1 for every task. Rows must be finite (kNumeric otherwise).
  void direct(const Problem& problem, const Rows<float>& rows, std::span<float> d, Result& result);
  void direct(const Problem& problem,
              const Rows<double>& rows,
              std::span<double> d,
              Result& result);

  // The options, for recipes, --set, printing and documentation (see core/fields.h).
  virtual void describe(FieldVisitor& visitor);

  // State between steps for snapshots; stateless methods return null and accept null.
  virtual Json state() const;
  virtual void load_state(const Json& state);
  // The large parts of it; none for nearly all methods.
  virtual std::vector<StateArray> state_arrays() const;
  virtual void load_state_arrays(std::vector<StateArray> arrays);

  // With the options as they stand: mgda becomes G+L when it normalises by the losses.
  virtual MethodClass method_class() const = 0;
  virtual const char* name() const = 0;

  // What the next solve() needs. Differs from method_class() where weights are kept for some steps:
  // every_n answers kLoss then, and the step costs one backward pass.
  virtual MethodClass needs() const { return method_class(); }

  // Whether solve() looks at the losses. False for class G and for class L methods with fixed
  // weights, which then accept a problem without losses.
  virtual bool uses_losses() const {
    return method_class() == MethodClass::kLoss || method_class() == MethodClass::kGramLoss;
  }

  // Methods that balance fewer objectives than tasks (cagrad_fast) draw them here, so that one
  // gradient each is enough; the next solve(), of the same tasks, is of this draw and has one
  // weight per task as ever. Nothing: every task is an objective. `problem` needs no Gram matrix.
  virtual std::span<const Objective> draw_objectives(const Problem& problem);

  // True for methods that learn from what the step did: the losses of the same batch under the
  // parameters after the step, for which the caller runs the model forward once more (famo).
  virtual bool wants_losses_after_step() const { return false; }
  // `problem` has the tasks of the solve() before and their new losses.
  void losses_after_step(const Problem& problem);

  // True for methods defined on the gradients at the shared representation instead of those at the
  // shared parameters (mgda_ub); the engine then forms the rows there.
  virtual bool at_features() const { return false; }

 protected:
  // One of the two; class J overrides both forms of compute_direction.
  virtual void compute(const Problem& problem, Result& result);
  virtual void compute_direction(const Problem& problem,
                                 const Rows<float>& rows,
                                 std::span<float> d,
                                 Result& result);
  virtual void compute_direction(const Problem& problem,
                                 const Rows<double>& rows,
                                 std::span<double> d,
                                 Result& result);
  virtual void compute_after_step(const Problem& problem);

 private:
  template <class T>
  void direct_any(const Problem& problem, const Rows<T>& rows, std::span<T> d, Result& result);
};

// One solve of a fresh method, for the free functions of the methods' headers.
Result solve_once(Method& method, const Problem& problem);

}  // namespace detente::balance

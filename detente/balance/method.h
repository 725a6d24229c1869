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
#include <vector>

namespace detente::balance {

// What a method must be given. The engine reads this to decide how many backward passes a step
// needs.
enum class MethodClass {
  kLoss,      // "L": losses only; one backward pass of the weighted loss
  kGram,      // "G": the K×K Gram matrix
  kGramLoss,  // "G+L": Gram matrix and losses
};
const char* name_of(MethodClass method_class);  // "L", "G", "G+L"

enum class StopReason {
  kClosedForm,     // no iteration was needed
  kConverged,      // the certificate is below the tolerance
  kMaxIterations,  // it is not; weights are the best found
  kDegenerate,     // the problem has no proper answer (all gradients zero, ...); see message
};
const char* name_of(StopReason reason);  // "closed_form", "converged", ...

// One step's input. Views must outlive the call.
struct Problem {
  std::size_t tasks = 0;               // k >= 1
  MatrixView gram;                     // k×k; may be empty for class L
  std::span<const double> losses;      // k; may be empty when uses_losses() is false
  std::span<const std::string> names;  // k or empty; only for messages
  Rng* rng = nullptr;                  // required by stochastic methods
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

// A configured method with its state between steps. Not thread-safe; one per training run.
class Method {
 public:
  virtual ~Method() = default;

  // Checks the input (sizes, finite values, symmetric Gram with a non-negative diagonal: errors
  // kShape, kNumeric naming the task), then computes. `result` is reused: after the first call
  // with the same k nothing is allocated.
  void solve(const Problem& problem, Result& result);

  // The options, for recipes, --set, printing and documentation (see core/fields.h).
  virtual void describe(FieldVisitor& visitor);

  // State between steps for snapshots; stateless methods return null and accept null.
  virtual Json state() const;
  virtual void load_state(const Json& state);

  // With the options as they stand: mgda becomes G+L when it normalises by the losses.
  virtual MethodClass method_class() const = 0;
  virtual const char* name() const = 0;

  // Whether solve() looks at the losses. False for class G and for class L methods with fixed
  // weights, which then accept a problem without losses.
  virtual bool uses_losses() const { return method_class() != MethodClass::kGram; }

 protected:
  virtual void compute(const Problem& problem, Result& result) = 0;
};

// One solve of a fresh method, for the free functions of the methods' headers.
Result solve_once(Method& method, const Problem& problem);

}  // namespace detente::balance

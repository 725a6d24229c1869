// SPDX-License-Identifier: Apache-2.0
// The small half of a training step: from K losses and the K×K Gram matrix of their gradients to
// the weights of the tasks, by one method for all parameters or one per group of them. Knows which
// tasks take part, scales the weights as asked, and judges estimates of the Gram matrix. Nothing
// here is larger than K×K, so it needs no LibTorch.
#pragma once

#include <detente/balance/method.h>
#include <detente/core/matrix.h>
#include <detente/core/rng.h>

#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace detente::solver {

// What the weights are multiplied by: nothing; what makes their sum 1 (a mean of the gradients), or
// K (a sum); or what makes the direction as long as the mean gradient. Papers and codes differ in
// this, which is only a factor in the learning rate, but another one for every method and step.
enum class Scale { kNative, kSumToOne, kSumToTasks, kMeanNorm };

// That factor. 1 where a sum or a length vanishes next to its terms and says nothing, and for
// kMeanNorm without a Gram matrix.
double scale_factor(Scale scale, std::span<const double> weights, MatrixView gram);

// ⟨Σ_k v_k g_k, Σ_k w_k g_k⟩ from the Gram matrix of the g_k.
double inner_product(std::span<const double> v, MatrixView gram, std::span<const double> w);
// ‖Σ_k w_k g_k‖². Rounding can leave a tiny negative number where the sum vanishes; that is 0 here.
double squared_length(std::span<const double> w, MatrixView gram);

// The weights of one step's tasks, scaled, with what the method said. Of several solves (groups)
// the worst stop, the largest certificate.
struct Solution {
  std::vector<double> weights;                // k; of groups the means, a group counted by its size
  std::vector<std::vector<double>> by_group;  // k each; empty: one direction for all parameters
  balance::StopReason stop = balance::StopReason::kClosedForm;
  int iterations = 0;
  double certificate = std::numeric_limits<double>::quiet_NaN();
  std::string message;
};

class Solver {
 public:
  // The method is used, not copied. Throws kInvalidArgument without a task or a method.
  Solver(std::shared_ptr<balance::Method> method, std::vector<std::string> names, Scale scale);

  // From then on every group of parameters has a direction of its own, found by its own method;
  // none: one direction again. The constructor's method is not asked meanwhile. Throws
  // kInvalidArgument for methods of several kinds, or that cannot answer for a group (others than
  // class G and G+L).
  void balance_by_group(std::vector<std::shared_ptr<balance::Method>> methods);
  bool by_group() const { return !group_methods_.empty(); }

  // The method that is asked, or one of those of the groups: the only answer to "which method".
  balance::Method& method() const { return by_group() ? *group_methods_[0] : *method_; }
  balance::MethodClass needs() const { return method().needs(); }
  bool writes_direction() const {
    return method().method_class() == balance::MethodClass::kCoordinates;
  }
  // Class G or G+L in this step: sees a Gram matrix and nothing else of the gradients.
  bool sees_gram_alone() const;

  const std::vector<std::string>& names() const { return names_; }
  std::size_t tasks() const { return names_.size(); }

  // A step with these tasks (strictly increasing) and their losses.
  void begin(std::vector<std::size_t> present, std::vector<double> losses);
  // The step as methods are shown it; views of this object.
  balance::Problem problem(MatrixView gram, Rng* rng) const;

  // From the Gram matrix; empty for class L. `cross`: see balance::Problem, or empty.
  const Solution& solve(MatrixView gram, MatrixView cross, Rng& rng);
  // A Gram matrix for each group, and how many numbers each has.
  const Solution& solve_groups(std::span<const Matrix> grams,
                               std::span<const double> sizes,
                               Rng& rng);
  // The Gram matrix of the objectives that were drawn (balance::Method::draw_objectives).
  const Solution& solve_objectives(const Matrix& gram, std::size_t objectives, Rng& rng);
  // What a class J method, which has written the direction itself, gave as its result.
  const Solution& take(const balance::Result& direct);
  const Solution& solution() const { return solution_; }

  // ‖Σ_k w_k g_k‖² with the weights found, all groups together.
  double direction_squared(const Matrix& gram, std::span<const Matrix> group_grams) const;

  // How well an estimate of the Gram matrix would have done: the cosine of its direction with the
  // one found, by the exact matrix. NaN where it cannot be told: solving twice must not move the
  // method, so only for those without state; or a direction vanishes.
  double estimate_cosine(const Matrix& estimate, const Matrix& exact, const Rng& rng) const;

  // For methods that learn from what the step did: the tasks' losses after it.
  void losses_after_step(std::span<const double> losses);

 private:
  const Solution& take_weights(std::vector<double> weights, double factor);
  void take_certificate(const balance::Result& from);
  void check_finite(const std::vector<double>& weights) const;

  std::shared_ptr<balance::Method> method_;
  std::vector<std::shared_ptr<balance::Method>> group_methods_;
  std::vector<std::string> names_;
  Scale scale_;
  // Of the step.
  std::vector<std::size_t> present_;
  std::vector<double> losses_;
  std::vector<std::string> present_names_;
  balance::Result result_;
  Solution solution_;
};

}  // namespace detente::solver

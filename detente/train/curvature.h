// SPDX-License-Identifier: Apache-2.0
// The curvature of the tasks' summed loss along its own gradient g, over the shared parameters, on
// the batch of one step: the quantities of balance/diagnostics.h. Costs one forward and two
// backward passes.
//
//   CurvatureProbe probe(losses, shared, own);       // before the engine frees the graph
//   ... backward, optimizer.step() ...
//   const auto measured = probe.measure(losses_again);
#pragma once

#include <detente/tensor/fwd.h>

#include <functional>
#include <optional>

namespace detente::train {

struct Curvature {
  double squared_norm = 0;    // ‖g‖²
  double step = 0;            // t, so that θ′ = θ − t g is as far away as the optimiser went
  double from_gradients = 0;  // H, see balance::curvature_from_gradients
  double from_losses = 0;     // H, see balance::curvature_from_losses
  double lipschitz = 0;  // ‖g′ − g‖/(t ‖g‖): the largest curvature is at least this
};

class CurvatureProbe {
 public:
  // Undefined losses belong to absent tasks. The losses' graph stays.
  CurvatureProbe(const TensorList& losses, const TensorList& shared, const TensorList& own);

  // After the optimiser's step: evaluates `losses_again`, the losses of the same batch with the
  // same dropout, at θ′ and leaves all parameters as it found them, bit for bit. Nothing when g is
  // zero, the optimiser did not move, or a number is not finite.
  std::optional<Curvature> measure(const std::function<TensorList()>& losses_again);

 private:
  struct Sum {
    double loss = 0;
    TensorList gradients;  // per shared parameter; undefined: zero
  };
  static Sum summed(const TensorList& losses, const TensorList& parameters);

  TensorList shared_;
  TensorList own_;
  TensorList shared_before_;
  TensorList own_before_;
  Sum before_;
};

}  // namespace detente::train

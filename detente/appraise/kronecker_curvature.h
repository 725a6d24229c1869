// SPDX-License-Identifier: Apache-2.0
// The curvature of the whole training loss, layer by layer, as Kronecker factors with corrected
// eigenvalues (EK-FAC: George et al., NeurIPS 2018, arXiv 1806.03884; for influence functions Grosse et
// al. 2023, arXiv 2308.03296). For layers that are linear maps of rows (linear, convolutions in two
// dimensions without groups) with inputs a (a 1 at the end for the bias) and gradients δ at their output,
//
//   A = Σ_{δ≠0} a aᵀ = Q_A ... Q_Aᵀ,  S = Σ δ δᵀ = Q_S ... Q_Sᵀ,  Λ = Σ_i (Q_Sᵀ G_i Q_A)²,  G_i = Σ_t δ_it a_itᵀ
//   u = Q_S [(Q_Sᵀ V Q_A) / (Λ + λ)] Q_Aᵀ
//
// δ are of drawn losses, whose gradient z in what the model says has the covariance that the loss's own
// curvature is (training_curvature.h): for cross-entropy labels drawn from the model, for other losses
// H^½ r with signs r. Between layers there is no curvature, by assumption. With one output and losses of
// one number z² is the curvature whatever the signs, so that a single such layer is exact.
#pragma once

#include <detente/appraise/training_curvature.h>
#include <detente/autograd/example_parts.h>
#include <detente/core/rng.h>

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

namespace detente::appraise {

class KroneckerCurvature {
 public:
  // Two passes over the training rows. Throws kUnsupported for losses of whole columns (correlation),
  // which have no curvature per row. `progress` is told rows, of 2 n.
  KroneckerCurvature(const Judged& judged,
                     const TrainingCurvature& training,
                     std::uint64_t seed,
                     const valuation::Progress& progress = nullptr);

  // Per parameter: has it a part in this? The others are taken for fixed.
  std::vector<bool> covered() const;
  // λ of every layer where none is given: a tenth of its mean Λ. Layers without any curvature are
  // not covered.
  std::vector<double> default_damping() const;

  // (curvature + λI)⁻¹ v, undefined where not covered. λ >= 0 of all layers alike, or each layer's own;
  // kNumeric for 0 where a layer's Λ has a 0.
  TensorList solve(const TensorList& v, std::optional<double> damping) const;

 private:
  struct Layer {
    int bias = -1;
    at::Tensor inputs, gradients;  // A, S; then their eigenvectors
    at::Tensor eigenvalues;        // Λ [out, in]
    at::Tensor joined(const autograd::RowLayer& rows) const;
  };

  std::vector<autograd::RowLayer> drawn_layers(const TrainingBatch& batch, const Rng& rng) const;
  double damping_of(const Layer& layer) const;

  const Judged& judged_;
  const TrainingCurvature& training_;
  std::map<int, Layer> layers_;  // by weight
};

// One draw of a loss gradient for each number that the model says of a batch, per task with a loss
// there: of mean 0 and with the curvature of `part` as covariance, see above.
TensorList draw_slopes(const Judged& judged, const TrainingBatch& batch, Rng rng);

}  // namespace detente::appraise

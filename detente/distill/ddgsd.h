// SPDX-License-Identifier: Apache-2.0
// Data-distortion guided self-distillation (Xu and Liu, AAAI 2019): one network sees two
// independent distortions a, b of every image; their answers are to agree, and so are the batches'
// features.
//
//   L = CE(z_a, y) + CE(z_b, y) + λ T² or 1 · [KL(p_a ‖ p_b) + KL(p_b ‖ p_a)] + μ MMD²(F_a, F_b)
//
// with p = softmax(z / T), KL summed over classes and averaged over rows, and F the pooled features
// from before the classifier: neither a mean over classes nor MMD of logits is this method.
// Gradients go through both sides of everything, unless `detach` makes the first of KL(p ‖ q) a
// constant.
//
// MMD², the squared maximum mean discrepancy, of rows a_1, ..., a_n and b_1, ..., b_m:
//
//   linear    |mean a − mean b|²
//   rbf       mean k(a, a') + mean k(b, b') − 2 mean k(a, b), all pairs, of a row with itself too;
//             >= 0, 0 for equal batches. k(x, y) = Σ_β exp(−|x − y|² / (β σ²)), β = ¼, ½, 1, 2, 4;
//             σ² the mean of |x − y|² over the pairs of different rows of both batches together,
//             as a constant
//   unbiased  the same without pairs of a row with itself (Gretton et al., JMLR 2012): right on
//             average, and so below zero about as often as not where the distributions are equal.
//             Needs two rows of each.
#pragma once

#include <ATen/core/Tensor.h>
#include <detente/core/fields.h>
#include <detente/tensor/fwd.h>

namespace detente::distill {

struct DdgsdOptions {
  enum class Mmd { kLinear, kRbf, kUnbiased };

  double kl_weight = 1;      // λ >= 0
  double mmd_weight = 5e-4;  // μ >= 0
  double temperature = 3;    // T > 0
  Mmd mmd = Mmd::kLinear;
  bool detach = false;
  bool temperature_squared = false;

  void describe(FieldVisitor& visitor);
};

// KL(p ‖ q), p and q the softmax of logits [n, C] / temperature; summed over classes, mean over
// rows. Gradients through both. Throws kInvalidArgument for shapes that differ, no row, one class,
// and temperature <= 0.
at::Tensor kl_divergence(const at::Tensor& logits_p,
                         const at::Tensor& logits_q,
                         double temperature);

// Of features [n, d] and [m, d]. Cost O((n + m)² d) but for kLinear. Throws kInvalidArgument for
// widths that differ and too few rows.
at::Tensor mmd(const at::Tensor& a, const at::Tensor& b, DdgsdOptions::Mmd kind);

// Both terms without their weights, of `divergence` with T² where the options say so.
struct DdgsdTerms {
  at::Tensor divergence;   // KL(p_a ‖ p_b) + KL(p_b ‖ p_a)
  at::Tensor discrepancy;  // MMD²
};
DdgsdTerms ddgsd_terms(const at::Tensor& logits_a,
                       const at::Tensor& logits_b,
                       const at::Tensor& features_a,
                       const at::Tensor& features_b,
                       const DdgsdOptions& options);

}  // namespace detente::distill

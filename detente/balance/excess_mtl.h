// SPDX-License-Identifier: Apache-2.0
// ExcessMTL: tasks far from their own optimum gain weight, tasks that are merely noisy do not.
//
// Rule: S_i ← S_i + g_i ⊙ g_i; the excess risk is estimated by e_i = Σ_c g_ic² / √(S_ic + ε), and
// compared with its mean e⁰_i over the first steps; w_i ← w_i exp(η e_i / e⁰_i), then the weights
// of the tasks present are scaled to their sum before. d = Jᵀw with Σw = 1.
// Why the plain thing fails: weighting by the loss itself favours tasks whose labels are noisy,
// whose loss stays large at its optimum; the gradient vanishes there, and so does e.
// Limits: the first `warmup` steps of a task leave its weight (1/k at first); k = 1 -> w = 1;
// identical rows g -> d = g; η = 0 -> the mean; ε = 0: scaling all gradients leaves w unchanged. A
// task without gradient in its warm-up has no e⁰ yet and keeps its weight until it has.
// Weights of the result: w, the weights of the sum d.
// State: √S (k×p) and per task the weight, e⁰ and its number of steps.
// Cost: O(k p). Class J: √S depends on the coordinates.
// Paper: He et al., ICML 2024, arXiv 2402.02009, equations 6, 7 and 9.
#pragma once

#include <detente/balance/method.h>
#include <detente/balance/preset.h>

#include <cstdint>
#include <memory>

namespace detente::balance {

struct ExcessMtlOptions {
  enum class Scale { kSum, kMean };
  Preset preset = Preset::kPaper;
  double eta = 0.01;           // η >= 0; 0 keeps the weights uniform
  std::int64_t warmup = 1;     // steps of a task that make its e⁰, >= 1
  Scale scale = Scale::kMean;  // Σw = k or 1
  double epsilon = 0.0;        // ε >= 0, unit (loss/parameter)²

  void describe(FieldVisitor& visitor);
};

std::unique_ptr<Method> make_excess_mtl();

}  // namespace detente::balance

// SPDX-License-Identifier: Apache-2.0
// The loop of AdamW (train/adamw.h has the formula).
#pragma once

#include <cstdint>

namespace detente::simd {

struct AdamWFactors {
  double decay;  // 1 − η λ
  double beta1;
  double beta2;
  double step_size;  // η / (1 − β₁ᵗ)
  double scale;      // 1 / √(1 − β₂ᵗ)
  double eps;
};

// m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g², θ ← decay θ − step_size m / (√v scale + eps) for
// `count` numbers, which overlap nowhere; without alignment. `gradient` null: g = 0. In the
// numbers' type, every operation rounded by itself: the same numbers on every target and wherever a
// thread's part begins. Runs on the calling thread.
void adamw_update(float* theta,
                  const float* gradient,
                  float* m,
                  float* v,
                  std::int64_t count,
                  const AdamWFactors& factors);
void adamw_update(double* theta,
                  const double* gradient,
                  double* m,
                  double* v,
                  std::int64_t count,
                  const AdamWFactors& factors);

}  // namespace detente::simd

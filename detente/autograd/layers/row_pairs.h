// SPDX-License-Identifier: Apache-2.0
// Inner products between the gradients of single examples, for layers that are linear maps of rows.
#pragma once

#include <ATen/core/Tensor.h>

namespace detente::autograd {

// R rows per example.
struct ExampleRows {
  at::Tensor input;     // [N, R, in]; undefined when only the bias counts
  at::Tensor gradient;  // [N, R, out], of the output
};

// products[i][j] += ⟨δ_iᵀx_i, δ_jᵀx_j⟩ (+ ⟨Σδ_i, Σδ_j⟩ with the bias), i of a, j of b. Takes the
// way with less arithmetic: the gradients themselves, or products of rows with rows.
void add_pair_products(const ExampleRows& a,
                       const ExampleRows& b,
                       bool with_bias,
                       at::Tensor& products);

// products += a bᵀ for gradients that have been formed, [N, n].
void add_products(const at::Tensor& a, const at::Tensor& b, at::Tensor& products);

}  // namespace detente::autograd

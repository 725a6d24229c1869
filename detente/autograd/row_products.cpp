// SPDX-License-Identifier: Apache-2.0
#include <ATen/core/grad_mode.h>
#include <detente/autograd/row_products.h>
#include <detente/core/error.h>

namespace detente::autograd {

void add_row_products(const LayerUse& use,
                      const LayerInput& input_a,
                      const at::Tensor& delta_a,
                      const LayerInput& input_b,
                      const at::Tensor& delta_b,
                      at::Tensor& products) {
  DETENTE_CHECK(use.inner > 0,
                ErrorCode::kInvalidArgument,
                "[autograd::add_row_products] the layer's node {} mixes examples or lies below one "
                "that does; their gradients cannot be told apart.",
                use.node->name());
  DETENTE_CHECK(products.dim() == 2,
                ErrorCode::kShape,
                "[autograd::add_row_products] products has {} dimensions; expected 2: examples of "
                "one batch by examples of the other.",
                products.dim());
  const auto check = [&](const at::Tensor& delta, std::int64_t examples) {
    DETENTE_CHECK(examples > 0 && delta.numel() % (use.inner * examples) == 0,
                  ErrorCode::kShape,
                  "[autograd::add_row_products] a gradient of {} numbers cannot be that of {} "
                  "examples; give products a row and a column per example.",
                  delta.numel(),
                  examples);
  };
  check(delta_a, products.size(0));
  check(delta_b, products.size(1));
  const at::NoGradGuard no_grad;
  use.rule->row_products(
      use, {input_a, delta_a, products.size(0)}, {input_b, delta_b, products.size(1)}, products);
}

}  // namespace detente::autograd

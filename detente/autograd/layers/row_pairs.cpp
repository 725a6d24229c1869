// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <detente/autograd/layers/row_pairs.h>

#include <algorithm>

namespace detente::autograd {
namespace {

// Examples of `a` that are taken together, so that what is formed for them stays this small.
constexpr std::int64_t kNumbers = std::int64_t{1} << 22;

// [N, out·in], the gradients of all examples.
at::Tensor formed(const ExampleRows& rows) {
  return rows.gradient.transpose(1, 2).bmm(rows.input).flatten(1);
}

// Σ_rs (x_ir·x_js)(δ_ir·δ_js).
at::Tensor by_pairs(const ExampleRows& a, const ExampleRows& b) {
  const std::int64_t n = a.input.size(0);
  const std::int64_t m = b.input.size(0);
  const at::Tensor inputs = a.input.flatten(0, 1).mm(b.input.flatten(0, 1).t());
  const at::Tensor gradients = a.gradient.flatten(0, 1).mm(b.gradient.flatten(0, 1).t());
  return (inputs * gradients).view({n, a.input.size(1), m, b.input.size(1)}).sum({1, 3});
}

ExampleRows narrowed(const ExampleRows& rows, std::int64_t first, std::int64_t count) {
  return {rows.input.narrow(0, first, count), rows.gradient.narrow(0, first, count)};
}

}  // namespace

void add_products(const at::Tensor& a, const at::Tensor& b, at::Tensor& products) {
  products.add_(a.mm(b.t()).to(products.scalar_type()));
}

void add_pair_products(const ExampleRows& a,
                       const ExampleRows& b,
                       bool with_bias,
                       at::Tensor& products) {
  if (with_bias) add_products(a.gradient.sum(1), b.gradient.sum(1), products);
  if (!a.input.defined() || a.gradient.numel() == 0 || b.gradient.numel() == 0) return;
  const auto n = static_cast<double>(a.input.size(0));
  const auto m = static_cast<double>(b.input.size(0));
  const auto rows_a = static_cast<double>(a.input.size(1));
  const auto rows_b = static_cast<double>(b.input.size(1));
  const auto in = static_cast<double>(a.input.size(2));
  const auto out = static_cast<double>(a.gradient.size(2));
  const bool pairs =
      n * m * rows_a * rows_b * (in + out) < (n * rows_a + m * rows_b + n * m) * in * out;
  const std::int64_t each = pairs ? a.input.size(1) * b.input.size(0) * b.input.size(1)
                                  : a.input.size(2) * a.gradient.size(2);
  const std::int64_t together = std::max<std::int64_t>(1, kNumbers / each);
  for (std::int64_t i = 0; i < a.input.size(0); i += together) {
    const std::int64_t count = std::min(together, a.input.size(0) - i);
    const ExampleRows some = narrowed(a, i, count);
    if (pairs) {
      products.narrow(0, i, count).add_(by_pairs(some, b).to(products.scalar_type()));
      continue;
    }
    const at::Tensor left = formed(some);
    for (std::int64_t j = 0; j < b.input.size(0); j += together) {
      const std::int64_t others = std::min(together, b.input.size(0) - j);
      at::Tensor part = products.narrow(0, i, count).narrow(1, j, others);
      add_products(left, formed(narrowed(b, j, others)), part);
    }
  }
}

}  // namespace detente::autograd

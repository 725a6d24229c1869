// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/core/Tensor.h>
#include <detente/core/error.h>
#include <detente/simd/weighted_sum.h>
#include <detente/tensor/parallel.h>
#include <detente/tensor/weighted_sum.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace detente::tensor {
namespace {

// Numbers of the sum that a thread takes at least.
constexpr std::int64_t kSumGrain = 1 << 14;

template <class T>
void sum_on_host(const std::vector<const T*>& rows,
                 std::int64_t p,
                 std::span<const double> weights,
                 at::Tensor& sum) {
  const auto k = static_cast<std::int64_t>(rows.size());
  T* out = sum.data_ptr<T>();
  parallel_for(0, p, kSumGrain, [&](std::int64_t begin, std::int64_t end) {
    simd::weighted_sum(rows.data(), weights.data(), k, begin, end, out);
  });
}

template <class T>
void sum_on_host(const at::Tensor& rows, std::span<const double> weights, at::Tensor& sum) {
  std::vector<const T*> each;
  for (std::int64_t i = 0; i < rows.size(0); ++i) {
    each.push_back(rows.data_ptr<T>() + i * rows.stride(0));
  }
  sum_on_host<T>(each, rows.size(1), weights, sum);
}

template <class T>
void sum_on_host(std::span<const at::Tensor> rows,
                 std::span<const double> weights,
                 at::Tensor& sum) {
  std::vector<const T*> each;
  for (const at::Tensor& row : rows) each.push_back(row.data_ptr<T>());
  sum_on_host<T>(each, sum.numel(), weights, sum);
}

// False, nothing done, on a GPU and for types without a kernel.
template <class Rows>
bool summed_on_host(const Rows& rows, std::span<const double> weights, at::Tensor& sum) {
  if (!sum.is_cpu()) return false;
  if (sum.scalar_type() == at::kFloat) {
    sum_on_host<float>(rows, weights, sum);
  } else if (sum.scalar_type() == at::kDouble) {
    sum_on_host<double>(rows, weights, sum);
  } else {
    return false;
  }
  return true;
}

}  // namespace

void weighted_sum(const at::Tensor& rows, std::span<const double> weights, at::Tensor& sum) {
  DETENTE_CHECK(
      rows.dim() == 2 && rows.size(0) > 0 && sum.dim() == 1 && sum.is_contiguous() &&
          sum.size(0) == rows.size(1) && sum.scalar_type() == rows.scalar_type() &&
          static_cast<std::int64_t>(weights.size()) == rows.size(0) &&
          (rows.size(1) < 2 || rows.stride(1) == 1),
      ErrorCode::kShape,
      "[tensor::weighted_sum] expected rows [K, P], K weights and a sum [P] of one type.");
  if (summed_on_host(rows, weights, sum)) return;
  at::Tensor w = at::empty({rows.size(0)}, at::kDouble);
  std::copy(weights.begin(), weights.end(), w.data_ptr<double>());
  at::mv_out(sum, rows.t(), w.to(rows.options()));
}

void weighted_sum(std::span<const at::Tensor> rows,
                  std::span<const double> weights,
                  at::Tensor& sum) {
  bool fit = !rows.empty() && rows.size() == weights.size() && sum.is_contiguous();
  for (const at::Tensor& row : rows) {
    fit = fit && row.is_contiguous() && row.numel() == sum.numel() &&
          row.scalar_type() == sum.scalar_type();
  }
  DETENTE_CHECK(fit,
                ErrorCode::kShape,
                "[tensor::weighted_sum] expected at least one row, a weight for each, and a sum of "
                "the rows' type and size.");
  if (summed_on_host(rows, weights, sum)) return;
  at::mul_out(sum, rows[0].view(sum.sizes()), at::scalar_tensor(weights[0], sum.options()));
  for (std::size_t i = 1; i < rows.size(); ++i) sum.add_(rows[i].view(sum.sizes()), weights[i]);
}

}  // namespace detente::tensor

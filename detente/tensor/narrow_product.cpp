// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/core/Tensor.h>
#include <detente/core/error.h>
#include <detente/simd/narrow_product.h>
#include <detente/tensor/narrow_product.h>
#include <detente/tensor/parallel.h>

#include <algorithm>
#include <cstdint>

namespace detente::tensor {
namespace {

constexpr std::int64_t kNarrowGrain = 128;  // columns that a thread takes at least

template <class T>
void add_on_host(const at::Tensor& wide,
                 const at::Tensor& narrow,
                 at::Tensor& sum,
                 at::Tensor& column_sums) {
  const simd::NarrowProduct<T> all{wide.data_ptr<T>(),
                                   narrow.data_ptr<T>(),
                                   sum.data_ptr<T>(),
                                   column_sums.defined() ? column_sums.data_ptr<T>() : nullptr,
                                   wide.size(0),
                                   wide.size(1),
                                   narrow.size(1)};
  // Threads share the columns: every sum is made in one order.
  const std::int64_t together = simd::narrow_columns(sizeof(T));
  const std::int64_t parts = (all.m + together - 1) / together;
  parallel_for(0, parts, kNarrowGrain / together, [&](std::int64_t first, std::int64_t last) {
    simd::add_narrow_product(all, first * together, std::min(all.m, last * together));
  });
}

}  // namespace

void add_narrow_product(const at::Tensor& wide,
                        const at::Tensor& narrow,
                        at::Tensor& sum,
                        at::Tensor& column_sums) {
  DETENTE_CHECK(wide.dim() == 2 && narrow.dim() == 2 && wide.size(0) == narrow.size(0) &&
                    sum.numel() == wide.size(1) * narrow.size(1) && wide.is_contiguous() &&
                    narrow.is_contiguous() && sum.is_contiguous() &&
                    wide.scalar_type() == sum.scalar_type() &&
                    narrow.scalar_type() == sum.scalar_type(),
                ErrorCode::kShape,
                "[tensor::add_narrow_product] expected contiguous matrices [R, m] and [R, n] and "
                "m * n sums of one type.");
  DETENTE_CHECK(
      !column_sums.defined() ||
          (column_sums.numel() == wide.size(1) && column_sums.is_contiguous() &&
           column_sums.scalar_type() == sum.scalar_type()),
      ErrorCode::kShape,
      "[tensor::add_narrow_product] expected contiguous sums of the m columns, of the same "
      "type.");
  if (sum.is_cpu() && sum.scalar_type() == at::kFloat) {
    add_on_host<float>(wide, narrow, sum, column_sums);
  } else if (sum.is_cpu() && sum.scalar_type() == at::kDouble) {
    add_on_host<double>(wide, narrow, sum, column_sums);
  } else {
    sum.view({wide.size(1), narrow.size(1)}).addmm_(wide.t(), narrow);
    if (column_sums.defined()) column_sums.add_(wide.sum(0));
  }
}

}  // namespace detente::tensor

// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/core/Tensor.h>
#include <detente/core/error.h>
#include <detente/tensor/clones.h>
#include <detente/tensor/narrow_product.h>
#include <detente/tensor/parallel.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace detente::tensor {
namespace {

// Rows taken at once, so that the sums are read and written once for all of them.
constexpr std::int64_t kNarrowRows = 16;

typedef float NarrowFloats __attribute__((vector_size(64), aligned(4), may_alias));
typedef double NarrowDoubles __attribute__((vector_size(64), aligned(8), may_alias));

// Per vector of columns c, n neighbouring vectors of sums: sum_j += Σ_{r<16} wide[r][c]
// narrow[r][j], and column_sums[c] += Σ_r wide[r][c] unless null. Sums a row of `wide` apart would
// fight for the same places of the cache where rows are a power of two long.
#define DETENTE_NARROW_KERNEL(name, T, Lanes)                                                \
  DETENTE_CLONES void name(const T* wide,                                                    \
                           const T* narrow,                                                  \
                           T* sum,                                                           \
                           T* column_sums,                                                   \
                           std::int64_t m,                                                   \
                           std::int64_t n,                                                   \
                           std::int64_t begin,                                               \
                           std::int64_t end) {                                               \
    constexpr std::int64_t kLanes = sizeof(Lanes) / sizeof(T);                               \
    for (std::int64_t c = begin; c < end; ++c) {                                             \
      Lanes rows[kNarrowRows];                                                               \
      for (std::int64_t r = 0; r < kNarrowRows; ++r) {                                       \
        rows[r] = *reinterpret_cast<const Lanes*>(wide + r * m + c * kLanes);                \
      }                                                                                      \
      if (column_sums != nullptr) {                                                          \
        Lanes& total = *reinterpret_cast<Lanes*>(column_sums + c * kLanes);                  \
        for (std::int64_t r = 0; r < kNarrowRows; ++r) total += rows[r];                     \
      }                                                                                      \
      Lanes* to = reinterpret_cast<Lanes*>(sum + c * n * kLanes);                            \
      for (std::int64_t j = 0; j < n; ++j) {                                                 \
        Lanes total = to[j];                                                                 \
        for (std::int64_t r = 0; r < kNarrowRows; ++r) total += rows[r] * narrow[r * n + j]; \
        to[j] = total;                                                                       \
      }                                                                                      \
    }                                                                                        \
  }
DETENTE_NARROW_KERNEL(narrow_block, float, NarrowFloats)
DETENTE_NARROW_KERNEL(narrow_block, double, NarrowDoubles)
#undef DETENTE_NARROW_KERNEL

template <class T>
void add_on_host(const at::Tensor& wide,
                 const at::Tensor& narrow,
                 at::Tensor& sum,
                 at::Tensor& column_sums) {
  const std::int64_t rows = wide.size(0);
  const std::int64_t whole = rows / kNarrowRows * kNarrowRows;
  const std::int64_t m = wide.size(1);
  const std::int64_t n = narrow.size(1);
  constexpr auto kLanes = static_cast<std::int64_t>(sizeof(NarrowFloats) / sizeof(T));
  const std::int64_t vectors = m / kLanes;
  const T* from = wide.data_ptr<T>();
  const T* by = narrow.data_ptr<T>();
  T* to = sum.data_ptr<T>();
  T* columns = column_sums.defined() ? column_sums.data_ptr<T>() : nullptr;
  // The last rows, filled up with zeros.
  std::vector<T> last_wide(static_cast<std::size_t>(kNarrowRows * m), T{0});
  std::vector<T> last_narrow(static_cast<std::size_t>(kNarrowRows * n), T{0});
  std::copy(from + whole * m, from + rows * m, last_wide.data());
  std::copy(by + whole * n, by + rows * n, last_narrow.data());
  // Threads share the columns: every sum is made in one order.
  parallel_for(0, vectors, 8, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = 0; r < whole; r += kNarrowRows) {
      narrow_block(from + r * m, by + r * n, to, columns, m, n, begin, end);
    }
    if (whole == rows) return;
    narrow_block(last_wide.data(), last_narrow.data(), to, columns, m, n, begin, end);
  });
  // Columns that make no whole vector.
  for (std::int64_t c = vectors * kLanes; c < m; ++c) {
    T* total = to + c * n;
    for (std::int64_t r = 0; r < rows; ++r) {
      const T value = from[r * m + c];
      for (std::int64_t j = 0; j < n; ++j) total[j] += value * by[r * n + j];
      if (columns != nullptr) columns[c] += value;
    }
  }
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

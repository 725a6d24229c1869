// SPDX-License-Identifier: Apache-2.0
#include <ATen/core/Tensor.h>
#include <detente/core/error.h>
#include <detente/tensor/clones.h>
#include <detente/tensor/relu_rows.h>

#include <algorithm>
#include <cstdint>

namespace detente::tensor {
namespace {

// Rows whose sum is made in one go before it is added to the rest, for its rounding errors' sake.
constexpr std::int64_t kReluRows = 128;
constexpr std::int64_t kReluTile = 4;  // vectors side by side

typedef float ReluFloats __attribute__((vector_size(64), aligned(4), may_alias));
typedef std::int32_t ReluFloatBits __attribute__((vector_size(64), aligned(4), may_alias));
typedef double ReluDoubles __attribute__((vector_size(64), aligned(8), may_alias));
typedef std::int64_t ReluDoubleBits __attribute__((vector_size(64), aligned(8), may_alias));

template <class T>
struct ReluPlace {
  const T* out;
  const T* saved;
  T* in;
  T* sum;
  std::int64_t out_stride, saved_stride, in_stride;  // from one row to the next
};

// `width` vectors of columns.
#define DETENTE_RELU_KERNEL(name, T, Lanes, Bits, width)                                     \
  DETENTE_CLONES void name(const ReluPlace<T>& at, std::int64_t column, std::int64_t rows) { \
    constexpr std::int64_t kLanes = sizeof(Lanes) / sizeof(T);                               \
    Lanes total[width];                                                                      \
    for (std::int64_t j = 0; j < width; ++j) total[j] = Lanes{};                             \
    const T* out = at.out + column;                                                          \
    const T* saved = at.saved + column;                                                      \
    T* in = at.in + column;                                                                  \
    for (std::int64_t r = 0; r < rows; ++r) {                                                \
      for (std::int64_t j = 0; j < width; ++j) {                                             \
        const Lanes x = *reinterpret_cast<const Lanes*>(saved + j * kLanes);                 \
        const Bits bits = *reinterpret_cast<const Bits*>(out + j * kLanes);                  \
        const Bits kept = bits & ~(x <= Lanes{});                                            \
        *reinterpret_cast<Bits*>(in + j * kLanes) = kept;                                    \
        total[j] += (Lanes)kept;                                                             \
      }                                                                                      \
      out += at.out_stride;                                                                  \
      saved += at.saved_stride;                                                              \
      in += at.in_stride;                                                                    \
    }                                                                                        \
    for (std::int64_t j = 0; j < width; ++j) {                                               \
      *reinterpret_cast<Lanes*>(at.sum + column + j * kLanes) += total[j];                   \
    }                                                                                        \
  }
DETENTE_RELU_KERNEL(relu_tile, float, ReluFloats, ReluFloatBits, kReluTile)
DETENTE_RELU_KERNEL(relu_tile, double, ReluDoubles, ReluDoubleBits, kReluTile)
DETENTE_RELU_KERNEL(relu_vector, float, ReluFloats, ReluFloatBits, 1)
DETENTE_RELU_KERNEL(relu_vector, double, ReluDoubles, ReluDoubleBits, 1)
#undef DETENTE_RELU_KERNEL

template <class T>
void relu_on_host(ReluPlace<T> at, std::int64_t rows, std::int64_t n) {
  constexpr auto kLanes = static_cast<std::int64_t>(sizeof(ReluFloats) / sizeof(T));
  for (std::int64_t r = 0; r < rows; r += kReluRows) {
    const std::int64_t some = std::min(kReluRows, rows - r);
    std::int64_t c = 0;
    for (; c + kReluTile * kLanes <= n; c += kReluTile * kLanes) relu_tile(at, c, some);
    for (; c + kLanes <= n; c += kLanes) relu_vector(at, c, some);
    for (; c < n; ++c) {
      T total{0};
      for (std::int64_t i = 0; i < some; ++i) {
        const bool gone = at.saved[i * at.saved_stride + c] <= 0;
        const T kept = gone ? T{0} : at.out[i * at.out_stride + c];
        at.in[i * at.in_stride + c] = kept;
        total += kept;
      }
      at.sum[c] += total;
    }
    at.out += some * at.out_stride;
    at.saved += some * at.saved_stride;
    at.in += some * at.in_stride;
  }
}

}  // namespace

void relu_backward_rows(const at::Tensor& out,
                        const at::Tensor& saved,
                        at::Tensor& in,
                        at::Tensor& sum) {
  bool fit = sum.dim() == 1 && sum.is_contiguous() && sum.is_cpu();
  for (const at::Tensor* t : {&out, &saved, static_cast<const at::Tensor*>(&in)}) {
    fit = fit && t->dim() == 2 && t->sizes() == out.sizes() && t->size(1) == sum.size(0) &&
          (t->size(1) < 2 || t->stride(1) == 1) && t->scalar_type() == sum.scalar_type();
  }
  fit = fit && (sum.scalar_type() == at::kFloat || sum.scalar_type() == at::kDouble);
  DETENTE_CHECK(fit,
                ErrorCode::kShape,
                "[tensor::relu_backward_rows] expected three matrices [R, n] with the numbers of a "
                "row next to each other and a sum [n], all float or all double on the CPU.");
  const auto run = [&]<class T>(T) {
    relu_on_host<T>({out.data_ptr<T>(),
                     saved.data_ptr<T>(),
                     in.data_ptr<T>(),
                     sum.data_ptr<T>(),
                     out.stride(0),
                     saved.stride(0),
                     in.stride(0)},
                    out.size(0),
                    out.size(1));
  };
  if (sum.scalar_type() == at::kFloat) {
    run(float{});
  } else {
    run(double{});
  }
}

}  // namespace detente::tensor

// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <detente/core/error.h>
#include <detente/tensor/clones.h>
#include <detente/tensor/gram.h>
#include <detente/tensor/parallel.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace detente::tensor {
namespace {

// Columns whose products are summed in the rows' own type before the sum goes on in double: short
// enough for float (errors of order 1e-8 of the norms), and eight rows of them stay in the first
// cache. Own loops rather than a matrix product: that computes both triangles, sums in float
// throughout and splits a product of few rows and many columns badly.
constexpr std::int64_t kGramTile = 768;
// Tiles summed by one thread before its sums are added to the others', in this order whatever the
// number of threads.
constexpr std::int64_t kGramChunk = 32 * kGramTile;
// Rows by rows whose sums are kept in registers, so that a loaded number serves four products.
constexpr std::int64_t kGramBlock = 4;
constexpr std::int64_t kGramSums = kGramBlock * kGramBlock;
// On a GPU the launches count instead.
constexpr std::int64_t kGramDeviceTile = std::int64_t{1} << 20;

// Running sums side by side; the compiler may not reorder a single one into a vector. Lowered to
// what the instruction set has.
typedef float GramFloats __attribute__((vector_size(64), aligned(4), may_alias));
typedef double GramDoubles __attribute__((vector_size(64), aligned(8), may_alias));
constexpr std::int64_t kGramLanes = 8;  // of GramDoubles

// What a tile's running sums add to those in double.
#define DETENTE_GRAM_WIDE_FLOATS(v)                                                        \
  __builtin_convertvector(__builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) +          \
                              __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15), \
                          GramDoubles)
#define DETENTE_GRAM_WIDE_DOUBLES(v) (v)

// The lanes of sums[4 * i + j] add up to ⟨a[i], b[j]⟩ over n > 0 columns, a multiple of the lanes.
#define DETENTE_GRAM_KERNEL(name, T, Lanes, WIDE)                                \
  DETENTE_CLONES void name(                                                      \
      const T* const* a, const T* const* b, std::int64_t n, GramDoubles* sums) { \
    constexpr std::int64_t kLanes = sizeof(Lanes) / sizeof(T);                   \
    Lanes total[kGramSums];                                                      \
    for (std::int64_t s = 0; s < kGramSums; ++s) total[s] = Lanes{};             \
    std::int64_t c = 0;                                                          \
    do { /* n > 0 is known: no loop that might not run */                        \
      Lanes left[kGramBlock];                                                    \
      for (std::int64_t i = 0; i < kGramBlock; ++i) {                            \
        left[i] = *reinterpret_cast<const Lanes*>(a[i] + c);                     \
      }                                                                          \
      for (std::int64_t j = 0; j < kGramBlock; ++j) {                            \
        const Lanes right = *reinterpret_cast<const Lanes*>(b[j] + c);           \
        for (std::int64_t i = 0; i < kGramBlock; ++i) {                          \
          total[i * kGramBlock + j] += left[i] * right;                          \
        }                                                                        \
      }                                                                          \
      c += kLanes;                                                               \
    } while (c < n);                                                             \
    for (std::int64_t s = 0; s < kGramSums; ++s) sums[s] += WIDE(total[s]);      \
  }
DETENTE_GRAM_KERNEL(gram_block, float, GramFloats, DETENTE_GRAM_WIDE_FLOATS)
DETENTE_GRAM_KERNEL(gram_block, double, GramDoubles, DETENTE_GRAM_WIDE_DOUBLES)
#undef DETENTE_GRAM_KERNEL
#undef DETENTE_GRAM_WIDE_FLOATS
#undef DETENTE_GRAM_WIDE_DOUBLES

// Blocks of the lower triangle, one after the other, for columns [begin, end).
template <class T>
void gram_of_columns(const T* rows,
                     std::int64_t k,
                     std::int64_t stride,
                     std::int64_t begin,
                     std::int64_t end,
                     std::vector<double>& sums) {
  const std::int64_t blocks = (k + kGramBlock - 1) / kGramBlock;
  const std::int64_t pairs = blocks * (blocks + 1) / 2;
  std::vector<double> lanes(static_cast<std::size_t>(pairs * kGramSums * kGramLanes), 0.0);
  // Rows that fill the last block, and rows cut off at the end, are taken from here.
  std::vector<T> padded(static_cast<std::size_t>((k + 1) * kGramTile), T{0});
  const T* zero = padded.data() + k * kGramTile;
  std::vector<const T*> row(static_cast<std::size_t>(blocks * kGramBlock), zero);
  for (std::int64_t c = begin; c < end; c += kGramTile) {
    const std::int64_t n = std::min(kGramTile, end - c);
    for (std::int64_t i = 0; i < k; ++i) {
      const T* from = rows + i * stride + c;
      if (n < kGramTile) {
        T* copy = padded.data() + i * kGramTile;
        std::copy_n(from, n, copy);
        from = copy;
      }
      row[static_cast<std::size_t>(i)] = from;
    }
    const std::int64_t whole = n < kGramTile ? (n + 15) / 16 * 16 : kGramTile;
    auto* sum = reinterpret_cast<GramDoubles*>(lanes.data());
    const auto add = [&](std::int64_t i, std::int64_t j) {
      gram_block(row.data() + i * kGramBlock,
                 row.data() + j * kGramBlock,
                 whole,
                 sum + (i * (i + 1) / 2 + j) * kGramSums);
    };
    // Two blocks of rows meet each other block while it is in the first cache.
    for (std::int64_t i = 0; i < blocks; i += 2) {
      const bool two = i + 1 < blocks;
      for (std::int64_t j = 0; j <= i + two; ++j) {
        if (j <= i) add(i, j);
        if (two) add(i + 1, j);
      }
    }
  }
  sums.assign(static_cast<std::size_t>(pairs * kGramSums), 0.0);
  for (std::size_t s = 0; s < sums.size(); ++s) {
    for (std::int64_t lane = 0; lane < kGramLanes; ++lane) {
      sums[s] += lanes[s * kGramLanes + static_cast<std::size_t>(lane)];
    }
  }
}

// Fills the lower triangle. `stride`: from one row to the next.
template <class T>
void gram_on_host(
    const T* rows, std::int64_t k, std::int64_t p, std::int64_t stride, Matrix& result) {
  const std::int64_t chunks = (p + kGramChunk - 1) / kGramChunk;
  std::vector<std::vector<double>> sums(static_cast<std::size_t>(chunks));
  parallel_for(0, chunks, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t c = first; c < last; ++c) {
      gram_of_columns(rows,
                      k,
                      stride,
                      c * kGramChunk,
                      std::min(p, (c + 1) * kGramChunk),
                      sums[static_cast<std::size_t>(c)]);
    }
  });
  for (const auto& part : sums) {
    const double* sum = part.data();
    const std::int64_t blocks = (k + kGramBlock - 1) / kGramBlock;
    for (std::int64_t i = 0; i < blocks; ++i) {
      for (std::int64_t j = 0; j <= i; ++j) {
        for (std::int64_t s = 0; s < kGramSums; ++s) {
          const std::int64_t row = i * kGramBlock + s / kGramBlock;
          const std::int64_t column = j * kGramBlock + s % kGramBlock;
          if (row < k && column <= row) result.data()[row * k + column] += sum[s];
        }
        sum += kGramSums;
      }
    }
  }
}

void gram_on_device(const at::Tensor& rows, Matrix& sum) {
  const std::int64_t p = rows.size(1);
  at::Tensor total = at::zeros({rows.size(0), rows.size(0)}, rows.options().dtype(at::kDouble));
  for (std::int64_t begin = 0; begin < p; begin += kGramDeviceTile) {
    const at::Tensor wide =
        rows.narrow(1, begin, std::min(kGramDeviceTile, p - begin)).to(at::kDouble);
    total.addmm_(wide, wide.t());
  }
  const at::Tensor host = total.cpu();
  std::copy_n(host.data_ptr<double>(), host.numel(), sum.data());
}

}  // namespace

Matrix gram(const at::Tensor& rows) {
  DETENTE_CHECK(rows.dim() == 2,
                ErrorCode::kShape,
                "[tensor::gram] expected a matrix of rows, got {} dimensions.",
                rows.dim());
  const at::NoGradGuard no_grad;
  const auto k = static_cast<std::size_t>(rows.size(0));
  Matrix sum(k, k);
  if (!rows.is_cpu()) {
    gram_on_device(rows, sum);
  } else {
    const auto type = rows.scalar_type() == at::kFloat ? at::kFloat : at::kDouble;
    at::Tensor host = rows.to(type);
    if (host.size(1) > 1 && host.stride(1) != 1) host = host.contiguous();
    if (type == at::kFloat) {
      gram_on_host(host.data_ptr<float>(), host.size(0), host.size(1), host.stride(0), sum);
    } else {
      gram_on_host(host.data_ptr<double>(), host.size(0), host.size(1), host.stride(0), sum);
    }
  }
  for (std::size_t i = 0; i < k; ++i) {
    for (std::size_t j = 0; j < i; ++j) sum(j, i) = sum(i, j);
  }
  return sum;
}

Matrix inner_products(const at::Tensor& a, const at::Tensor& b) {
  DETENTE_CHECK(a.dim() == 2 && b.dim() == 2 && a.size(1) == b.size(1),
                ErrorCode::kShape,
                "[tensor::inner_products] expected two matrices with rows of one length.");
  const at::NoGradGuard no_grad;
  at::Tensor total = at::zeros({a.size(0), b.size(0)}, a.options().dtype(at::kDouble));
  for (std::int64_t begin = 0; begin < a.size(1); begin += kGramDeviceTile) {
    const std::int64_t n = std::min(kGramDeviceTile, a.size(1) - begin);
    total.addmm_(a.narrow(1, begin, n).to(at::kDouble), b.narrow(1, begin, n).to(at::kDouble).t());
  }
  const at::Tensor host = total.cpu();
  Matrix result(static_cast<std::size_t>(a.size(0)), static_cast<std::size_t>(b.size(0)));
  std::copy_n(host.data_ptr<double>(), host.numel(), result.data());
  return result;
}

double squared_norm(const at::Tensor& x) {
  if (x.numel() == 0) return 0.0;
  return gram(x.detach().reshape({1, -1}))(0, 0);
}

}  // namespace detente::tensor

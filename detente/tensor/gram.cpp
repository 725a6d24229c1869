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
// Tiles, at most, that are summed before their sums are added to the others', in this order
// whatever the number of threads; and what the number of such chunks is a multiple of, so that the
// usual numbers of threads have equal shares.
constexpr std::int64_t kGramChunk = 32;
constexpr std::int64_t kGramShares = 8;
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

// The lanes of sums[kBlock * i + j] add up to ⟨a[i], b[j]⟩ over n > 0 columns, a multiple of the
// lanes. kBlock by kBlock rows, whose sums are kept in registers, so that a loaded number serves
// kBlock products. Meanwhile the n columns from `next` on come into the second cache.
#define DETENTE_GRAM_KERNEL(name, T, Lanes, WIDE, kBlock)                                       \
  DETENTE_CLONES void name(                                                                     \
      const T* const* a, const T* const* b, const T* next, std::int64_t n, GramDoubles* sums) { \
    constexpr std::int64_t kLanes = sizeof(Lanes) / sizeof(T);                                  \
    Lanes total[kBlock * kBlock];                                                               \
    _Pragma("GCC unroll 25") for (std::int64_t s = 0; s < kBlock * kBlock; ++s) {               \
      total[s] = Lanes{};                                                                       \
    }                                                                                           \
    std::int64_t c = 0;                                                                         \
    do { /* n > 0 is known: no loop that might not run */                                       \
      Lanes left[kBlock];                                                                       \
      for (std::int64_t i = 0; i < kBlock; ++i) {                                               \
        left[i] = *reinterpret_cast<const Lanes*>(a[i] + c);                                    \
      }                                                                                         \
      for (std::int64_t j = 0; j < kBlock; ++j) {                                               \
        const Lanes right = *reinterpret_cast<const Lanes*>(b[j] + c);                          \
        for (std::int64_t i = 0; i < kBlock; ++i) {                                             \
          total[i * kBlock + j] += left[i] * right;                                             \
        }                                                                                       \
      }                                                                                         \
      __builtin_prefetch(next + c, 0, 2);                                                       \
      c += kLanes;                                                                              \
    } while (c < n);                                                                            \
    _Pragma("GCC unroll 25") for (std::int64_t s = 0; s < kBlock * kBlock; ++s) {               \
      sums[s] += WIDE(total[s]);                                                                \
    }                                                                                           \
  }
DETENTE_GRAM_KERNEL(gram_block_4, float, GramFloats, DETENTE_GRAM_WIDE_FLOATS, 4)
DETENTE_GRAM_KERNEL(gram_block_4, double, GramDoubles, DETENTE_GRAM_WIDE_DOUBLES, 4)
DETENTE_GRAM_KERNEL(gram_block_5, float, GramFloats, DETENTE_GRAM_WIDE_FLOATS, 5)
DETENTE_GRAM_KERNEL(gram_block_5, double, GramDoubles, DETENTE_GRAM_WIDE_DOUBLES, 5)
#undef DETENTE_GRAM_KERNEL
#undef DETENTE_GRAM_WIDE_FLOATS
#undef DETENTE_GRAM_WIDE_DOUBLES

// The lower triangle of k by k in blocks of `size` by `size`, one row of blocks after the other.
struct GramBlocks {
  explicit GramBlocks(std::int64_t k) : size(4), count((k + 3) / 4) {
    const GramBlocks larger(5, (k + 4) / 5);
    if (larger.sums() < sums()) *this = larger;
  }
  std::int64_t pairs() const { return count * (count + 1) / 2; }
  std::int64_t sums() const { return pairs() * size * size; }

  std::int64_t size;
  std::int64_t count;  // along a side

 private:
  GramBlocks(std::int64_t block, std::int64_t blocks) : size(block), count(blocks) {}
};

// Sums of all blocks for columns [begin, end).
template <class T>
void gram_of_columns(const T* rows,
                     std::int64_t k,
                     std::int64_t stride,
                     std::int64_t begin,
                     std::int64_t end,
                     std::vector<double>& sums) {
  const GramBlocks blocks(k);
  const std::int64_t each = blocks.size * blocks.size;
  std::vector<double> lanes(static_cast<std::size_t>(blocks.sums() * kGramLanes), 0.0);
  // Rows that fill the last block, and rows cut off at the end, are taken from here.
  std::vector<T> padded(static_cast<std::size_t>((k + 1) * kGramTile), T{0});
  const T* zero = padded.data() + k * kGramTile;
  std::vector<const T*> row(static_cast<std::size_t>(blocks.count * blocks.size), zero);
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
    std::int64_t pair = 0;
    const auto add = [&](std::int64_t i, std::int64_t j) {
      const T* const* a = row.data() + i * blocks.size;
      const T* const* b = row.data() + j * blocks.size;
      // Each pair of blocks brings one row of the next tile nearer.
      const bool more = pair < k && c + kGramTile < end;
      const T* next = more ? rows + pair * stride + c + kGramTile : zero;
      GramDoubles* to = sum + pair * each;
      if (blocks.size == 5) {
        gram_block_5(a, b, next, whole, to);
      } else {
        gram_block_4(a, b, next, whole, to);
      }
      ++pair;
    };
    for (std::int64_t i = 0; i < blocks.count; ++i) {
      for (std::int64_t j = 0; j <= i; ++j) add(i, j);
    }
  }
  sums.assign(static_cast<std::size_t>(blocks.sums()), 0.0);
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
  const std::int64_t tiles = (p + kGramTile - 1) / kGramTile;
  std::int64_t chunks = (tiles + kGramChunk - 1) / kGramChunk;
  if (chunks > 1) chunks = (chunks + kGramShares - 1) / kGramShares * kGramShares;
  std::vector<std::vector<double>> sums(static_cast<std::size_t>(chunks));
  parallel_for(0, chunks, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t c = first; c < last; ++c) {
      gram_of_columns(rows,
                      k,
                      stride,
                      std::min(p, c * tiles / chunks * kGramTile),
                      std::min(p, (c + 1) * tiles / chunks * kGramTile),
                      sums[static_cast<std::size_t>(c)]);
    }
  });
  const GramBlocks blocks(k);
  for (const auto& part : sums) {
    const double* sum = part.data();
    for (std::int64_t i = 0; i < blocks.count; ++i) {
      for (std::int64_t j = 0; j <= i; ++j) {
        for (std::int64_t s = 0; s < blocks.size * blocks.size; ++s) {
          const std::int64_t row = i * blocks.size + s / blocks.size;
          const std::int64_t column = j * blocks.size + s % blocks.size;
          if (row < k && column <= row) result.data()[row * k + column] += *sum;
          ++sum;
        }
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

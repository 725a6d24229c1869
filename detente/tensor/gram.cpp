// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <detente/core/error.h>
#include <detente/simd/gram.h>
#include <detente/tensor/gram.h>
#include <detente/tensor/parallel.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace detente::tensor {
namespace {

// Tiles, at most, that are summed before their sums are added to the others', in this order
// whatever the number of threads; and what the number of such chunks is a multiple of, so that the
// usual numbers of threads have equal shares.
constexpr std::int64_t kGramChunk = 32;
constexpr std::int64_t kGramShares = 8;
// On a GPU the launches count instead.
constexpr std::int64_t kGramDeviceTile = std::int64_t{1} << 20;

// Calls part(begin, end, sums) for chunks of the p columns, shared among LibTorch's threads, and
// adds up their sums, `size` numbers each. Own loops rather than a matrix product: that computes
// both triangles, sums in the rows' type throughout and splits a product of few rows and many
// columns badly.
template <class Part>
void sum_chunks(std::int64_t p, std::int64_t tile, Matrix& result, const Part& part) {
  const std::int64_t tiles = (p + tile - 1) / tile;
  std::int64_t chunks = (tiles + kGramChunk - 1) / kGramChunk;
  if (chunks > 1) chunks = (chunks + kGramShares - 1) / kGramShares * kGramShares;
  const std::size_t size = result.rows() * result.cols();
  std::vector<double> sums(static_cast<std::size_t>(chunks) * size, 0.0);
  parallel_for(0, chunks, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t c = first; c < last; ++c) {
      part(std::min(p, c * tiles / chunks * tile),
           std::min(p, (c + 1) * tiles / chunks * tile),
           sums.data() + static_cast<std::size_t>(c) * size);
    }
  });
  for (std::size_t i = 0; i < sums.size(); ++i) result.data()[i % size] += sums[i];
}

// Where the rows begin.
template <class T>
std::vector<const T*> rows_of(const at::Tensor& rows) {
  std::vector<const T*> all;
  for (std::int64_t i = 0; i < rows.size(0); ++i) {
    all.push_back(rows.data_ptr<T>() + i * rows.stride(0));
  }
  return all;
}

// Fills the lower triangle.
template <class T>
void gram_on_host(const at::Tensor& rows, Matrix& result) {
  const std::vector<const T*> all = rows_of<T>(rows);
  const std::int64_t k = rows.size(0);
  sum_chunks(rows.size(1),
             simd::gram_tile(k, sizeof(T)),
             result,
             [&](std::int64_t begin, std::int64_t end, double* sums) {
               simd::add_gram(all.data(), k, begin, end, sums);
             });
}

template <class T>
void products_on_host(const at::Tensor& a, const at::Tensor& b, Matrix& result) {
  const std::vector<const T*> left = rows_of<T>(a);
  const std::vector<const T*> right = rows_of<T>(b);
  sum_chunks(a.size(1),
             simd::gram_tile(a.size(0) + b.size(0), sizeof(T)),
             result,
             [&](std::int64_t begin, std::int64_t end, double* sums) {
               simd::add_inner_products(
                   left.data(), a.size(0), right.data(), b.size(0), begin, end, sums);
             });
}

// Of a type with loops of our own, with the numbers of a row next to each other.
at::Tensor for_loops(const at::Tensor& rows, at::ScalarType type) {
  at::Tensor host = rows.to(type);
  if (host.size(1) > 1 && host.stride(1) != 1) host = host.contiguous();
  return host;
}

// Not finite, or so small that some of its terms may have lost digits.
bool doubtful_in_float(double squared) { return !(squared >= 1e-20 && std::isfinite(squared)); }

// For rows whose products with others are in doubt.
bool inside_float(const at::Tensor& rows) {
  for (std::int64_t i = 0; i < rows.size(0); ++i) {
    const double squared = gram(rows.narrow(0, i, 1))(0, 0);
    if (squared != 0 && (doubtful_in_float(squared) || squared > 1e20)) return false;
  }
  return true;
}

// Calls part(begin, size) for columns enough to be worth a call and few enough to be copied.
template <class Part>
void for_wide_columns(std::int64_t p, const Part& part) {
  constexpr std::int64_t kColumns = std::int64_t{1} << 16;
  for (std::int64_t begin = 0; begin < p; begin += kColumns) {
    part(begin, std::min(kColumns, p - begin));
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

bool outside_float(const at::Tensor& numbers, double squared) {
  return doubtful_in_float(squared) && (squared != 0 || numbers.any().item<bool>());
}

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
    const bool single = rows.scalar_type() == at::kFloat;
    const at::Tensor host = for_loops(rows, single ? at::kFloat : at::kDouble);
    single ? gram_on_host<float>(host, sum) : gram_on_host<double>(host, sum);
    bool wide = false;
    for (std::size_t i = 0; single && !wide && i < k; ++i) {
      wide = outside_float(host[static_cast<std::int64_t>(i)], sum(i, i));
    }
    if (wide) {
      sum = Matrix(k, k);
      for_wide_columns(host.size(1), [&](std::int64_t begin, std::int64_t size) {
        gram_on_host<double>(host.narrow(1, begin, size).to(at::kDouble), sum);
      });
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
  Matrix result(static_cast<std::size_t>(a.size(0)), static_cast<std::size_t>(b.size(0)));
  if (a.is_cpu() && b.is_cpu()) {
    const bool single = a.scalar_type() == at::kFloat && b.scalar_type() == at::kFloat;
    const at::ScalarType type = single ? at::kFloat : at::kDouble;
    const at::Tensor left = for_loops(a, type);
    const at::Tensor right = for_loops(b, type);
    if (!single) {
      products_on_host<double>(left, right, result);
      return result;
    }
    products_on_host<float>(left, right, result);
    bool doubtful = false;
    for (std::size_t i = 0; i < result.rows(); ++i) {
      for (std::size_t j = 0; j < result.cols(); ++j) {
        doubtful = doubtful || doubtful_in_float(std::abs(result(i, j)));
      }
    }
    // Perpendicular rows give nothing as well; their lengths tell.
    if (!doubtful || (inside_float(left) && inside_float(right))) return result;
    result = Matrix(result.rows(), result.cols());
    for_wide_columns(left.size(1), [&](std::int64_t begin, std::int64_t size) {
      products_on_host<double>(left.narrow(1, begin, size).to(at::kDouble),
                               right.narrow(1, begin, size).to(at::kDouble),
                               result);
    });
    return result;
  }
  at::Tensor total = at::zeros({a.size(0), b.size(0)}, a.options().dtype(at::kDouble));
  for (std::int64_t begin = 0; begin < a.size(1); begin += kGramDeviceTile) {
    const std::int64_t n = std::min(kGramDeviceTile, a.size(1) - begin);
    total.addmm_(a.narrow(1, begin, n).to(at::kDouble), b.narrow(1, begin, n).to(at::kDouble).t());
  }
  const at::Tensor host = total.cpu();
  std::copy_n(host.data_ptr<double>(), host.numel(), result.data());
  return result;
}

double squared_norm(const at::Tensor& x) {
  if (x.numel() == 0) return 0.0;
  return gram(x.detach().reshape({1, -1}))(0, 0);
}

}  // namespace detente::tensor

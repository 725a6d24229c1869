// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <detente/core/error.h>
#include <detente/tensor/gram.h>

#include <algorithm>
#include <cstdint>
#include <vector>

// The same loop compiled for several instruction sets and chosen at load time: half the time of
// the plain one on AVX-512.
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__)
#define DETENTE_GRAM_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define DETENTE_GRAM_CLONES
#endif

namespace detente::tensor {
namespace {

// Columns widened to double at a time, so that K rows of them stay in the cache. Own loops rather
// than a matrix product: a product of K rows and thousands of columns is split among threads that
// then spend longer waiting for each other than computing.
constexpr std::int64_t kGramTile = 1024;
// On a GPU the launches count instead.
constexpr std::int64_t kGramDeviceTile = std::int64_t{1} << 20;

DETENTE_GRAM_CLONES double gram_dot(const double* a, const double* b, std::int64_t n) {
  // Independent lanes: the compiler may not reorder one running sum into a vector.
  constexpr int kLanes = 16;
  double lanes[kLanes] = {};
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int j = 0; j < kLanes; ++j) lanes[j] += a[i + j] * b[i + j];
  }
  double sum = 0;
  for (; i < n; ++i) sum += a[i] * b[i];
  for (const double lane : lanes) sum += lane;
  return sum;
}

DETENTE_GRAM_CLONES void gram_widen(const float* from, double* to, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) to[i] = from[i];
}

void gram_widen(const double* from, double* to, std::int64_t n) { std::copy_n(from, n, to); }

// Adds to the lower triangle.
template <class T>
void gram_on_host(const T* rows, std::int64_t k, std::int64_t p, Matrix& sum) {
  std::vector<double> wide(static_cast<std::size_t>(k * kGramTile));
  for (std::int64_t begin = 0; begin < p; begin += kGramTile) {
    const std::int64_t n = std::min(kGramTile, p - begin);
    for (std::int64_t i = 0; i < k; ++i) {
      gram_widen(rows + i * p + begin, wide.data() + i * kGramTile, n);
      for (std::int64_t j = 0; j <= i; ++j) {
        sum.data()[i * k + j] +=
            gram_dot(wide.data() + i * kGramTile, wide.data() + j * kGramTile, n);
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
  } else if (rows.scalar_type() == at::kFloat) {
    gram_on_host(rows.contiguous().data_ptr<float>(), rows.size(0), rows.size(1), sum);
  } else {
    const at::Tensor wide = rows.to(at::kDouble).contiguous();
    gram_on_host(wide.data_ptr<double>(), rows.size(0), rows.size(1), sum);
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

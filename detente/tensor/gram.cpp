// SPDX-License-Identifier: Apache-2.0
#include <detente/tensor/gram.h>

#include <algorithm>
#include <cstdint>

#include <ATen/Functions.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

#include <detente/core/error.h>

namespace detente::tensor {
namespace {

// Columns widened to double at a time: K rows of them stay in the second-level cache for K <= 10,
// and the copy is small beside the rows. On a GPU the launches count instead.
constexpr std::int64_t kGramTile = 8192;
constexpr std::int64_t kGramDeviceTile = std::int64_t{1} << 20;

}  // namespace

Matrix gram(const at::Tensor& rows) {
  DETENTE_CHECK(rows.dim() == 2, ErrorCode::kShape,
                "[tensor::gram] expected a matrix of rows, got {} dimensions.", rows.dim());
  const at::NoGradGuard no_grad;
  const std::int64_t k = rows.size(0);
  const std::int64_t p = rows.size(1);
  const std::int64_t tile = rows.is_cpu() ? kGramTile : kGramDeviceTile;
  at::Tensor sum = at::zeros({k, k}, rows.options().dtype(at::kDouble));
  for (std::int64_t begin = 0; begin < p; begin += tile) {
    const at::Tensor wide =
        rows.narrow(1, begin, std::min(tile, p - begin)).to(at::kDouble).contiguous();
    sum.addmm_(wide, wide.t());
  }
  const at::Tensor host = sum.cpu();
  Matrix result(static_cast<std::size_t>(k), static_cast<std::size_t>(k));
  const double* values = host.data_ptr<double>();
  for (std::size_t i = 0; i < result.rows(); ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      result(i, j) = values[i * result.cols() + j];
      result(j, i) = result(i, j);
    }
  }
  return result;
}

double squared_norm(const at::Tensor& x) { return gram(x.detach().reshape({1, -1}))(0, 0); }

}  // namespace detente::tensor

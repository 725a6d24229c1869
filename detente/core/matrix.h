// SPDX-License-Identifier: Apache-2.0
// Row-major views and a small owning matrix of doubles; the currency between the modules.
#pragma once

#include <cstddef>
#include <vector>

namespace detente {

// Not owning; row-major, rows × cols, contiguous.
struct MatrixView {
  const double* data = nullptr;
  std::size_t rows = 0;
  std::size_t cols = 0;

  bool empty() const { return rows == 0 || cols == 0; }
  double operator()(std::size_t i, std::size_t j) const { return data[i * cols + j]; }
};

class Matrix {
 public:
  Matrix() = default;
  Matrix(std::size_t rows, std::size_t cols, double fill = 0.0)
      : rows_(rows), cols_(cols), values_(rows * cols, fill) {}

  std::size_t rows() const { return rows_; }
  std::size_t cols() const { return cols_; }
  double* data() { return values_.data(); }
  const double* data() const { return values_.data(); }
  double& operator()(std::size_t i, std::size_t j) { return values_[i * cols_ + j]; }
  double operator()(std::size_t i, std::size_t j) const { return values_[i * cols_ + j]; }
  MatrixView view() const { return {values_.data(), rows_, cols_}; }
  operator MatrixView() const { return view(); }

 private:
  std::size_t rows_ = 0;
  std::size_t cols_ = 0;
  std::vector<double> values_;
};

}  // namespace detente

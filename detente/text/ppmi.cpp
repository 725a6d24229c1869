// SPDX-License-Identifier: Apache-2.0
#include <detente/text/ppmi.h>

#include <Eigen/Dense>
#include <Eigen/Sparse>
#include <algorithm>
#include <cmath>

namespace detente::text {
namespace {

using SparseRows = Eigen::SparseMatrix<float, Eigen::RowMajor, std::int64_t>;
using Dense = Eigen::MatrixXf;

// Calls visit(row, context) for every pair of neighbours.
template <class Visit>
void for_each_neighbour(std::span<const std::vector<std::int32_t>> sentences,
                        const PpmiOptions& options,
                        const Visit& visit) {
  const std::size_t unit = options.ids_per_token;
  for (const auto& ids : sentences) {
    const std::size_t length = ids.size() / unit;
    for (std::size_t i = 0; i < length; ++i) {
      const std::size_t first = i > options.window ? i - options.window : 0;
      const std::size_t last = std::min(length, i + options.window + 1);
      for (std::size_t j = first; j < last; ++j) {
        if (i == j) continue;
        for (std::size_t f = 0; f < unit; ++f) visit(ids[i * unit + f], ids[j * unit]);
      }
    }
  }
}

// The PPMI matrix [vocabulary × vocabulary]: contexts gathered per row, then counted row by row.
SparseRows ppmi_matrix(std::span<const std::vector<std::int32_t>> sentences,
                       std::size_t vocabulary,
                       const PpmiOptions& options) {
  std::vector<std::size_t> begin(vocabulary + 1, 0);
  for_each_neighbour(sentences, options, [&](std::int32_t x, std::int32_t) {
    ++begin[static_cast<std::size_t>(x) + 1];
  });
  for (std::size_t x = 0; x < vocabulary; ++x) begin[x + 1] += begin[x];
  std::vector<std::int32_t> contexts(begin[vocabulary]);
  std::vector<std::size_t> next(begin.begin(), begin.end() - 1);
  std::vector<double> column_sums(vocabulary, 0.0);
  for_each_neighbour(sentences, options, [&](std::int32_t x, std::int32_t y) {
    contexts[next[static_cast<std::size_t>(x)]++] = y;
    column_sums[static_cast<std::size_t>(y)] += 1.0;
  });

  const double total = static_cast<double>(contexts.size());
  SparseRows matrix(static_cast<Eigen::Index>(vocabulary), static_cast<Eigen::Index>(vocabulary));
  for (std::size_t x = 0; x < vocabulary; ++x) {
    matrix.startVec(static_cast<Eigen::Index>(x));
    const auto first = contexts.begin() + static_cast<std::ptrdiff_t>(begin[x]);
    const auto last = contexts.begin() + static_cast<std::ptrdiff_t>(begin[x + 1]);
    std::sort(first, last);
    const double row_sum = static_cast<double>(begin[x + 1] - begin[x]);
    for (auto run = first; run != last;) {
      const auto end = std::upper_bound(run, last, *run);
      const double count = static_cast<double>(end - run);
      const double information =
          std::log(count * total / (row_sum * column_sums[static_cast<std::size_t>(*run)]));
      if (information > 0) {
        matrix.insertBack(static_cast<Eigen::Index>(x), *run) = static_cast<float>(information);
      }
      run = end;
    }
  }
  matrix.finalize();
  return matrix;
}

Dense orthonormal_columns(const Dense& matrix) {
  const Eigen::HouseholderQR<Dense> qr(matrix);
  return qr.householderQ() * Dense::Identity(matrix.rows(), matrix.cols());
}

}  // namespace

Matrix ppmi_embedding(std::span<const std::vector<std::int32_t>> sentences,
                      std::size_t vocabulary,
                      const PpmiOptions& options,
                      Rng& rng) {
  const SparseRows information = ppmi_matrix(sentences, vocabulary, options);
  const auto rows = static_cast<Eigen::Index>(vocabulary);
  const auto width = static_cast<Eigen::Index>(options.width);
  // Some columns more than wanted make the wanted ones accurate.
  const Eigen::Index columns = std::min(rows, width + 16);
  Dense subspace(rows, columns);
  for (Eigen::Index j = 0; j < columns; ++j) {
    for (Eigen::Index i = 0; i < rows; ++i) subspace(i, j) = static_cast<float>(rng.normal());
  }
  Dense range = information * subspace;
  for (int i = 0; i < options.iterations; ++i) {
    range = orthonormal_columns(range);
    subspace = orthonormal_columns(information.transpose() * range);
    range = information * subspace;
  }
  // range = U S Wᵀ; its left singular vectors from the small columns × columns problem.
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> eigen(
      (range.transpose() * range).cast<double>());
  Matrix embedding(vocabulary, options.width);
  const double target = std::sqrt(static_cast<double>(options.width));
  Eigen::MatrixXd projection = Eigen::MatrixXd::Zero(columns, width);
  const double largest = std::max(0.0, eigen.eigenvalues()(columns - 1));
  for (Eigen::Index j = 0; j < std::min(width, columns); ++j) {
    const double value = eigen.eigenvalues()(columns - 1 - j);
    // U S^½ = range · W S^-½, and S = √value.
    if (value > 1e-10 * largest) {
      projection.col(j) = eigen.eigenvectors().col(columns - 1 - j) / std::pow(value, 0.25);
    }
  }
  const Eigen::MatrixXd embedded = range.cast<double>() * projection;
  for (Eigen::Index i = 0; i < rows; ++i) {
    const double norm = embedded.row(i).norm();
    for (Eigen::Index j = 0; j < width; ++j) {
      embedding(static_cast<std::size_t>(i), static_cast<std::size_t>(j)) =
          norm > 1e-6 ? embedded(i, j) / norm * target : rng.normal();
    }
  }
  return embedding;
}

}  // namespace detente::text

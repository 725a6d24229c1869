// SPDX-License-Identifier: Apache-2.0
// Shared problems: Jacobians whose rows are task gradients, from benign to hostile. Everything is
// drawn from a fixed seed through core/rng.h, so each machine tests the same numbers.
#pragma once

#include <detente/core/matrix.h>
#include <detente/core/rng.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

namespace detente::test {

inline Matrix matrix_of(const std::vector<std::vector<double>>& rows) {
  Matrix matrix(rows.size(), rows.empty() ? 0 : rows.front().size());
  for (std::size_t i = 0; i < matrix.rows(); ++i) {
    for (std::size_t j = 0; j < matrix.cols(); ++j) matrix(i, j) = rows[i][j];
  }
  return matrix;
}

// J Jᵀ, exactly symmetric.
inline Matrix gram_of(const Matrix& jacobian) {
  const std::size_t k = jacobian.rows();
  Matrix gram(k, k);
  for (std::size_t i = 0; i < k; ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      double sum = 0;
      for (std::size_t p = 0; p < jacobian.cols(); ++p) sum += jacobian(i, p) * jacobian(j, p);
      gram(i, j) = sum;
      gram(j, i) = sum;
    }
  }
  return gram;
}

// d = Jᵀ w.
inline std::vector<double> direction_of(const Matrix& jacobian, const std::vector<double>& w) {
  std::vector<double> d(jacobian.cols(), 0.0);
  for (std::size_t i = 0; i < jacobian.rows(); ++i) {
    for (std::size_t p = 0; p < jacobian.cols(); ++p) d[p] += w[i] * jacobian(i, p);
  }
  return d;
}

// G w, or J d: the inner product of every gradient with the direction.
inline std::vector<double> times(const Matrix& gram, const std::vector<double>& w) {
  std::vector<double> out(gram.rows(), 0.0);
  for (std::size_t i = 0; i < gram.rows(); ++i) {
    for (std::size_t j = 0; j < gram.cols(); ++j) out[i] += gram(i, j) * w[j];
  }
  return out;
}

inline double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

inline double norm_of(const std::vector<double>& a) { return std::sqrt(dot(a, a)); }

inline double cosine(const std::vector<double>& a, const std::vector<double>& b) {
  return dot(a, b) / norm_of(a) / norm_of(b);
}

inline double least(const std::vector<double>& values) {
  return *std::min_element(values.begin(), values.end());
}

// g₀.
inline std::vector<double> mean_gradient(const Matrix& jacobian) {
  const std::vector<double> w(jacobian.rows(), 1.0 / static_cast<double>(jacobian.rows()));
  return direction_of(jacobian, w);
}

inline Matrix random_jacobian(std::size_t k, std::size_t p, Rng& rng) {
  Matrix jacobian(k, p);
  for (std::size_t i = 0; i < k * p; ++i) jacobian.data()[i] = rng.normal();
  return jacobian;
}

inline Matrix scaled_rows(const Matrix& jacobian, const std::vector<double>& c) {
  Matrix out = jacobian;
  for (std::size_t i = 0; i < out.rows(); ++i) {
    for (std::size_t p = 0; p < out.cols(); ++p) out(i, p) *= c[i];
  }
  return out;
}

inline Matrix scaled(const Matrix& jacobian, double s) {
  return scaled_rows(jacobian, std::vector<double>(jacobian.rows(), s));
}

inline Matrix with_row(const Matrix& jacobian, const std::vector<double>& row) {
  Matrix out(jacobian.rows() + 1, jacobian.cols());
  for (std::size_t i = 0; i < jacobian.rows(); ++i) {
    for (std::size_t p = 0; p < out.cols(); ++p) out(i, p) = jacobian(i, p);
  }
  for (std::size_t p = 0; p < out.cols(); ++p) out(jacobian.rows(), p) = row[p];
  return out;
}

inline std::vector<double> row_of(const Matrix& jacobian, std::size_t i) {
  return {jacobian.data() + i * jacobian.cols(), jacobian.data() + (i + 1) * jacobian.cols()};
}

// The tasks but for i in the random order in which pcgrad and gradvac take them.
inline std::vector<std::size_t> shuffled_others(std::size_t k, std::size_t i, Rng& rng) {
  std::vector<std::size_t> others;
  for (std::size_t j = 0; j < k; ++j) {
    if (j != i) others.push_back(j);
  }
  if (k > 2) rng.shuffle(others);
  return others;
}

enum class Family {
  kGaussian,       // independent rows, k <= p
  kConflicting,    // rows pulled towards negative inner products
  kAligned,        // a common direction plus noise
  kCollinear,      // rows equal up to 1e-6
  kRankDeficient,  // more rows than dimensions
  kBadlyScaled,    // norms over twelve orders of magnitude
  kDuplicated,     // every row twice
  kOpposite,       // every row and its negative: Pareto-stationary
};

struct NamedFamily {
  Family family;
  const char* name;
};

inline const std::vector<NamedFamily>& families() {
  static const std::vector<NamedFamily> all = {
      {Family::kGaussian, "gaussian"},
      {Family::kConflicting, "conflicting"},
      {Family::kAligned, "aligned"},
      {Family::kCollinear, "collinear"},
      {Family::kRankDeficient, "rank_deficient"},
      {Family::kBadlyScaled, "badly_scaled"},
      {Family::kDuplicated, "duplicated"},
      {Family::kOpposite, "opposite"},
  };
  return all;
}

// A problem with k tasks of the family.
inline Matrix problem_of(Family family, std::size_t k, Rng& rng) {
  const std::size_t p = k + 5;
  Matrix jacobian = random_jacobian(k, p, rng);
  const std::vector<double> common = row_of(random_jacobian(1, p, rng), 0);
  const auto add_common = [&](double amount) {
    for (std::size_t i = 0; i < k; ++i) {
      for (std::size_t q = 0; q < p; ++q) jacobian(i, q) += amount * common[q];
    }
  };
  switch (family) {
    case Family::kGaussian:
      break;
    case Family::kConflicting: {
      // Taking most of the mean away leaves rows that point against each other.
      for (std::size_t q = 0; q < p; ++q) {
        double mean = 0;
        for (std::size_t i = 0; i < k; ++i) mean += jacobian(i, q) / static_cast<double>(k);
        for (std::size_t i = 0; i < k; ++i) jacobian(i, q) -= 0.95 * mean;
      }
      break;
    }
    case Family::kAligned:
      add_common(2.0);
      break;
    case Family::kCollinear:
      for (std::size_t i = 0; i < k * p; ++i) jacobian.data()[i] *= 1e-6;
      add_common(1.0);
      break;
    case Family::kRankDeficient: {
      jacobian = random_jacobian(k, k / 2 + 1, rng);
      break;
    }
    case Family::kBadlyScaled: {
      std::vector<double> c(k);
      for (double& x : c) x = std::pow(10.0, 12.0 * rng.uniform() - 6.0);
      jacobian = scaled_rows(jacobian, c);
      break;
    }
    case Family::kDuplicated:
      for (std::size_t i = 1; i < k; i += 2) {
        for (std::size_t q = 0; q < p; ++q) jacobian(i, q) = jacobian(i - 1, q);
      }
      break;
    case Family::kOpposite:
      for (std::size_t i = 1; i < k; i += 2) {
        for (std::size_t q = 0; q < p; ++q) jacobian(i, q) = -jacobian(i - 1, q);
      }
      break;
  }
  return jacobian;
}

// A random rotation of the columns: successive Householder reflections.
inline Matrix rotated(const Matrix& jacobian, Rng& rng) {
  Matrix out = jacobian;
  for (int round = 0; round < 4; ++round) {
    const std::vector<double> v = row_of(random_jacobian(1, out.cols(), rng), 0);
    const double vv = dot(v, v);
    for (std::size_t i = 0; i < out.rows(); ++i) {
      const double along = 2.0 * dot(row_of(out, i), v) / vv;
      for (std::size_t p = 0; p < out.cols(); ++p) out(i, p) -= along * v[p];
    }
  }
  return out;
}

}  // namespace detente::test

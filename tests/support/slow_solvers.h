// SPDX-License-Identifier: Apache-2.0
// Independent references for the balancing methods: slow, simple, and sharing no code or idea with
// the library's solvers.
#pragma once

#include <detente/core/matrix.h>

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

namespace detente::test {

inline Eigen::MatrixXd eigen_of(const Matrix& m) {
  return Eigen::Map<const Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>(
      m.data(), static_cast<Eigen::Index>(m.rows()), static_cast<Eigen::Index>(m.cols()));
}

inline Eigen::VectorXd eigen_of(const std::vector<double>& v) {
  return Eigen::Map<const Eigen::VectorXd>(v.data(), static_cast<Eigen::Index>(v.size()));
}

// Every non-empty subset of {0, ..., k - 1}.
inline void for_each_face(std::size_t k,
                          const std::function<void(const std::vector<int>&)>& visit) {
  for (unsigned bits = 1; bits < (1U << k); ++bits) {
    std::vector<int> face;
    for (std::size_t i = 0; i < k; ++i) {
      if ((bits >> i) & 1U) face.push_back(static_cast<int>(i));
    }
    visit(face);
  }
}

// The least wᵀGw over the simplex by solving the equality-constrained problem on every face.
inline double min_norm_by_enumeration(const Matrix& gram) {
  const Eigen::MatrixXd g = eigen_of(gram);
  double best = std::numeric_limits<double>::infinity();
  for_each_face(gram.rows(), [&](const std::vector<int>& face) {
    const auto s = static_cast<Eigen::Index>(face.size());
    Eigen::MatrixXd system = Eigen::MatrixXd::Zero(s + 1, s + 1);
    system.topLeftCorner(s, s) = g(face, face);
    system.col(s).head(s).setOnes();
    system.row(s).head(s).setOnes();
    Eigen::VectorXd right = Eigen::VectorXd::Zero(s + 1);
    right(s) = 1.0;
    const Eigen::VectorXd w = system.completeOrthogonalDecomposition().solve(right).head(s);
    if (w.minCoeff() < 0 || std::abs(w.sum() - 1.0) > 1e-8) return;
    best = std::min(best, w.dot(g(face, face) * w));
  });
  return best;
}

// max over ‖d − g₀‖ <= c‖g₀‖ of min_i ⟨g_i, d⟩ for an independent Gram matrix: the closed form on
// every face (stationarity of ⟨g_w, g₀⟩ + r‖g_w‖), the least of the values that are attained.
inline double cagrad_by_enumeration(const Matrix& gram, double c) {
  const Eigen::MatrixXd g = eigen_of(gram);
  const Eigen::Index k = g.rows();
  const Eigen::VectorXd b = g * Eigen::VectorXd::Constant(k, 1.0 / static_cast<double>(k));
  const double r = c * std::sqrt(b.mean());
  double best = std::numeric_limits<double>::infinity();
  for_each_face(gram.rows(), [&](const std::vector<int>& face) {
    const auto s = static_cast<Eigen::Index>(face.size());
    if (s == 1) {
      best = std::min(best, b(face[0]) + r * std::sqrt(g(face[0], face[0])));
      return;
    }
    const Eigen::LDLT<Eigen::MatrixXd> factor(g(face, face));
    const Eigen::VectorXd y = factor.solve(Eigen::VectorXd::Ones(s));
    const Eigen::VectorXd z = factor.solve(b(face));
    const double t2 = y.sum() * (r * r - b(face).dot(z)) + z.sum() * z.sum();
    if (t2 <= 0) return;
    const double t = std::sqrt(t2);
    const double mu = (t + z.sum()) / y.sum();
    const Eigen::VectorXd w = (mu * y - z) / t;
    if (w.minCoeff() < 0) return;
    best = std::min(best, b(face).dot(w) + r * std::sqrt(w.dot(g(face, face) * w)));
  });
  return best;
}

// Euclidean projection on the simplex (sort and threshold).
inline Eigen::VectorXd project_on_simplex(const Eigen::VectorXd& v) {
  std::vector<double> sorted(v.data(), v.data() + v.size());
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  double sum = 0;
  double shift = 0;
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    sum += sorted[i];
    const double candidate = (sum - 1.0) / static_cast<double>(i + 1);
    if (sorted[i] > candidate) shift = candidate;
  }
  return (v.array() - shift).max(0.0).matrix();
}

// Accelerated projected gradient with restarts on a convex function over the simplex.
inline Eigen::VectorXd minimize_on_simplex(
    Eigen::Index k,
    const std::function<double(const Eigen::VectorXd&)>& value,
    const std::function<Eigen::VectorXd(const Eigen::VectorXd&)>& gradient,
    int steps) {
  Eigen::VectorXd w = Eigen::VectorXd::Constant(k, 1.0 / static_cast<double>(k));
  Eigen::VectorXd v = w;
  double momentum = 1.0;
  double step = 1.0;
  for (int i = 0; i < steps; ++i) {
    const Eigen::VectorXd slope = gradient(v);
    const double here = value(v);
    Eigen::VectorXd next;
    for (;;) {
      next = project_on_simplex(v - step * slope);
      const Eigen::VectorXd move = next - v;
      if (value(next) <= here + slope.dot(move) + move.squaredNorm() / (2 * step) || step < 1e-16) {
        break;
      }
      step *= 0.5;
    }
    const double next_momentum = 0.5 * (1.0 + std::sqrt(1.0 + 4.0 * momentum * momentum));
    if (slope.dot(next - w) > 0) {
      momentum = 1.0;
      v = next;
    } else {
      v = next + (momentum - 1.0) / next_momentum * (next - w);
      momentum = next_momentum;
    }
    w = next;
  }
  return w;
}

}  // namespace detente::test

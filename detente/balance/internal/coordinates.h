// SPDX-License-Identifier: Apache-2.0
// What methods of class J share: one body for float and double rows, and passes over k rows of p
// numbers that run through memory in blocks and sum in double.
#pragma once

#include <detente/balance/method.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <tuple>
#include <vector>

namespace detente::balance::internal {

// Derived::combine(problem, rows, d, result), a template over the number type, is the method.
template <class Derived>
class CoordinateMethod : public Method {
 public:
  MethodClass method_class() const override { return MethodClass::kCoordinates; }

 protected:
  void compute_direction(const Problem& problem,
                         const Rows<float>& rows,
                         std::span<float> d,
                         Result& result) override {
    static_cast<Derived*>(this)->combine(problem, rows, d, result);
  }
  void compute_direction(const Problem& problem,
                         const Rows<double>& rows,
                         std::span<double> d,
                         Result& result) override {
    static_cast<Derived*>(this)->combine(problem, rows, d, result);
  }
};

// So many coordinates of a few dozen rows and their sums stay in the cache.
inline constexpr std::size_t kBlock = 512;
using Block = std::array<double, kBlock>;

// f(begin, size) for successive pieces of [0, n), none longer than kBlock.
template <class F>
void for_blocks(std::size_t n, F f) {
  for (std::size_t begin = 0; begin < n; begin += kBlock) f(begin, std::min(kBlock, n - begin));
}

// Pointers to rows that need not be evenly spaced, in storage kept between steps.
class RowPointers {
 public:
  template <class T>
  std::vector<const T*>& of() {
    return std::get<std::vector<const T*>>(pointers_);
  }
  template <class T>
  std::span<const T* const> of(const Rows<T>& rows) {
    auto& pointers = of<T>();
    pointers.clear();
    for (std::size_t i = 0; i < rows.rows; ++i) pointers.push_back(rows[i].data());
    return pointers;
  }

 private:
  std::tuple<std::vector<const float*>, std::vector<const double*>> pointers_;
};

// ⟨a, b⟩ in eight partial sums, which the compiler keeps in vector registers.
template <class T>
double inner(const T* a, const T* b, std::size_t n) {
  constexpr std::size_t kLanes = 8;
  double lanes[kLanes] = {};
  std::size_t c = 0;
  for (; c + kLanes <= n; c += kLanes) {
    for (std::size_t l = 0; l < kLanes; ++l) {
      lanes[l] += static_cast<double>(a[c + l]) * static_cast<double>(b[c + l]);
    }
  }
  double sum = 0;
  for (; c < n; ++c) sum += static_cast<double>(a[c]) * static_cast<double>(b[c]);
  for (const double lane : lanes) sum += lane;
  return sum;
}

// The sum of n numbers, likewise.
inline double total(const double* a, std::size_t n) {
  constexpr std::size_t kLanes = 8;
  double lanes[kLanes] = {};
  std::size_t c = 0;
  for (; c + kLanes <= n; c += kLanes) {
    for (std::size_t l = 0; l < kLanes; ++l) lanes[l] += a[c + l];
  }
  double sum = 0;
  for (; c < n; ++c) sum += a[c];
  for (const double lane : lanes) sum += lane;
  return sum;
}

// The Gram matrix of rows of n numbers; `gram` must have the right size.
template <class T>
void gram_of_rows(std::span<const T* const> rows, std::size_t n, Matrix& gram) {
  const std::size_t k = rows.size();
  std::fill(gram.data(), gram.data() + k * k, 0.0);
  for_blocks(n, [&](std::size_t begin, std::size_t size) {
    for (std::size_t i = 0; i < k; ++i) {
      for (std::size_t j = 0; j <= i; ++j) {
        gram(i, j) += inner(rows[i] + begin, rows[j] + begin, size);
      }
    }
  });
  for (std::size_t i = 0; i < k; ++i) {
    for (std::size_t j = 0; j < i; ++j) gram(j, i) = gram(i, j);
  }
}

// d = Σ_i w_i row_i; a weight of zero keeps its row out altogether.
template <class T>
void weighted_sum(std::span<const T* const> rows, std::span<const double> w, std::span<T> d) {
  Block sum;
  for_blocks(d.size(), [&](std::size_t begin, std::size_t size) {
    std::fill(sum.begin(), sum.end(), 0.0);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (w[i] == 0.0) continue;
      const T* row = rows[i] + begin;
      for (std::size_t c = 0; c < size; ++c) sum[c] += w[i] * static_cast<double>(row[c]);
    }
    for (std::size_t c = 0; c < size; ++c) d[begin + c] = static_cast<T>(sum[c]);
  });
}

}  // namespace detente::balance::internal

// SPDX-License-Identifier: Apache-2.0
// Squared Euclidean distances between the rows of two matrices, a block at a time.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace detente::valuation::internal {

// Rows a and rows b, row-major [n, width] and [m, width]; used, not copied. Distances come from
// lengths and inner products of the rows less the mean of a, so that rows far from 0 but near each
// other keep their digits: the error is about 1e-7 of ‖a − mean‖² + ‖b − mean‖². Equal rows of a
// have equal distances from any row of b, to the bit. Throws kShape where sizes do not fit,
// kNumeric naming the row for numbers that are not finite or too large to be squared; `who` opens
// the messages, `a_name` and `b_name` say whose rows they are.
class Distances {
 public:
  Distances(std::span<const float> a,
            std::span<const float> b,
            std::size_t width,
            const char* who,
            const char* a_name,
            const char* b_name);

  std::size_t a_rows() const { return a_norms_.size(); }
  std::size_t b_rows() const { return b_norms_.size(); }

  // Rows of b that are compared at once, and their distances from all rows of a: to[t * a_rows() +
  // i] for row first + t of b and row i of a, t < count <= kRows.
  static constexpr std::size_t kRows = 60;
  void compute(std::size_t first, std::size_t count, std::size_t threads, float* to) const;

 private:
  void check(std::span<const float> rows, const char* name) const;
  std::vector<double> norms(std::span<const float> rows, const char* name) const;
  void take_centred(std::span<const float> from, std::size_t row, float* to) const;

  std::span<const float> a_;
  std::span<const float> b_;
  std::size_t width_;
  const char* who_;
  std::vector<float> centre_;
  std::vector<double> a_norms_;
  std::vector<double> b_norms_;
};

}  // namespace detente::valuation::internal

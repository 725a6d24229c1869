// SPDX-License-Identifier: Apache-2.0
#include <detente/simd/relu_rows.h>

#include <cmath>

#include "tests/simd/each_target.h"

namespace detente::simd {
namespace {

template <class T>
class SimdRelu : public testing::Test {};
using Numbers = testing::Types<float, double>;
TYPED_TEST_SUITE(SimdRelu, Numbers);

template <class T>
ReluRows<T> problem(
    Rows<T>& out, Rows<T>& saved, Rows<T>& in, std::vector<T>& sum, std::int64_t rows) {
  return {out.data(),
          saved.data(),
          in.data(),
          sum.data(),
          out.stride(),
          saved.stride(),
          in.stride(),
          rows,
          out.columns()};
}

// Sums of 128 rows, one row after the other, added up: to the last bit on every target.
template <class T>
void expect_relu(std::int64_t rows, std::int64_t columns) {
  Rows<T> out(rows, columns, 1);
  Rows<T> saved(rows, columns, 2, /*gap=*/1);
  Rows<T> in(rows, columns, 3, /*gap=*/2);
  std::vector<T> sum(static_cast<std::size_t>(columns), T{0.25});
  const std::vector<T> before = sum;
  relu_backward_rows(problem(out, saved, in, sum, rows));
  for (std::int64_t c = 0; c < columns; ++c) {
    T expected = before[static_cast<std::size_t>(c)];
    for (std::int64_t first = 0; first < rows; first += 128) {
      T some = 0;
      for (std::int64_t r = first; r < std::min(rows, first + 128); ++r) {
        const T kept = saved(r, c) > 0 ? out(r, c) : T{0};
        EXPECT_EQ(in(r, c), kept);
        some += kept;
      }
      expected += some;
    }
    EXPECT_EQ(sum[static_cast<std::size_t>(c)], expected) << c;
  }
  EXPECT_TRUE(in.untouched_between());
}

TYPED_TEST(SimdRelu, KeepsWhatWasPositiveForAnyWidth) {
  for_each_target([] {
    for (std::int64_t n = 0; n <= 2 * 4 * kWidest<TypeParam> + 1; ++n) {
      expect_relu<TypeParam>(2, n);
    }
  });
}

TYPED_TEST(SimdRelu, KeepsWhatWasPositiveForAnyNumberOfRows) {
  for_each_target([] {
    for (const std::int64_t rows : {0, 1, 127, 128, 129, 300}) expect_relu<TypeParam>(rows, 37);
  });
}

TYPED_TEST(SimdRelu, WorksInPlace) {
  for_each_target([] {
    Rows<TypeParam> out(9, 50, 4);
    const Rows<TypeParam> before = out;
    Rows<TypeParam> saved(9, 50, 5);
    std::vector<TypeParam> sum(50, TypeParam{0});
    relu_backward_rows(problem(out, saved, out, sum, 9));
    for (std::int64_t r = 0; r < 9; ++r) {
      for (std::int64_t c = 0; c < 50; ++c) {
        EXPECT_EQ(out(r, c), saved(r, c) > 0 ? before(r, c) : TypeParam{0});
      }
    }
  });
}

TYPED_TEST(SimdRelu, PassesOnWhatIsNoNumber) {
  for_each_target([] {
    const TypeParam nan = std::numeric_limits<TypeParam>::quiet_NaN();
    const TypeParam infinity = std::numeric_limits<TypeParam>::infinity();
    for (const std::int64_t n : {5, 70}) {
      for (const std::int64_t at : {std::int64_t{0}, n - 1}) {
        Rows<TypeParam> out(3, n, 6);
        Rows<TypeParam> saved(3, n, 7);
        Rows<TypeParam> in(3, n, 8);
        std::vector<TypeParam> sum(static_cast<std::size_t>(n), TypeParam{0});
        out(0, at) = nan;
        saved(0, at) = 1;
        out(1, at) = infinity;
        saved(1, at) = nan;
        out(2, at) = nan;
        saved(2, at) = 0;
        relu_backward_rows(problem(out, saved, in, sum, 3));
        EXPECT_TRUE(std::isnan(in(0, at)));
        EXPECT_EQ(in(1, at), infinity) << "NaN is not <= 0";
        EXPECT_EQ(in(2, at), 0) << "gone";
        EXPECT_TRUE(std::isnan(sum[static_cast<std::size_t>(at)]));
        EXPECT_TRUE(std::isfinite(sum[static_cast<std::size_t>(n / 2)]));
      }
    }
  });
}

}  // namespace
}  // namespace detente::simd

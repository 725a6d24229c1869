// SPDX-License-Identifier: Apache-2.0
#include <detente/simd/narrow_product.h>

#include <algorithm>
#include <cmath>

#include "tests/simd/each_target.h"

namespace detente::simd {
namespace {

template <class T>
class SimdNarrow : public testing::Test {};
using Numbers = testing::Types<float, double>;
TYPED_TEST_SUITE(SimdNarrow, Numbers);

// Matrices without gaps, their sums, and a number before and after each that must stay.
template <class T>
struct Problem {
  std::int64_t rows, m, n;
  std::vector<T> wide, narrow, sum, columns;

  Problem(std::int64_t r, std::int64_t wide_columns, std::int64_t narrow_columns)
      : rows(r),
        m(wide_columns),
        n(narrow_columns),
        wide(random_numbers<T>(r * m + 1, 1)),
        narrow(random_numbers<T>(r * n + 1, 2)),
        sum(static_cast<std::size_t>(m * n + 2), T{0.5}),
        columns(static_cast<std::size_t>(m + 2), T{0.5}) {}

  NarrowProduct<T> pointers(bool with_columns = true) {
    return {wide.data() + 1,
            narrow.data() + 1,
            sum.data() + 1,
            with_columns ? columns.data() + 1 : nullptr,
            rows,
            m,
            n};
  }
  T& at_wide(std::int64_t r, std::int64_t c) {
    return wide[static_cast<std::size_t>(1 + r * m + c)];
  }
  T& at_narrow(std::int64_t r, std::int64_t j) {
    return narrow[static_cast<std::size_t>(1 + r * n + j)];
  }
  // Where the header says that the entry lies.
  T& at_sum(std::int64_t c, std::int64_t j) {
    const std::int64_t lanes = narrow_columns(sizeof(T));
    const std::int64_t block = c / lanes * lanes;
    const bool whole = block + lanes <= m;
    const std::int64_t place = whole ? block * n + j * lanes + c % lanes : c * n + j;
    return sum[static_cast<std::size_t>(1 + place)];
  }
};

template <class T>
void expect_product(std::int64_t rows, std::int64_t m, std::int64_t n) {
  SCOPED_TRACE(testing::Message() << rows << " rows, " << m << " by " << n);
  Problem<T> p(rows, m, n);
  add_narrow_product(p.pointers(), 0, m);
  const double unit =
      (sizeof(T) == sizeof(double) ? 2.3e-16 : 1.2e-7) * static_cast<double>(rows + 2);
  for (std::int64_t c = 0; c < m; ++c) {
    double column = 0.5;
    double column_size = 0.5;
    for (std::int64_t r = 0; r < rows; ++r) {
      column += static_cast<double>(p.at_wide(r, c));
      column_size += std::abs(static_cast<double>(p.at_wide(r, c)));
    }
    EXPECT_NEAR(p.columns[static_cast<std::size_t>(1 + c)], column, unit * column_size);
    for (std::int64_t j = 0; j < n; ++j) {
      double expected = 0.5;
      double size = 0.5;
      for (std::int64_t r = 0; r < rows; ++r) {
        const double term =
            static_cast<double>(p.at_wide(r, c)) * static_cast<double>(p.at_narrow(r, j));
        expected += term;
        size += std::abs(term);
      }
      EXPECT_NEAR(p.at_sum(c, j), expected, unit * size) << c << " " << j;
    }
  }
  for (const std::vector<T>* all : {&p.sum, &p.columns}) {
    EXPECT_EQ(all->front(), T{0.5});
    EXPECT_EQ(all->back(), T{0.5});
  }
}

TYPED_TEST(SimdNarrow, IsTheProductForAnyWidth) {
  for_each_target([] {
    for (std::int64_t m = 0; m <= 2 * kWidest<TypeParam> + 1; ++m) {
      expect_product<TypeParam>(13, m, 3);
    }
  });
}

TYPED_TEST(SimdNarrow, IsTheProductForAnyNumberOfRowsAndColumns) {
  for_each_target([] {
    for (const std::int64_t rows : {0, 1, 3, 4, 11, 12, 15, 16, 17, 29, 64}) {
      for (const std::int64_t n : {0, 1, 8, 19}) expect_product<TypeParam>(rows, 37, n);
    }
  });
}

TYPED_TEST(SimdNarrow, IsTheSameToTheLastBitForAnyParts) {
  for_each_target([] {
    const std::int64_t lanes = narrow_columns(sizeof(TypeParam));
    const std::int64_t m = 5 * lanes + 3;
    Problem<TypeParam> whole(50, m, 8);
    Problem<TypeParam> parts(50, m, 8);
    add_narrow_product(whole.pointers(), 0, m);
    add_narrow_product(parts.pointers(), 0, 2 * lanes);
    add_narrow_product(parts.pointers(), 2 * lanes, 2 * lanes);
    add_narrow_product(parts.pointers(), 2 * lanes, m);
    EXPECT_EQ(whole.sum, parts.sum);
    EXPECT_EQ(whole.columns, parts.columns);
  });
}

TYPED_TEST(SimdNarrow, GoesWithoutTheColumnsSums) {
  for_each_target([] {
    Problem<TypeParam> with(20, 37, 5);
    Problem<TypeParam> without(20, 37, 5);
    add_narrow_product(with.pointers(), 0, 37);
    add_narrow_product(without.pointers(false), 0, 37);
    EXPECT_EQ(with.sum, without.sum);
  });
}

TYPED_TEST(SimdNarrow, PassesOnWhatIsNoNumber) {
  for_each_target([] {
    for (const std::int64_t at : {0, 16, 36}) {
      Problem<TypeParam> p(21, 37, 4);
      p.at_wide(20, at) = std::numeric_limits<TypeParam>::quiet_NaN();
      add_narrow_product(p.pointers(), 0, 37);
      for (std::int64_t c = 0; c < 37; ++c) {
        for (std::int64_t j = 0; j < 4; ++j) EXPECT_EQ(std::isnan(p.at_sum(c, j)), c == at);
      }
    }
  });
}

}  // namespace
}  // namespace detente::simd

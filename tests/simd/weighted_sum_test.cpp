// SPDX-License-Identifier: Apache-2.0
#include <detente/simd/weighted_sum.h>

#include <cmath>

#include "tests/simd/each_target.h"

namespace detente::simd {
namespace {

template <class T>
class SimdSum : public testing::Test {};
using Numbers = testing::Types<float, double>;
TYPED_TEST_SUITE(SimdSum, Numbers);

std::vector<double> some_weights(std::int64_t k) {
  std::vector<double> weights;
  for (std::int64_t i = 0; i < k; ++i) weights.push_back(0.3 * static_cast<double>(i % 7) - 1.0);
  return weights;
}

template <class T>
void expect_sum(const Rows<T>& rows, std::int64_t k) {
  const std::int64_t n = rows.columns();
  const std::vector<double> weights = some_weights(k);
  Rows<T> sum(1, n, 99);
  weighted_sum(rows.starts(), weights.data(), k, 0, n, sum.data());
  for (std::int64_t c = 0; c < n; ++c) {
    double expected = 0;
    double size = 0;
    for (std::int64_t i = 0; i < k; ++i) {
      const double term = weights[static_cast<std::size_t>(i)] * static_cast<double>(rows(i, c));
      expected += term;
      size += std::abs(term);
    }
    const double unit = sizeof(T) == sizeof(double) ? 2.3e-16 : 1.2e-7;
    EXPECT_NEAR(sum(0, c), expected, unit * static_cast<double>(k + 1) * size) << c;
  }
  EXPECT_TRUE(sum.untouched_between());
}

TYPED_TEST(SimdSum, IsTheSumForAnyLength) {
  for_each_target([] {
    for (std::int64_t n = 0; n <= 2 * kWidest<TypeParam> + 1; ++n) {
      expect_sum(Rows<TypeParam>(3, n, static_cast<std::uint64_t>(n)), 3);
    }
    for (const std::int64_t n : {2047, 2048, 2049, 5000}) {
      expect_sum(Rows<TypeParam>(6, n, static_cast<std::uint64_t>(n)), 6);
    }
  });
}

TYPED_TEST(SimdSum, IsTheSumForAnyNumberOfRows) {
  for_each_target([] {
    for (std::int64_t k = 1; k <= 13; ++k) expect_sum(Rows<TypeParam>(k, 41, 1), k);
    expect_sum(Rows<TypeParam>(50, 41, 2), 50);
  });
}

TYPED_TEST(SimdSum, OfNoRowsIsZero) {
  for_each_target([] {
    std::vector<TypeParam> sum(5, TypeParam{7});
    weighted_sum(static_cast<const TypeParam* const*>(nullptr), nullptr, 0, 1, 4, sum.data());
    EXPECT_EQ(sum, (std::vector<TypeParam>{7, 0, 0, 0, 7}));
  });
}

// So that threads may share the columns anyhow.
TYPED_TEST(SimdSum, IsTheSameToTheLastBitForAnyParts) {
  for_each_target([] {
    const Rows<TypeParam> rows(7, 4500, 3);
    const std::vector<double> weights = some_weights(7);
    std::vector<TypeParam> whole(4500);
    std::vector<TypeParam> parts(4500);
    weighted_sum(rows.starts(), weights.data(), 7, 0, 4500, whole.data());
    const std::int64_t borders[] = {0, 1, 18, 18, 2100, 4497, 4500};
    for (int p = 0; p < 6; ++p) {
      weighted_sum(rows.starts(), weights.data(), 7, borders[p], borders[p + 1], parts.data());
    }
    EXPECT_EQ(whole, parts);
  });
}

TYPED_TEST(SimdSum, PassesOnWhatIsNoNumber) {
  for_each_target([] {
    for (const std::int64_t at : {0, 15, 16, 36}) {
      Rows<TypeParam> rows(5, 37, 4);
      rows(2, at) = std::numeric_limits<TypeParam>::quiet_NaN();
      rows(4, 7) = std::numeric_limits<TypeParam>::infinity();
      std::vector<TypeParam> sum(37);
      weighted_sum(rows.starts(), some_weights(5).data(), 5, 0, 37, sum.data());
      for (std::int64_t c = 0; c < 37; ++c) {
        EXPECT_EQ(std::isfinite(sum[static_cast<std::size_t>(c)]), c != at && c != 7) << c;
      }
    }
  });
}

}  // namespace
}  // namespace detente::simd

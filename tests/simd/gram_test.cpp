// SPDX-License-Identifier: Apache-2.0
#include <detente/simd/gram.h>

#include <cmath>
#include <limits>

#include "tests/simd/each_target.h"

namespace detente::simd {
namespace {

template <class T>
class SimdGram : public testing::Test {};
using Numbers = testing::Types<float, double>;
TYPED_TEST_SUITE(SimdGram, Numbers);

template <class T>
long double product(const Rows<T>& a, std::int64_t i, const Rows<T>& b, std::int64_t j) {
  long double sum = 0;
  for (std::int64_t c = 0; c < a.columns(); ++c) {
    sum += static_cast<long double>(a(i, c)) * static_cast<long double>(b(j, c));
  }
  return sum;
}

// Relative to the norms, which is what a cosine sees; twice as much where a handful of rounding
// errors has nothing to cancel with.
template <class T>
constexpr double kTolerance = sizeof(T) == sizeof(double) ? 1e-14 : 1e-7;
constexpr std::int64_t kShort = 100;

template <class T>
void expect_gram(const Rows<T>& rows, std::int64_t k) {
  std::vector<double> gram(static_cast<std::size_t>(k * k), 0.5);
  add_gram(rows.starts(), k, 0, rows.columns(), gram.data());
  for (std::int64_t i = 0; i < k; ++i) {
    for (std::int64_t j = 0; j < k; ++j) {
      const double found = gram[static_cast<std::size_t>(i * k + j)] - 0.5;
      if (j > i) {
        EXPECT_EQ(found, 0.0) << "above the diagonal";
        continue;
      }
      const auto expected = static_cast<double>(product(rows, i, rows, j));
      const auto size = static_cast<double>(product(rows, i, rows, i) * product(rows, j, rows, j));
      const double tolerance = kTolerance<T> * (rows.columns() < kShort ? 2 : 1);
      EXPECT_NEAR(found, expected, tolerance * (std::sqrt(size) + 0.5)) << i << " " << j;
    }
  }
}

TYPED_TEST(SimdGram, IsTheProductForAnyNumberOfRows) {
  for_each_target([] {
    for (std::int64_t k = 1; k <= 20; ++k) expect_gram(Rows<TypeParam>(k, 83, 1), k);
    expect_gram(Rows<TypeParam>(50, 83, 2), 50);
  });
}

TYPED_TEST(SimdGram, IsTheProductForAnyLength) {
  for_each_target([] {
    for (std::int64_t n = 0; n <= 2 * 4 * kWidest<TypeParam> + 1; ++n) {
      expect_gram(Rows<TypeParam>(3, n, static_cast<std::uint64_t>(n)), 3);
    }
  });
}

TYPED_TEST(SimdGram, IsTheProductAroundItsTiles) {
  for_each_target([] {
    const std::int64_t tile = gram_tile(7, sizeof(TypeParam));
    for (const std::int64_t n : {tile - 1, tile, tile + 1, 2 * tile, 3 * tile + 5, 30000L}) {
      expect_gram(Rows<TypeParam>(7, n, static_cast<std::uint64_t>(n)), 7);
    }
  });
}

TYPED_TEST(SimdGram, SumsOverItsParts) {
  for_each_target([] {
    const std::int64_t k = 5;
    const std::int64_t n = 5000;
    const Rows<TypeParam> rows(k, n, 3);
    std::vector<double> whole(k * k, 0.0);
    std::vector<double> parts(k * k, 0.0);
    add_gram(rows.starts(), k, 0, n, whole.data());
    const std::int64_t borders[] = {0, 1, 1234, 1234, 4999, n};
    for (int p = 0; p < 5; ++p) {
      add_gram(rows.starts(), k, borders[p], borders[p + 1], parts.data());
    }
    for (std::int64_t i = 0; i < k * k; ++i) {
      EXPECT_NEAR(parts[i], whole[i], kTolerance<TypeParam> * n);
    }
  });
}

TYPED_TEST(SimdGram, OfTheSameRowsIsTheSameToTheLastBit) {
  for_each_target([] {
    const Rows<TypeParam> rows(9, 7777, 4);
    std::vector<double> one(81, 0.0);
    std::vector<double> two(81, 0.0);
    add_gram(rows.starts(), 9, 0, 7777, one.data());
    add_gram(rows.starts(), 9, 0, 7777, two.data());
    EXPECT_EQ(one, two);
  });
}

// Every number of the rows counts, wherever it lies: one that is no number makes its row's and
// column's products that, and no other.
TYPED_TEST(SimdGram, PassesOnWhatIsNoNumber) {
  for_each_target([] {
    const std::int64_t k = 8;
    for (const std::int64_t at : {0, 31, 64, 200, 201}) {
      for (const double bad :
           {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
        Rows<TypeParam> rows(k, 202, 5);
        rows(5, at) = static_cast<TypeParam>(bad);
        std::vector<double> gram(k * k, 0.0);
        add_gram(rows.starts(), k, 0, 202, gram.data());
        for (std::int64_t i = 0; i < k; ++i) {
          for (std::int64_t j = 0; j <= i; ++j) {
            EXPECT_EQ(std::isfinite(gram[i * k + j]), i != 5 && j != 5) << i << " " << j;
          }
        }
      }
    }
  });
}

TYPED_TEST(SimdGram, OfNothingIsNothing) {
  for_each_target([] {
    const Rows<TypeParam> rows(2, 10, 6);
    std::vector<double> gram(4, 7.0);
    add_gram(rows.starts(), 2, 5, 5, gram.data());
    add_gram(rows.starts(), 0, 0, 10, gram.data());
    add_inner_products(rows.starts(), 0, rows.starts(), 2, 0, 10, gram.data());
    EXPECT_EQ(gram, std::vector<double>(4, 7.0));
  });
}

// In sums of the rows' type this inner product would drown.
TEST(SimdGramOfFloats, KeepsASmallProductOfLargeRows) {
  for_each_target([] {
    const std::int64_t half = 100'000;
    std::vector<float> a(2 * half, 1000.0F);
    std::vector<float> b(2 * half, 1000.0F);
    for (std::int64_t i = half; i < 2 * half; ++i) b[static_cast<std::size_t>(i)] = -1000.0F;
    b[0] = 999.0F;
    const float* rows[] = {a.data(), b.data()};
    double gram[4] = {};
    add_gram(rows, 2, 0, 2 * half, gram);
    EXPECT_EQ(gram[2], -1000.0);
  });
}

// Products that are all of one sign add up their rounding errors.
TEST(SimdGramOfFloats, StaysExactWhereAllProductsHaveOneSign) {
  for_each_target([] {
    Rows<float> rows(4, 300'001, 7);
    for (std::int64_t i = 0; i < 4; ++i) {
      for (std::int64_t c = 0; c < rows.columns(); ++c) rows(i, c) = std::abs(rows(i, c)) + 0.1F;
    }
    expect_gram(rows, 4);
  });
}

TYPED_TEST(SimdGram, OfTwoMatricesIsTheirProduct) {
  for_each_target([] {
    for (const std::int64_t ka : {1, 2, 5, 6, 7, 13}) {
      for (const std::int64_t kb : {1, 3, 4, 5, 9}) {
        for (const std::int64_t n : {1, 67, 1000}) {
          const Rows<TypeParam> a(ka, n, 8);
          const Rows<TypeParam> b(kb, n, 9, /*gap=*/1);
          std::vector<double> found(static_cast<std::size_t>(ka * kb), -2.0);
          add_inner_products(a.starts(), ka, b.starts(), kb, 0, n, found.data());
          for (std::int64_t i = 0; i < ka; ++i) {
            for (std::int64_t j = 0; j < kb; ++j) {
              EXPECT_NEAR(found[static_cast<std::size_t>(i * kb + j)] + 2.0,
                          static_cast<double>(product(a, i, b, j)),
                          kTolerance<TypeParam> * (static_cast<double>(n) + 20.0))
                  << i << " " << j;
            }
          }
        }
      }
    }
  });
}

TEST(GramTile, IsWholeVectorsAndShrinksWithManyRows) {
  for_each_target([] {
    for (const std::size_t size : {sizeof(float), sizeof(double)}) {
      std::int64_t before = std::numeric_limits<std::int64_t>::max();
      for (const std::int64_t rows : {0, 1, 10, 50, 1000, 100000}) {
        const std::int64_t tile = gram_tile(rows, size);
        EXPECT_GE(tile, 16);
        EXPECT_LE(tile, before);
        before = tile;
      }
    }
  });
}

}  // namespace
}  // namespace detente::simd

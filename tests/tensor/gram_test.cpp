// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/rng.h>
#include <detente/tensor/gram.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

namespace detente::tensor {
namespace {

at::Tensor gram_rows(std::int64_t k, std::int64_t p, std::uint64_t seed) {
  Rng rng(seed);
  auto rows = torch::empty({k, p}, torch::kFloat);
  float* values = rows.data_ptr<float>();
  for (std::int64_t i = 0; i < k * p; ++i) values[i] = static_cast<float>(rng.normal());
  return rows;
}

// Plain loops in extended precision: the reference for everything here. `wide` is float64.
long double gram_entry(const at::Tensor& wide, std::int64_t i, std::int64_t j) {
  const double* values = wide.data_ptr<double>();
  const std::int64_t size = wide.size(1);
  long double sum = 0;
  for (std::int64_t p = 0; p < size; ++p) {
    sum += static_cast<long double>(values[i * size + p]) * values[j * size + p];
  }
  return sum;
}

// Relative to the norms, which is what a cosine sees.
double gram_tolerance(const at::Tensor& rows) {
  return rows.scalar_type() == torch::kDouble ? 1e-13 : 1e-7;
}

void expect_gram_near_reference(const at::Tensor& rows) {
  const Matrix result = gram(rows);
  const auto wide = rows.to(torch::kDouble).contiguous();
  Matrix expected(result.rows(), result.cols());
  for (std::size_t i = 0; i < result.rows(); ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      expected(i, j) = static_cast<double>(
          gram_entry(wide, static_cast<std::int64_t>(i), static_cast<std::int64_t>(j)));
    }
  }
  for (std::size_t i = 0; i < result.rows(); ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      EXPECT_NEAR(result(i, j),
                  expected(i, j),
                  gram_tolerance(rows) * std::sqrt(expected(i, i) * expected(j, j)))
          << i << " " << j;
      EXPECT_EQ(result(i, j), result(j, i));
    }
  }
}

TEST(Gram, MatchesAnExtendedPrecisionReferenceForAMillionColumns) {
  expect_gram_near_reference(gram_rows(3, 1'000'003, 1));
}

TEST(Gram, HoldsForAnyShape) {
  for (const std::int64_t k : {1, 2, 8}) {
    for (const std::int64_t p : {1, 7, 8192, 8193, 40000}) {
      expect_gram_near_reference(gram_rows(k, p, static_cast<std::uint64_t>(k * p)));
    }
  }
}

TEST(Gram, TakesDoubleRowsAndStridedRows) {
  const auto rows = gram_rows(4, 20000, 3);
  expect_gram_near_reference(rows.to(torch::kDouble));
  expect_gram_near_reference(rows.t().contiguous().t());
}

TEST(Gram, HoldsForEveryScaleOfFloat32) {
  const auto rows = gram_rows(5, 70'001, 7);
  for (int exponent = -30; exponent <= 30; exponent += 3) {
    SCOPED_TRACE(exponent);
    expect_gram_near_reference(rows * std::pow(10.0, exponent));
    auto mixed = rows.clone();
    mixed[1] *= std::pow(10.0, exponent);
    mixed[3] *= std::pow(10.0, -exponent);
    mixed[4].zero_();
    expect_gram_near_reference(mixed);
  }
}

TEST(Gram, InnerProductsHoldForEveryScaleOfFloat32) {
  const auto a = gram_rows(3, 70'001, 8);
  const auto b = gram_rows(2, 70'001, 9);
  const Matrix expected = inner_products(a.to(torch::kDouble), b.to(torch::kDouble));
  for (int exponent = -30; exponent <= 30; exponent += 3) {
    SCOPED_TRACE(exponent);
    const double scale = std::pow(10.0, exponent);
    for (const double other : {scale, 1.0, 1.0 / scale}) {
      const Matrix found = inner_products(a * scale, b * other);
      for (std::size_t i = 0; i < 3; ++i) {
        for (std::size_t j = 0; j < 2; ++j) {
          EXPECT_NEAR(found(i, j) / scale / other, expected(i, j), 1e-7 * 70'001) << other;
        }
      }
    }
  }
}

TEST(Gram, WhatIsNotFiniteStaysSo) {
  auto rows = gram_rows(2, 100, 10);
  rows[1][3] = HUGE_VALF;
  EXPECT_FALSE(std::isfinite(gram(rows)(1, 1)));
  EXPECT_TRUE(std::isfinite(gram(rows)(0, 0)));
  rows[1][3] = NAN;
  EXPECT_TRUE(std::isnan(gram(rows)(1, 1)));
  EXPECT_TRUE(std::isnan(inner_products(rows, rows)(1, 0)));
}

// In float32 sums this pair's inner product would drown: the rows are large and nearly orthogonal.
TEST(Gram, KeepsTheSignOfASmallInnerProduct) {
  const std::int64_t half = 300'000;
  auto rows = torch::full({2, 2 * half}, 1000.0);
  rows[1].narrow(0, half, half).neg_();
  rows[1][0] = 999.0;
  EXPECT_EQ(gram(rows)(0, 1), -1000.0);
}

TEST(Gram, IsTheSameForAnyNumberOfThreads) {
  const auto rows = gram_rows(3, 100'000, 4);
  const int before = torch::get_num_threads();
  torch::set_num_threads(1);
  const Matrix one = gram(rows);
  torch::set_num_threads(2);
  const Matrix two = gram(rows);
  torch::set_num_threads(before);
  for (std::size_t i = 0; i < 9; ++i) EXPECT_EQ(one.data()[i], two.data()[i]);
}

TEST(Gram, OfNoColumnsIsZero) { EXPECT_EQ(gram(torch::zeros({2, 0}))(0, 1), 0.0); }

TEST(Gram, RefusesAVector) { EXPECT_THROW(gram(torch::zeros({3})), Error); }

TEST(SquaredNorm, SumsInDouble) {
  const auto x = gram_rows(1000, 1001, 5);
  const auto flat = x.reshape({1, -1});
  const auto expected = static_cast<double>(gram_entry(flat.to(torch::kDouble), 0, 0));
  EXPECT_NEAR(squared_norm(x), expected, gram_tolerance(x) * expected);
}

}  // namespace
}  // namespace detente::tensor

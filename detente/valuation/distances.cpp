// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/workers.h>
#include <detente/simd/gram.h>
#include <detente/valuation/internal/distances.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace detente::valuation::internal {
namespace {

// Rows of a that one call multiplies. Both sides are filled up to multiples of 12, which all
// targets cut into blocks of one size: another size might sum in another order, and equal rows
// would differ in the last bit.
constexpr std::size_t kTile = 120;
constexpr std::size_t kUnit = 12;

// Sums of squares up to here leave room for products in float.
constexpr double kLargest = 1e36;

}  // namespace

Distances::Distances(std::span<const float> a,
                     std::span<const float> b,
                     std::size_t width,
                     const char* who,
                     const char* a_name,
                     const char* b_name)
    : a_(a), b_(b), width_(width), who_(who) {
  check(a, a_name);
  check(b, b_name);
  const std::size_t n = a.size() / width;
  std::vector<double> sums(width, 0.0);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t c = 0; c < width; ++c) sums[c] += a[i * width + c];
  }
  centre_.resize(width);
  for (std::size_t c = 0; c < width; ++c) {
    centre_[c] = static_cast<float>(sums[c] / static_cast<double>(n));
  }
  a_norms_ = norms(a, a_name);
  b_norms_ = norms(b, b_name);
}

void Distances::check(std::span<const float> rows, const char* name) const {
  DETENTE_CHECK(width_ > 0 && !rows.empty() && rows.size() % width_ == 0,
                ErrorCode::kShape,
                "[{}] the {} features are {} numbers; expected at least one row of {} numbers",
                who_,
                name,
                rows.size(),
                width_);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    DETENTE_CHECK(std::isfinite(rows[i]),
                  ErrorCode::kNumeric,
                  "[{}] feature {} of {} row {} is {}; expected finite numbers. Leave the row out, "
                  "or look at what made it",
                  who_,
                  i % width_,
                  name,
                  i / width_,
                  rows[i]);
  }
}

std::vector<double> Distances::norms(std::span<const float> rows, const char* name) const {
  std::vector<double> result(rows.size() / width_, 0.0);
  std::vector<float> row(width_);
  const float* start = row.data();
  for (std::size_t i = 0; i < result.size(); ++i) {
    take_centred(rows, i, row.data());
    simd::add_gram(&start, 1, 0, static_cast<std::int64_t>(width_), &result[i]);
    DETENTE_CHECK(result[i] < kLargest,
                  ErrorCode::kNumeric,
                  "[{}] {} row {} is {:.3g} away from the mean; expected less than {:g}. Scale the "
                  "features",
                  who_,
                  name,
                  i,
                  std::sqrt(result[i]),
                  std::sqrt(kLargest));
  }
  return result;
}

void Distances::take_centred(std::span<const float> from, std::size_t row, float* to) const {
  const float* at = from.data() + row * width_;
  for (std::size_t c = 0; c < width_; ++c) to[c] = at[c] - centre_[c];
}

void Distances::compute(std::size_t first,
                        std::size_t count,
                        std::size_t threads,
                        float* to) const {
  DETENTE_DCHECK(count <= kRows && first + count <= b_rows());
  const std::size_t n = a_rows();
  const std::size_t b_count = (count + kUnit - 1) / kUnit * kUnit;
  std::vector<float> b(b_count * width_, 0.0F);
  std::vector<const float*> b_starts(b_count);
  for (std::size_t t = 0; t < b_count; ++t) {
    if (t < count) take_centred(b_, first + t, b.data() + t * width_);
    b_starts[t] = b.data() + t * width_;
  }
  struct Scratch {
    std::vector<float> rows;
    std::vector<const float*> starts;
    std::vector<double> products;
  };
  std::vector<Scratch> scratches(threads);
  const std::size_t tiles = (n + kTile - 1) / kTile;
  share_work(tiles, threads, [&](std::size_t worker, std::size_t tile) {
    Scratch& scratch = scratches[worker];
    scratch.rows.resize(kTile * width_, 0.0F);
    scratch.starts.resize(kTile);
    scratch.products.assign(kTile * b_count, 0.0);
    const std::size_t begin = tile * kTile;
    const std::size_t rows = std::min(kTile, n - begin);
    for (std::size_t i = 0; i < kTile; ++i) {
      scratch.starts[i] = scratch.rows.data() + i * width_;
      if (i < rows) take_centred(a_, begin + i, scratch.rows.data() + i * width_);
    }
    simd::add_inner_products(b_starts.data(),
                             static_cast<std::int64_t>(b_count),
                             scratch.starts.data(),
                             static_cast<std::int64_t>(kTile),
                             0,
                             static_cast<std::int64_t>(width_),
                             scratch.products.data());
    for (std::size_t t = 0; t < count; ++t) {
      const double* products = scratch.products.data() + t * kTile;
      float* row = to + t * n + begin;
      for (std::size_t i = 0; i < rows; ++i) {
        const double square = a_norms_[begin + i] + b_norms_[first + t] - 2.0 * products[i];
        row[i] = static_cast<float>(std::max(square, 0.0));
      }
    }
  });
}

}  // namespace detente::valuation::internal

// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/nan.h>
#include <detente/metrics/paired.h>
#include <detente/metrics/student_t.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace detente::metrics {
namespace {

struct Moments {
  std::vector<double> values;  // those that are defined
  double mean = kNan;
  double deviation = kNan;
  double error = kNan;  // standard error of the mean
};

// Of the values' size: what sums and differences of doubles lose is smaller, what training changes is larger.
constexpr double kRounding = 1e-12;

double size_of(std::span<const double> values) {
  double size = 0;
  for (const double value : values) {
    if (std::isfinite(value)) size = std::max(size, std::abs(value));
  }
  return size;
}

Moments moments_of(std::span<const double> values, double size) {
  Moments result;
  for (const double value : values) {
    if (!std::isnan(value)) result.values.push_back(value);
  }
  const auto n = static_cast<double>(result.values.size());
  if (result.values.empty()) return result;
  // Twice: the second pass takes away what the first one lost.
  result.mean = std::accumulate(result.values.begin(), result.values.end(), 0.0) / n;
  double rest = 0;
  for (const double value : result.values) rest += value - result.mean;
  result.mean += rest / n;
  if (result.values.size() < 2) return result;
  const auto [least, most] = std::minmax_element(result.values.begin(), result.values.end());
  if (*most - *least <= kRounding * size) {
    result.mean = std::abs(result.mean) <= kRounding * size ? 0 : result.values.front();
    result.deviation = 0;
    result.error = 0;
    return result;
  }
  double squares = 0;
  for (const double value : result.values) squares += (value - result.mean) * (value - result.mean);
  result.deviation = std::sqrt(squares / (n - 1));
  result.error = result.deviation / std::sqrt(n);
  return result;
}

Estimate estimate_of(const Moments& moments, double level) {
  Estimate result{moments.mean, kNan, kNan, moments.values.size()};
  if (result.n < 2) return result;
  const double half =
      moments.error * student_t_quantile((1 + level) / 2, static_cast<double>(result.n - 1));
  result.low = result.mean - half;
  result.high = result.mean + half;
  return result;
}

}  // namespace

Estimate mean_interval(std::span<const double> values, double level) {
  return estimate_of(moments_of(values, size_of(values)), level);
}

PairedTest paired_test(std::span<const double> a, std::span<const double> b, double level) {
  DETENTE_CHECK(a.size() == b.size(),
                ErrorCode::kShape,
                "[metrics::paired_test] {} values against {}; expected pairs.",
                a.size(),
                b.size());
  std::vector<double> differences(a.size());
  for (std::size_t i = 0; i < a.size(); ++i) differences[i] = a[i] - b[i];
  const Moments moments = moments_of(differences, std::max(size_of(a), size_of(b)));
  PairedTest result{estimate_of(moments, level), moments.deviation, kNan};
  if (result.difference.n < 2) return result;
  if (moments.deviation == 0) {
    result.p = moments.mean == 0 ? 1 : 0;
  } else {
    result.p = student_t_two_sided(moments.mean / moments.error,
                                   static_cast<double>(result.difference.n - 1));
  }
  return result;
}

std::vector<double> holm(std::span<const double> p) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < p.size(); ++i) {
    if (!std::isnan(p[i])) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(), [&](auto i, auto j) { return p[i] < p[j]; });
  std::vector<double> adjusted(p.size(), kNan);
  double least = 0;
  for (std::size_t rank = 0; rank < order.size(); ++rank) {
    least =
        std::max(least, std::min(1.0, static_cast<double>(order.size() - rank) * p[order[rank]]));
    adjusted[order[rank]] = least;
  }
  return adjusted;
}

double detectable_difference(double deviation, std::size_t n, double level, double power) {
  if (n < 2) return kNan;
  const auto freedom = static_cast<double>(n - 1);
  return (student_t_quantile((1 + level) / 2, freedom) + student_t_quantile(power, freedom)) *
         deviation / std::sqrt(static_cast<double>(n));
}

std::vector<double> mean_ranks(const std::vector<std::vector<double>>& rows) {
  std::vector<double> sums(rows.size(), 0.0);
  std::size_t columns = 0;
  for (std::size_t c = 0; !rows.empty() && c < rows.front().size(); ++c) {
    bool whole = true;
    for (const auto& row : rows) {
      DETENTE_CHECK(row.size() == rows.front().size(),
                    ErrorCode::kShape,
                    "[metrics::mean_ranks] rows of {} and {} values.",
                    rows.front().size(),
                    row.size());
      whole = whole && !std::isnan(row[c]);
    }
    if (!whole) continue;
    ++columns;
    for (std::size_t r = 0; r < rows.size(); ++r) {
      double rank = 1;
      for (std::size_t other = 0; other < rows.size(); ++other) {
        if (rows[other][c] > rows[r][c]) rank += 1;
        if (other != r && rows[other][c] == rows[r][c]) rank += 0.5;
      }
      sums[r] += rank;
    }
  }
  for (double& sum : sums) sum = columns == 0 ? kNan : sum / static_cast<double>(columns);
  return sums;
}

}  // namespace detente::metrics

// SPDX-License-Identifier: Apache-2.0
// What a few runs say of a method: means with intervals, and differences of runs that share their seeds.
//
// The intervals are Student's, over seeds. With 3 to 10 seeds the bootstrap over seeds is too narrow
// (docs/compare.md has its coverage); t holds its level for values that scatter about normally.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace detente::metrics {

struct Estimate {
  double mean = 0;  // NaN of no values
  // NaN of fewer than two values.
  double low = 0;
  double high = 0;
  std::size_t n = 0;  // values that were defined
};

// mean ± t_{n-1} s / √n. NaN values are left out. Values that differ by less than 1e-12 of their size differ by
// rounding: they are one number, their interval has no width.
Estimate mean_interval(std::span<const double> values, double level = 0.95);

struct PairedTest {
  Estimate difference;  // of a - b
  // Standard deviation of the differences. NaN of fewer than two pairs.
  double deviation = 0;
  // Two-sided, of the hypothesis that the mean difference is 0 (paired t-test). NaN of fewer than two
  // pairs; 1 where all differences are 0, 0 where all are one other number.
  double p = 1;
};

// Values of one seed stand at one place; pairs with a NaN are left out. What is less than 1e-12 of the values' size
// is rounding: such differences are 0, differences that differ by less are one number. kShape when sizes differ.
PairedTest paired_test(std::span<const double> a, std::span<const double> b, double level = 0.95);

// p-values adjusted for being many (Holm 1979): p <= alpha after it keeps the chance of one false finding
// or more at most alpha. NaN stays NaN and does not count.
std::vector<double> holm(std::span<const double> p);

// The difference that a two-sided paired t-test at 1 - level finds with probability `power`, where
// differences of n pairs scatter with standard deviation `deviation`: (t_{level} + t_{power}) s / √n,
// the usual approximation. NaN for n < 2.
double detectable_difference(double deviation,
                             std::size_t n,
                             double level = 0.95,
                             double power = 0.8);

// Of the rows (methods), the mean over columns of the rank in that column, 1 the best (most), ties in
// the middle. Columns with a NaN are left out; NaN where none is left. kShape for ragged rows.
std::vector<double> mean_ranks(const std::vector<std::vector<double>>& rows);

}  // namespace detente::metrics

// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/coordinates.h>
#include <detente/balance/method_info.h>
#include <detente/balance/trimmed_mean.h>

#include <algorithm>
#include <limits>
#include <vector>

namespace detente::balance {
namespace {

using internal::Block;

class TrimmedMean final : public internal::CoordinateMethod<TrimmedMean> {
 public:
  const char* name() const override { return "trimmed_mean"; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }

  template <class T>
  void combine(const Problem& problem, const Rows<T>& rows, std::span<T> d, Result& result) {
    const std::size_t k = problem.tasks;
    const auto wanted = static_cast<std::size_t>(options_.trim);
    const std::size_t trim = std::min(wanted, (k - 1) / 2);
    std::fill(result.weights.begin(), result.weights.end(), 1.0);
    if (trim < wanted) {
      result.message =
          "Fewer tasks than 2 trim + 1: the median of the gradients is taken at each coordinate.";
    }
    // The block's values, sorted at each coordinate by compare-exchanges between whole rows: no
    // branch depends on a number, and the rows are read once.
    sorted_.resize(k);
    internal::for_blocks(d.size(), [&](std::size_t begin, std::size_t n) {
      for (std::size_t i = 0; i < k; ++i) {
        const T* row = rows[i].data() + begin;
        for (std::size_t c = 0; c < n; ++c) sorted_[i][c] = static_cast<double>(row[c]);
      }
      // After pass t the t-th smallest stand in row t and the t-th largest in row k − 1 − t.
      for (std::size_t t = 0; t < trim; ++t) {
        for (std::size_t i = t; i + 1 < k - t; ++i) exchange(sorted_[i], sorted_[i + 1], n);
        for (std::size_t i = k - t - 2; i > t; --i) exchange(sorted_[i - 1], sorted_[i], n);
      }
      sum_.fill(0.0);
      for (std::size_t i = trim; i < k - trim; ++i) {
        for (std::size_t c = 0; c < n; ++c) sum_[c] += sorted_[i][c];
      }
      const auto count = static_cast<double>(k - 2 * trim);
      for (std::size_t c = 0; c < n; ++c) d[begin + c] = static_cast<T>(sum_[c] / count);
    });
  }

 private:
  // Two rows, which the pointers say, since references alone keep the loop from vectorising.
  static void exchange(Block& low, Block& high, std::size_t n) {
    double* __restrict a = low.data();
    double* __restrict b = high.data();
    for (std::size_t c = 0; c < n; ++c) {
      const double least = b[c] < a[c] ? b[c] : a[c];
      b[c] = b[c] < a[c] ? a[c] : b[c];
      a[c] = least;
    }
  }

  TrimmedMeanOptions options_;
  std::vector<Block> sorted_;
  Block sum_;
};

}  // namespace

void TrimmedMeanOptions::describe(FieldVisitor& visitor) {
  visitor.integer("trim",
                  trim,
                  {.min = 0, .max = 1e6},
                  "How many of the largest and how many of the smallest values are left out at "
                  "each coordinate; 0 is the mean.");
}

std::unique_ptr<Method> make_trimmed_mean() { return std::make_unique<TrimmedMean>(); }

MethodInfo trimmed_mean_info() {
  return {.name = "trimmed_mean",
          .title = "Trimmed mean",
          .summary = "The mean of the gradients without the extremes, at each coordinate.",
          .when =
              "Many tasks of which a few may have wrong or exploding gradients. With few tasks it "
              "discards most of what they say.",
          .paper = "Yin, Chen, Ramchandran, Bartlett, ICML 2018, arXiv 1803.01498",
          .method_class = MethodClass::kCoordinates,
          .laws = kPermutation | kScaleInvariant | kMeanWhenAligned | kDeterministic |
                  kSingleTaskIdentity | kIdenticalRowsIdentity,
          .make = &make_trimmed_mean};
}

}  // namespace detente::balance

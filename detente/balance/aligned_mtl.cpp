// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/aligned_mtl.h>
#include <detente/balance/internal/checks.h>
#include <detente/balance/internal/dense.h>
#include <detente/balance/internal/eigen_gram.h>
#include <detente/balance/method_info.h>

#include <algorithm>
#include <cmath>

namespace detente::balance {
namespace {

class AlignedMtl final : public Method {
 public:
  AlignedMtl() = default;
  explicit AlignedMtl(const AlignedMtlOptions& options) : options_(options) {}

  const char* name() const override { return "aligned_mtl"; }
  MethodClass method_class() const override { return MethodClass::kGram; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }

 protected:
  void compute(const Problem& problem, Result& result) override {
    internal::check_per_task(options_.preference.size(), problem, name(), "preference");
    const std::size_t k = problem.tasks;
    double largest = 0;
    for (std::size_t i = 0; i < k; ++i) {
      largest = std::max(largest, problem.gram(i, i));
      const double share = options_.times_k ? 1.0 : 1.0 / static_cast<double>(problem.tasks);
      result.weights[i] = internal::per_task(options_.preference, problem, i, share);
    }
    if (largest == 0) {
      internal::report_all_zero(result);
      return;
    }
    preference_ = result.weights;
    gram_.resize(k * k);
    for (std::size_t i = 0; i < k * k; ++i) gram_[i] = problem.gram.data[i] / largest;
    eigen_.assign(gram_.data(), k);
    const double sigma = std::sqrt(common_value());
    std::fill(result.weights.begin(), result.weights.end(), 0.0);
    for (std::size_t i = k - eigen_.rank(); i < k; ++i) {
      const double* vector = eigen_.vector(i);
      const double share = internal::dot(k, vector, preference_.data());
      internal::add_multiple(
          k, sigma / std::sqrt(eigen_.value(i)) * share, vector, result.weights.data());
    }
    if (eigen_.rank() < k) {
      result.stop = StopReason::kDegenerate;
      result.message = "The gradients depend on each other; the alignment is within their span.";
    }
  }

 private:
  // σ² from the non-zero eigenvalues, which stand at the end in ascending order.
  double common_value() const {
    const std::size_t first = eigen_.size() - eigen_.rank();
    switch (options_.scale) {
      case AlignedMtlOptions::Scale::kMin:
        return eigen_.value(first);
      case AlignedMtlOptions::Scale::kMedian: {
        const std::size_t low = first + (eigen_.rank() - 1) / 2;
        const std::size_t high = first + eigen_.rank() / 2;
        return 0.5 * (eigen_.value(low) + eigen_.value(high));
      }
      case AlignedMtlOptions::Scale::kRmse:
        break;
    }
    double mean = 0;
    for (std::size_t i = first; i < eigen_.size(); ++i) mean += eigen_.value(i);
    return mean / static_cast<double>(eigen_.rank());
  }

  AlignedMtlOptions options_;
  internal::EigenGram eigen_;
  std::vector<double> gram_, preference_;
};

}  // namespace

void AlignedMtlOptions::describe(FieldVisitor& visitor) {
  if (visit_preset(visitor,
                   preset,
                   "paper: the mean of the aligned gradients; official_code: times_k, their sum, "
                   "as in the authors' code.")) {
    times_k = preset == Preset::kOfficialCode;
  }
  visitor.choice("scale",
                 scale,
                 {{"min", Scale::kMin}, {"median", Scale::kMedian}, {"rmse", Scale::kRmse}},
                 "Common singular value: the smallest, the root of the median eigenvalue, or the "
                 "root mean square.");
  visitor.numbers("preference",
                  preference,
                  {.min = 0, .max_open = true},
                  "Weights of the aligned gradients; empty: 1/k each.");
  visitor.flag(
      "times_k", times_k, "Without a preference, add the aligned gradients instead of averaging.");
}

Result aligned_mtl(MatrixView gram, const AlignedMtlOptions& options) {
  AlignedMtl method(options);
  validate_fields([&](FieldVisitor& v) { method.describe(v); }, "[balance::aligned_mtl]");
  return solve_once(method, {.tasks = gram.rows, .gram = gram});
}

std::unique_ptr<Method> make_aligned_mtl() { return std::make_unique<AlignedMtl>(); }

MethodInfo aligned_mtl_info() {
  return {.name = "aligned_mtl",
          .title = "Aligned-MTL",
          .summary =
              "The gradients are made orthogonal and equally long, as little changed as "
              "possible, then averaged.",
          .when =
              "Both conflict and dominance, without a parameter; jumps where gradients become "
              "dependent.",
          .paper = "Senushkin et al., CVPR 2023, arXiv 2305.19000",
          .method_class = MethodClass::kGram,
          .laws = kCommonLaws | kSingleTaskIdentity | kIdenticalRowsIdentity | kZeroRowIgnored,
          .make = &make_aligned_mtl};
}

}  // namespace detente::balance

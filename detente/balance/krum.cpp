// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/krum.h>
#include <detente/balance/method_info.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace detente::balance {
namespace {

class Krum final : public Method {
 public:
  Krum() = default;
  explicit Krum(const KrumOptions& options) : options_(options) {}

  const char* name() const override { return "krum"; }
  MethodClass method_class() const override { return MethodClass::kGram; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }

 protected:
  void compute(const Problem& problem, Result& result) override {
    const std::size_t k = problem.tasks;
    const auto faulty = static_cast<std::size_t>(options_.faulty);
    const std::size_t wanted = k > faulty + 2 ? k - faulty - 2 : 1;
    const std::size_t neighbours = std::min(wanted, k - 1);
    if (k > 1 && k < faulty + 3) {
      result.message = "Fewer than faulty + 3 tasks: the scores look at one neighbour only.";
    }
    score(problem.gram, neighbours);

    // Scores that rounding cannot tell from the m-th count as equal to it and share what is left.
    const std::size_t m = std::min(static_cast<std::size_t>(options_.selected), k);
    sorted_.resize(k);
    for (std::size_t i = 0; i < k; ++i) sorted_[i] = {score_[i], rounding_[i]};
    std::sort(sorted_.begin(), sorted_.end());
    const auto [cut, cut_rounding] = sorted_[m - 1];
    std::size_t below = 0;
    std::size_t equal = 0;
    for (std::size_t i = 0; i < k; ++i) {
      const double slack = rounding_[i] + cut_rounding;
      below += score_[i] < cut - slack ? 1 : 0;
      equal += std::abs(score_[i] - cut) <= slack ? 1 : 0;
    }
    const double whole = 1.0 / static_cast<double>(m);
    const double shared =
        whole * static_cast<double>(m - std::min(below, m)) / static_cast<double>(equal);
    for (std::size_t i = 0; i < k; ++i) {
      const double slack = rounding_[i] + cut_rounding;
      result.weights[i] = score_[i] < cut - slack              ? whole
                          : std::abs(score_[i] - cut) <= slack ? shared
                                                               : 0.0;
    }
  }

 private:
  void score(const MatrixView& g, std::size_t neighbours) {
    const std::size_t k = g.rows;
    double largest = 0;
    for (std::size_t i = 0; i < k; ++i) largest = std::max(largest, g(i, i));
    const double unit = largest > 0 ? largest : 1.0;
    score_.assign(k, 0.0);
    rounding_.assign(k, 0.0);
    for (std::size_t i = 0; i < k; ++i) {
      distance_.clear();
      for (std::size_t j = 0; j < k; ++j) {
        if (j == i) continue;
        const double size = g(i, i) / unit + g(j, j) / unit;
        const double squared = std::max(0.0, size - (g(i, j) / unit + g(j, i) / unit));
        distance_.push_back({squared, 2 * size});
      }
      std::sort(distance_.begin(), distance_.end());
      for (std::size_t j = 0; j < neighbours; ++j) {
        const auto [squared, size] = distance_[j];
        const double error = 8 * std::numeric_limits<double>::epsilon() * size;
        score_[i] += options_.squared ? squared : std::sqrt(squared);
        // √ turns an error e of x² into e/x at most, and into √e near 0.
        rounding_[i] +=
            options_.squared ? error : std::min(std::sqrt(error), error / std::sqrt(squared));
      }
    }
  }

  struct Ranked {
    double value;
    double rounding;
    auto operator<=>(const Ranked&) const = default;
  };

  KrumOptions options_;
  std::vector<double> score_, rounding_;
  std::vector<Ranked> sorted_, distance_;
};

}  // namespace

void KrumOptions::describe(FieldVisitor& visitor) {
  visitor.integer("faulty",
                  faulty,
                  {.min = 0, .max = 1e6},
                  "Gradients that may be wrong in any way; safe with 2 faulty + 3 tasks or more.");
  visitor.integer("selected",
                  selected,
                  {.min = 1, .max = 1e6},
                  "Gradients that are averaged, those of least score.");
  visitor.flag("squared", squared, "Score by squared distances (paper) instead of distances.");
}

Result krum(MatrixView gram, const KrumOptions& options) {
  Krum method(options);
  validate_fields([&](FieldVisitor& v) { method.describe(v); }, "[balance::krum]");
  return solve_once(method, {.tasks = gram.rows, .gram = gram});
}

std::unique_ptr<Method> make_krum() { return std::make_unique<Krum>(); }

MethodInfo krum_info() {
  return {.name = "krum",
          .title = "Krum",
          .summary = "The gradient that lies closest to its neighbours, or the mean of several.",
          .when =
              "When some gradients may be wrong altogether (faulty workers, corrupt labels); not "
              "for balancing tasks, of which it drops most.",
          .paper = "Blanchard et al., NeurIPS 2017, arXiv 1703.02757",
          .method_class = MethodClass::kGram,
          .laws = kCommonLaws | kSimplex | kSingleTaskIdentity | kIdenticalRowsIdentity,
          .make = &make_krum};
}

}  // namespace detente::balance

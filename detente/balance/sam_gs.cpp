// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/checks.h>
#include <detente/balance/internal/coordinates.h>
#include <detente/balance/internal/kept_rows.h>
#include <detente/balance/internal/state.h>
#include <detente/balance/method_info.h>
#include <detente/balance/sam_gs.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace detente::balance {
namespace {

using internal::Block;

class SamGs final : public internal::KeptRowsMethod<SamGs> {
 public:
  SamGs() : KeptRowsMethod({&momentum_}) {}

  const char* name() const override { return "sam_gs"; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }

  Json state() const override {
    if (tasks_ == 0) return nullptr;
    return Json{{"tasks", tasks_}, {"steps", steps_}, {"spread", {spread_, spread_steps_}}};
  }
  void load_state(const Json& state) override {
    begin(0);
    momentum_.clear();
    if (state.is_null()) return;
    const std::size_t tasks = internal::state_size(state, "tasks", name());
    steps_ = internal::state_list(state, "steps", tasks, true, name());
    const auto spread = internal::state_list(state, "spread", 2, false, name());
    spread_ = spread[0];
    spread_steps_ = spread[1];
    tasks_ = tasks;
  }

  template <class T>
  void combine(const Problem& problem, const Rows<T>& rows, std::span<T> d, Result& result) {
    momentum_.fit<T>(problem.total(), rows.cols, tasks_ != 0, name());
    if (tasks_ == 0) begin(problem.total());
    const auto pointers = pointers_.of(rows);
    norm_.resize(problem.tasks);
    for (std::size_t i = 0; i < problem.tasks; ++i) {
      const double squared = follow(rows[i], momentum_.row<T>(problem.id(i)));
      // Subnormal squares have lost their digits and count as zero.
      norm_[i] = squared < std::numeric_limits<double>::min() ? 0.0 : std::sqrt(squared);
      steps_[problem.id(i)] += 1;
    }
    const Similarity similarity = compare_norms();
    std::fill(result.weights.begin(), result.weights.end(), 1.0);
    if (similarity.rows == 0) {
      std::fill(d.begin(), d.end(), T(0));
      internal::report_all_zero(result);
      return;
    }
    if (similarity.rows == 1) {  // nothing to balance
      internal::weighted_sum(pointers, result.weights, d);
      return;
    }
    const double distance = 1.0 - similarity.mean;
    spread_ =
        options_.beta2 * spread_ + (1.0 - options_.beta2) * distance * distance + options_.epsilon;
    spread_steps_ += 1;
    const bool any = options_.compare == SamGsOptions::Compare::kAny;
    if ((any ? similarity.least : similarity.mean) < options_.gamma) {
      for (std::size_t i = 0; i < problem.tasks; ++i) {
        result.weights[i] = norm_[i] > 0 ? similarity.mean_norm / norm_[i] : 0.0;
      }
      internal::weighted_sum(pointers, result.weights, d);
    } else {
      modulate(problem, rows, d);
    }
  }

 private:
  struct Similarity {
    std::size_t rows = 0;  // those not zero
    double mean_norm = 0;
    double least = 1.0;
    double mean = 1.0;
  };

  void begin(std::size_t tasks) {
    tasks_ = tasks;
    steps_.assign(tasks, 0.0);
    spread_ = 0;
    spread_steps_ = 0;
  }

  // Moves the momentum; returns ‖row‖².
  template <class T>
  double follow(std::span<const T> row, std::span<T> momentum) const {
    const double beta = options_.beta1;
    for (std::size_t c = 0; c < row.size(); ++c) {
      momentum[c] = static_cast<T>(beta * static_cast<double>(momentum[c]) +
                                   (1.0 - beta) * static_cast<double>(row[c]));
    }
    return internal::inner(row.data(), row.data(), row.size());
  }

  Similarity compare_norms() const {
    Similarity found;
    double sum = 0;
    double pairs = 0;
    for (std::size_t i = 0; i < norm_.size(); ++i) {
      if (!(norm_[i] > 0)) continue;
      found.rows += 1;
      found.mean_norm += norm_[i];
      for (std::size_t j = 0; j < i; ++j) {
        if (!(norm_[j] > 0)) continue;
        // In the ratio of the norms, whose squares need not be representable.
        const double ratio = std::min(norm_[i], norm_[j]) / std::max(norm_[i], norm_[j]);
        const double similarity = 2.0 * ratio / (1.0 + ratio * ratio);
        found.least = std::min(found.least, similarity);
        sum += similarity;
        pairs += 1;
      }
    }
    if (found.rows > 0) found.mean_norm /= static_cast<double>(found.rows);
    if (pairs > 0) found.mean = sum / pairs;
    return found;
  }

  template <class T>
  void modulate(const Problem& problem, const Rows<T>& rows, std::span<T> d) {
    const double spread = spread_ / (1.0 - std::pow(options_.beta2, spread_steps_));
    Block sum;
    internal::for_blocks(d.size(), [&](std::size_t begin, std::size_t n) {
      sum.fill(0.0);
      for (std::size_t i = 0; i < rows.rows; ++i) {
        const std::size_t id = problem.id(i);
        const double factor =
            1.0 / (1.0 - std::pow(options_.beta1, steps_[id])) / std::sqrt(spread);
        const T* row = rows[i].data() + begin;
        const T* momentum = momentum_.row<T>(id).data() + begin;
        for (std::size_t c = 0; c < n; ++c) {
          sum[c] +=
              factor * static_cast<double>(row[c]) * std::abs(static_cast<double>(momentum[c]));
        }
      }
      for (std::size_t c = 0; c < n; ++c) d[begin + c] = static_cast<T>(sum[c]);
    });
  }

  SamGsOptions options_;
  std::vector<double> steps_;  // of each task
  double spread_ = 0;          // v
  double spread_steps_ = 0;
  std::vector<double> norm_;
  internal::KeptRows momentum_{"momentum"};
  internal::RowPointers pointers_;
};

}  // namespace

void SamGsOptions::describe(FieldVisitor& visitor) {
  if (visit_preset(visitor,
                   preset,
                   "official_code sets gamma = 0.1 and compare = mean; options given beside it "
                   "win.")) {
    const bool code = preset == Preset::kOfficialCode;
    gamma = code ? 0.1 : 0.7;
    compare = code ? Compare::kMean : Compare::kAny;
  }
  visitor.number("gamma",
                 gamma,
                 {.min = 0, .max_open = true},
                 "Below this similarity the gradients are made equally long; 0 never does, above 1 "
                 "always.");
  visitor.choice("compare",
                 compare,
                 {{"any", Compare::kAny}, {"mean", Compare::kMean}},
                 "Which similarity must be below gamma: that of any pair, or the mean.");
  visitor.number("beta1",
                 beta1,
                 {.min = 0, .max = 1, .max_open = true},
                 "How slowly the momentum follows the gradients; 0 takes the gradients.");
  visitor.number("beta2",
                 beta2,
                 {.min = 0, .max = 1, .max_open = true},
                 "How slowly the spread of the norms is averaged.");
  visitor.number("epsilon",
                 epsilon,
                 {.min = 0, .min_open = true, .max_open = true},
                 "Added to the spread at every step; bounds the momentum form when all norms are "
                 "equal.");
}

std::unique_ptr<Method> make_sam_gs() { return std::make_unique<SamGs>(); }

MethodInfo sam_gs_info() {
  return {.name = "sam_gs",
          .title = "Similarity-aware momentum gradient surgery",
          .summary = "Equally long gradients when their norms differ, momentum when they do not.",
          .when =
              "Tasks whose gradients differ in length rather than direction. The step length jumps "
              "between the two forms, so clip it.",
          .paper = "Borsani, Rosani, Nicosia, Di Fatta, 2025, arXiv 2506.06130",
          .method_class = MethodClass::kCoordinates,
          .stateful = true,
          .laws = kPermutation | kDeterministic | kSingleTaskIdentity | kZeroRowIgnored,
          .make = &make_sam_gs};
}

}  // namespace detente::balance

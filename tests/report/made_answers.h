// SPDX-License-Identifier: Apache-2.0
// Answers of made-up models, for tests of what is kept of them.
#pragma once

#include <detente/core/rng.h>
#include <detente/metrics/registry.h>
#include <detente/report/answer_summary.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

namespace detente::report {

// Answers that own what they view.
struct Made {
  std::vector<double> predictions;
  std::vector<double> targets;
  std::vector<double> confidence;
  std::size_t columns = 1;
  std::size_t classes = 0;

  metrics::Answers view() const {
    metrics::Answers out;
    out.predictions = predictions;
    out.targets = targets;
    out.confidence = confidence;
    out.columns = columns;
    out.classes = classes;
    return out;
  }
  Made permuted(Rng& rng) const {
    const std::size_t rows = targets.size() / columns;
    std::vector<std::size_t> order(rows);
    std::iota(order.begin(), order.end(), std::size_t{0});
    for (std::size_t i = rows; i > 1; --i) std::swap(order[i - 1], order[rng.below(i)]);
    Made out = *this;
    for (std::size_t i = 0; i < rows; ++i) {
      for (std::size_t c = 0; c < columns; ++c) {
        out.predictions[i * columns + c] = predictions[order[i] * columns + c];
        out.targets[i * columns + c] = targets[order[i] * columns + c];
      }
      if (!confidence.empty()) out.confidence[i] = confidence[order[i]];
    }
    return out;
  }
};

// Some rows without a target; about two thirds of the answers right. Confidences are multiples of 1/64:
// their sums do not depend on the order.
inline Made made_classes(std::size_t rows, std::size_t classes, std::uint64_t seed) {
  Rng rng(seed);
  Made out;
  out.classes = classes;
  for (std::size_t i = 0; i < rows; ++i) {
    const auto truth = static_cast<double>(rng.below(classes));
    const double answer = rng.uniform() < 0.66 ? truth : static_cast<double>(rng.below(classes));
    out.targets.push_back(rng.uniform() < 0.1 ? kNoNumber : truth);
    out.predictions.push_back(answer);
    out.confidence.push_back(std::ceil(64 * rng.uniform()) / 64);
  }
  return out;
}

inline Made made_numbers(std::size_t rows, std::size_t columns, std::uint64_t seed) {
  Rng rng(seed);
  Made out;
  out.columns = columns;
  for (std::size_t i = 0; i < rows * columns; ++i) {
    const double noise = static_cast<double>(1 + i % columns);
    out.targets.push_back(rng.uniform() < 0.1 ? kNoNumber : std::round(100 * rng.uniform()) / 8);
    out.predictions.push_back(std::round(8 * (10 * rng.uniform() + noise * rng.uniform())) / 8);
  }
  return out;
}

inline TaskAnswers classes_of(const Made& made, const AnswerNames& names = {}) {
  return summarize("task", TaskKind::kClasses, made.view(), names);
}

}  // namespace detente::report

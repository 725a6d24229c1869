// SPDX-License-Identifier: Apache-2.0
#include <detente/metrics/internal/rows.h>
#include <detente/metrics/metrics.h>
#include <detente/metrics/ranking.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

namespace detente::metrics {
namespace {

using internal::defined;
using internal::mean;
using internal::Rows;
using internal::take_rows;
using internal::undefined;

bool is_constant(const std::vector<double>& values) {
  return std::all_of(values.begin(), values.end(), [&](double v) { return v == values[0]; });
}

Score correlation(const Rows& rows) {
  if (!rows.reason.empty()) return undefined(rows, rows.reason);
  if (rows.size() < 2) return undefined(rows, "a correlation needs at least two rows");
  if (is_constant(rows.targets)) return undefined(rows, "all targets are equal");
  if (is_constant(rows.predictions)) return undefined(rows, "all predictions are equal");
  const double mean_p = mean(rows.predictions);
  const double mean_t = mean(rows.targets);
  // Dividing by the largest deviation keeps the squares inside the range of a double.
  double scale_p = 0.0;
  double scale_t = 0.0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    scale_p = std::max(scale_p, std::abs(rows.predictions[i] - mean_p));
    scale_t = std::max(scale_t, std::abs(rows.targets[i] - mean_t));
  }
  double cross = 0.0;
  double square_p = 0.0;
  double square_t = 0.0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const double p = (rows.predictions[i] - mean_p) / scale_p;
    const double t = (rows.targets[i] - mean_t) / scale_t;
    cross += p * t;
    square_p += p * p;
    square_t += t * t;
  }
  return defined(rows, std::clamp(cross / std::sqrt(square_p * square_t), -1.0, 1.0));
}

template <class Term>
Score mean_over_rows(const char* name, Values predictions, Values targets, Term term) {
  const Rows rows = take_rows(name, predictions, targets);
  if (!rows.reason.empty()) return undefined(rows, rows.reason);
  std::vector<double> terms(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i)
    terms[i] = term(rows.predictions[i], rows.targets[i]);
  return defined(rows, mean(terms));
}

}  // namespace

Score pearson(Values predictions, Values targets) {
  return correlation(take_rows("pearson", predictions, targets));
}

Score spearman(Values predictions, Values targets) {
  Rows rows = take_rows("spearman", predictions, targets);
  if (!rows.reason.empty()) return undefined(rows, rows.reason);
  rows.predictions = average_ranks(rows.predictions);
  rows.targets = average_ranks(rows.targets);
  return correlation(rows);
}

Score mae(Values predictions, Values targets) {
  return mean_over_rows(
      "mae", predictions, targets, [](double p, double t) { return std::abs(p - t); });
}

Score mse(Values predictions, Values targets) {
  return mean_over_rows(
      "mse", predictions, targets, [](double p, double t) { return (p - t) * (p - t); });
}

Score r2(Values predictions, Values targets) {
  const Rows rows = take_rows("r2", predictions, targets);
  if (!rows.reason.empty()) return undefined(rows, rows.reason);
  if (rows.size() < 2) return undefined(rows, "R2 needs at least two rows");
  if (is_constant(rows.targets)) return undefined(rows, "all targets are equal");
  const double mean_t = mean(rows.targets);
  double residual = 0.0;
  double total = 0.0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    residual += (rows.targets[i] - rows.predictions[i]) * (rows.targets[i] - rows.predictions[i]);
    total += (rows.targets[i] - mean_t) * (rows.targets[i] - mean_t);
  }
  return defined(rows, 1.0 - residual / total);
}

Score binary_accuracy(Values predictions, Values targets, double threshold) {
  return mean_over_rows("binary_accuracy", predictions, targets, [&](double p, double t) {
    return (p >= threshold) == (t == 1.0) ? 1.0 : 0.0;
  });
}

Score f1(Values predictions, Values targets, double threshold) {
  const Rows rows = take_rows("f1", predictions, targets);
  if (!rows.reason.empty()) return undefined(rows, rows.reason);
  std::size_t both = 0;
  std::size_t predicted = 0;
  std::size_t positive = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const bool p = rows.predictions[i] >= threshold;
    const bool t = rows.targets[i] == 1.0;
    both += p && t ? 1 : 0;
    predicted += p ? 1 : 0;
    positive += t ? 1 : 0;
  }
  if (positive == 0) return undefined(rows, "no target is positive");
  return defined(rows, 2.0 * static_cast<double>(both) / static_cast<double>(predicted + positive));
}

Score class_accuracy(Values predictions, Values targets) {
  return mean_over_rows("class_accuracy", predictions, targets, [](double p, double t) {
    return p == t ? 1.0 : 0.0;
  });
}

Score macro_f1(Values predictions, Values targets) {
  const Rows rows = take_rows("macro_f1", predictions, targets);
  if (!rows.reason.empty()) return undefined(rows, rows.reason);
  struct Counts {
    double both = 0;
    double either_side = 0;  // predicted plus true
  };
  std::map<double, Counts> classes;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    classes[rows.predictions[i]].either_side += 1;
    classes[rows.targets[i]].either_side += 1;
    if (rows.predictions[i] == rows.targets[i]) classes[rows.targets[i]].both += 1;
  }
  double sum = 0.0;
  for (const auto& [id, counts] : classes) sum += 2.0 * counts.both / counts.either_side;
  return defined(rows, sum / static_cast<double>(classes.size()));
}

}  // namespace detente::metrics

// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/metrics/metrics.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <vector>

namespace detente::metrics {
namespace {

// The rows that have a target.
struct Rows {
  std::vector<double> predictions;
  std::vector<double> targets;
  std::string reason;  // why no metric can be computed

  std::size_t size() const { return targets.size(); }
};

Rows take_rows(const char* name, Values predictions, Values targets) {
  DETENTE_CHECK(predictions.size() == targets.size(),
                ErrorCode::kShape,
                "[metrics::{}] {} predictions for {} targets; expected as many of each.",
                name,
                predictions.size(),
                targets.size());
  Rows rows;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    if (std::isnan(targets[i])) continue;
    if (!std::isfinite(predictions[i]) && rows.reason.empty()) {
      rows.reason = fmt::format("the prediction of row {} is not finite", i);
    }
    if (!std::isfinite(targets[i]) && rows.reason.empty()) {
      rows.reason = fmt::format("the target of row {} is not finite", i);
    }
    rows.predictions.push_back(predictions[i]);
    rows.targets.push_back(targets[i]);
  }
  if (rows.size() == 0) rows.reason = "no row has a target";
  return rows;
}

Score undefined(const Rows& rows, std::string reason) {
  return {std::numeric_limits<double>::quiet_NaN(), std::move(reason), rows.size()};
}

Score defined(const Rows& rows, double value) { return {value, "", rows.size()}; }

// The second pass takes back what rounding of the mean left over.
double mean(const std::vector<double>& values) {
  const double n = static_cast<double>(values.size());
  const double first = std::accumulate(values.begin(), values.end(), 0.0) / n;
  double rest = 0.0;
  for (const double v : values) rest += v - first;
  return first + rest / n;
}

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

std::vector<double> average_ranks(const std::vector<double>& values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return values[a] < values[b];
  });
  std::vector<double> ranks(values.size());
  for (std::size_t begin = 0; begin < order.size();) {
    std::size_t end = begin;
    while (end < order.size() && values[order[end]] == values[order[begin]]) ++end;
    const double rank = 0.5 * static_cast<double>(begin + 1 + end);
    for (; begin < end; ++begin) ranks[order[begin]] = rank;
  }
  return ranks;
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

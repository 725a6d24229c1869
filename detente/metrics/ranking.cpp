// SPDX-License-Identifier: Apache-2.0
#include <detente/metrics/internal/rows.h>
#include <detente/metrics/ranking.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <utility>
#include <vector>

namespace detente::metrics {
namespace {

double count_positives(const internal::Rows& rows) {
  return static_cast<double>(std::count(rows.targets.begin(), rows.targets.end(), 1.0));
}

}  // namespace

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

Score auroc(Values predictions, Values targets) {
  const internal::Rows rows = internal::take_rows("auroc", predictions, targets);
  if (!rows.reason.empty()) return internal::undefined(rows, rows.reason);
  const double positives = count_positives(rows);
  const double negatives = static_cast<double>(rows.size()) - positives;
  if (positives == 0) return internal::undefined(rows, "no target is positive");
  if (negatives == 0) return internal::undefined(rows, "no target is negative");
  // Mann and Whitney: ranks are multiples of a half, so their sum is exact.
  const std::vector<double> ranks = average_ranks(rows.predictions);
  double sum = 0.0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows.targets[i] == 1.0) sum += ranks[i];
  }
  const double wins = sum - 0.5 * positives * (positives + 1.0);
  return internal::defined(rows, wins / positives / negatives);
}

Score average_precision(Values predictions, Values targets) {
  const internal::Rows rows = internal::take_rows("average_precision", predictions, targets);
  if (!rows.reason.empty()) return internal::undefined(rows, rows.reason);
  const double positives = count_positives(rows);
  if (positives == 0) return internal::undefined(rows, "no target is positive");
  std::vector<std::pair<double, bool>> order;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    order.emplace_back(rows.predictions[i], rows.targets[i] == 1.0);
  }
  std::sort(order.begin(), order.end(), std::greater<>());
  double hits = 0.0;
  double before = 0.0;
  double area = 0.0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (order[i].second) hits += 1.0;
    const bool last_of_score = i + 1 == order.size() || order[i + 1].first != order[i].first;
    if (!last_of_score) continue;
    area += (hits - before) / positives * (hits / static_cast<double>(i + 1));
    before = hits;
  }
  return internal::defined(rows, area);
}

}  // namespace detente::metrics

// SPDX-License-Identifier: Apache-2.0
#include <detente/report/conflict_maps.h>
#include <detente/report/run_charts.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

namespace detente::report {
namespace {

HeatMap cosine_map() {
  HeatMap map;
  map.scale = HeatScale::kDiverging;
  map.value_title = "mean cosine";
  return map;
}

// A round end for the colours: small cosines still show, and noise stays pale.
void limit_colors(HeatMap& map) {
  double largest = 0;
  for (const double cosine : map.values) {
    if (std::isfinite(cosine)) largest = std::max(largest, std::abs(cosine));
  }
  map.high = largest <= 0.2 ? 0.2 : largest <= 0.5 ? 0.5 : 1.0;
}

// Of a curve per row, the rows with the lowest means, those first; rows without a value are left
// out.
std::vector<std::size_t> most_opposed(const std::vector<std::vector<double>>& curves,
                                      std::size_t most) {
  std::vector<std::pair<double, std::size_t>> means;
  for (std::size_t i = 0; i < curves.size(); ++i) {
    if (const double mean = finite_mean(curves[i]); std::isfinite(mean))
      means.emplace_back(mean, i);
  }
  std::stable_sort(
      means.begin(), means.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  if (means.size() > most) means.resize(most);
  std::vector<std::size_t> rows;
  for (const auto& [mean, row] : means) rows.push_back(row);
  return rows;
}

// Columns: spans of equally many steps. A value per curve and span, the mean of what is there.
void spread_over_time(HeatMap& map,
                      const RunData& run,
                      const std::vector<const std::vector<double>*>& curves) {
  std::size_t measured = 0;
  for (std::size_t step = 0; step < run.steps.size(); ++step) {
    const bool any = std::any_of(
        curves.begin(), curves.end(), [&](const auto* c) { return std::isfinite((*c)[step]); });
    measured += any ? 1 : 0;
  }
  const std::size_t spans = std::min(kMostSpans, measured);
  std::vector<std::size_t> begins;
  for (std::size_t s = 0; s <= spans; ++s) begins.push_back(s * run.steps.size() / spans);
  for (std::size_t s = 0; s < spans; ++s) {
    const double first = run.steps[begins[s]];
    const double last = run.steps[begins[s + 1] - 1];
    map.columns.push_back(first == last ? fmt::format("{:.0f}", first)
                                        : fmt::format("{:.0f} to {:.0f}", first, last));
    map.ticks.push_back(fmt::format("{:.0f}", last));
  }
  for (const auto* curve : curves) {
    for (std::size_t s = 0; s < spans; ++s) {
      map.values.push_back(
          finite_mean({curve->begin() + static_cast<std::ptrdiff_t>(begins[s]),
                       curve->begin() + static_cast<std::ptrdiff_t>(begins[s + 1])}));
    }
  }
  map.ordered_columns = true;
  map.column_title = "step";
  limit_colors(map);
}

// Cosine of each step, mean over the pairs.
std::vector<double> mean_over_pairs(const Curves& cosines, std::size_t steps) {
  std::vector<double> out(steps, kNoNumber);
  std::vector<double> at_step;
  for (std::size_t step = 0; step < steps; ++step) {
    at_step.clear();
    for (const auto& pair : cosines.values) at_step.push_back(pair[step]);
    out[step] = finite_mean(at_step);
  }
  return out;
}

bool any_finite(const std::vector<double>& values) {
  return std::any_of(values.begin(), values.end(), [](double v) { return std::isfinite(v); });
}

}  // namespace

std::optional<HeatMap> cosine_matrix(const RunData& run) {
  const std::size_t k = run.tasks.size();
  if (k < 3 || k > kMostMatrixTasks || run.cosines.empty()) return std::nullopt;
  HeatMap map = cosine_map();
  map.rows = run.tasks;
  map.columns = run.tasks;
  map.hide_diagonal = true;
  for (std::size_t i = 0; i < k; ++i) {
    for (std::size_t j = 0; j < k; ++j) {
      const auto* pair = run.cosines.find(pair_name(run.tasks[i], run.tasks[j]));
      if (pair == nullptr) pair = run.cosines.find(pair_name(run.tasks[j], run.tasks[i]));
      map.values.push_back(pair == nullptr || i == j ? kNoNumber : finite_mean(*pair));
    }
  }
  if (!any_finite(map.values)) return std::nullopt;
  limit_colors(map);
  return map;
}

std::optional<HeatMap> conflict_over_time(const RunData& run) {
  const auto rows = most_opposed(run.cosines.values, kMostPairRows);
  if (rows.empty()) return std::nullopt;
  HeatMap map = cosine_map();
  std::vector<const std::vector<double>*> curves;
  for (const std::size_t row : rows) {
    map.rows.push_back(pair_text(run.cosines.names[row]));
    curves.push_back(&run.cosines.values[row]);
  }
  spread_over_time(map, run, curves);
  return map;
}

std::optional<HeatMap> layers_over_time(const RunData& run) {
  std::vector<std::vector<double>> means;
  for (const GroupCurves& group : run.groups) {
    means.push_back(mean_over_pairs(group.cosines, run.steps.size()));
  }
  auto rows = most_opposed(means, kMostLayerRows);
  if (rows.empty()) return std::nullopt;
  std::sort(rows.begin(), rows.end());
  HeatMap map = cosine_map();
  std::vector<const std::vector<double>*> curves;
  for (const std::size_t row : rows) {
    map.rows.push_back(run.groups[row].name);
    curves.push_back(&means[row]);
  }
  spread_over_time(map, run, curves);
  return map;
}

std::optional<HeatMap> layers_by_pair(const RunData& run) {
  constexpr std::size_t kMostColumns = 12;
  const auto pairs = most_opposed(run.cosines.values, kMostColumns);
  if (pairs.size() < 2) return std::nullopt;
  HeatMap map = cosine_map();
  for (const std::size_t pair : pairs) map.columns.push_back(pair_text(run.cosines.names[pair]));
  for (const GroupCurves& group : run.groups) {
    if (map.rows.size() >= kMostLayerRows) break;
    std::vector<double> values;
    for (const std::size_t pair : pairs) {
      const auto* curve = group.cosines.find(run.cosines.names[pair]);
      values.push_back(curve == nullptr ? kNoNumber : finite_mean(*curve));
    }
    if (!any_finite(values)) continue;
    map.rows.push_back(group.name);
    map.values.insert(map.values.end(), values.begin(), values.end());
  }
  if (map.rows.empty()) return std::nullopt;
  limit_colors(map);
  return map;
}

}  // namespace detente::report
